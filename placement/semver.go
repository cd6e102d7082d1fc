package placement

import (
	"cmp"
	"strings"
)

// semanticVersion is a version of semver.org. Its numbers are text without leading
// zeros, so that none is too long to compare.
type semanticVersion struct {
	numbers    [3]string
	prerelease string
}

// parseSemantic reads MAJOR[.MINOR[.PATCH[-PRERELEASE][+BUILD]]] with an
// optional leading v. As in golang.org/x/mod/semver, a shortened version has
// no pre-release or build part. It allocates nothing.
func parseSemantic(text string) (semanticVersion, bool) {
	v := semanticVersion{numbers: [3]string{"0", "0", "0"}}
	text = strings.TrimPrefix(text, "v")
	text, build, hasBuild := strings.Cut(text, "+")
	text, prerelease, hasPrerelease := strings.Cut(text, "-")
	if hasBuild && !validIdentifiers(build) || hasPrerelease && !validPrerelease(prerelease) {
		return semanticVersion{}, false
	}
	v.prerelease = prerelease
	n := 0
	for number := range strings.SplitSeq(text, ".") {
		if n == len(v.numbers) || !isNumber(number) || hasLeadingZero(number) {
			return semanticVersion{}, false
		}
		v.numbers[n] = number
		n++
	}
	if n < len(v.numbers) && (hasBuild || hasPrerelease) {
		return semanticVersion{}, false
	}
	return v, true
}

func validPrerelease(text string) bool {
	for identifier := range strings.SplitSeq(text, ".") {
		if isNumber(identifier) && hasLeadingZero(identifier) {
			return false
		}
	}
	return validIdentifiers(text)
}

// validIdentifiers reports whether text is made of letters, digits and
// hyphens in parts joined by dots, none empty.
func validIdentifiers(text string) bool {
	for identifier := range strings.SplitSeq(text, ".") {
		if identifier == "" || strings.ContainsAny(identifier, "_/:") {
			return false
		}
		for i := range len(identifier) {
			if !isNameByte(identifier[i]) {
				return false
			}
		}
	}
	return true
}

func isNumber(text string) bool { return text != "" && isDigits(text) }

func hasLeadingZero(number string) bool { return len(number) > 1 && number[0] == '0' }

// compareNumbers orders decimal numbers of any length without leading zeros.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// compareSemantic orders versions as section 11 of semver.org 2.0.0 says.
func compareSemantic(a, b semanticVersion) int {
	for i := range a.numbers {
		if order := compareNumbers(a.numbers[i], b.numbers[i]); order != 0 {
			return order
		}
	}
	if a.prerelease == "" || b.prerelease == "" {
		return cmp.Compare(len(b.prerelease), len(a.prerelease))
	}
	return comparePrereleases(a.prerelease, b.prerelease)
}

// comparePrereleases compares part by part; where all of the shorter are
// equal, the longer is greater.
func comparePrereleases(a, b string) int {
	for a != "" && b != "" {
		var aPart, bPart string
		aPart, a, _ = strings.Cut(a, ".")
		bPart, b, _ = strings.Cut(b, ".")
		if order := compareIdentifiers(aPart, bPart); order != 0 {
			return order
		}
	}
	return cmp.Compare(len(a), len(b))
}

// compareIdentifiers puts numbers in their order before words in theirs.
func compareIdentifiers(a, b string) int {
	switch aNumber, bNumber := isNumber(a), isNumber(b); {
	case aNumber && bNumber:
		return compareNumbers(a, b)
	case aNumber:
		return -1
	case bNumber:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}
