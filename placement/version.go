package placement

import (
	"cmp"
	"strings"
)

// version is a semantic version, as text without leading zeros, so that no
// number is too long to compare.
type version struct {
	numbers    [3]string
	prerelease string
}

// parseVersion reads MAJOR[.MINOR[.PATCH[-PRERELEASE][+BUILD]]] with an
// optional leading v. As in golang.org/x/mod/semver, a shortened version has
// no pre-release or build part. It allocates nothing.
func parseVersion(text string) (version, bool) {
	v := version{numbers: [3]string{"0", "0", "0"}}
	text = strings.TrimPrefix(text, "v")
	text, build, hasBuild := strings.Cut(text, "+")
	text, prerelease, hasPrerelease := strings.Cut(text, "-")
	if hasBuild && !validIdentifiers(build) || hasPrerelease && !validPrerelease(prerelease) {
		return version{}, false
	}
	v.prerelease = prerelease
	n := 0
	for number := range strings.SplitSeq(text, ".") {
		if n == len(v.numbers) || !isNumber(number) || hasLeadingZero(number) {
			return version{}, false
		}
		v.numbers[n] = number
		n++
	}
	if n < len(v.numbers) && (hasBuild || hasPrerelease) {
		return version{}, false
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

func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// compareVersions orders versions as section 11 of semver.org 2.0.0 says.
func compareVersions(a, b version) int {
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

// versionRange is a list of comparisons, all of which must hold.
type versionRange []versionComparison

type versionComparison struct {
	operator string
	text     string
	version  version
}

func parseVersionRange(text string) (versionRange, error) {
	var r versionRange
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		bare := strings.TrimLeft(part, "<>=!")
		c := versionComparison{operator: part[:len(part)-len(bare)], text: strings.TrimSpace(bare)}
		switch c.operator {
		case "=", "!=", "<", "<=", ">", ">=":
		default:
			return nil, invalid("", text, "want comparisons like >= 1.4 separated by commas")
		}
		var ok bool
		if c.version, ok = parseVersion(c.text); !ok {
			return nil, invalid("", text, c.text+" is no semantic version")
		}
		r = append(r, c)
	}
	return r, nil
}

// String returns the range in canonical spacing.
func (r versionRange) String() string {
	parts := make([]string, len(r))
	for i, c := range r {
		parts[i] = c.operator + " " + c.text
	}
	return strings.Join(parts, ", ")
}

func (r versionRange) contains(text string) bool {
	v, ok := parseVersion(text)
	if !ok {
		return false
	}
	for _, c := range r {
		if !c.holds(compareVersions(v, c.version)) {
			return false
		}
	}
	return true
}

func (c versionComparison) holds(order int) bool {
	switch c.operator {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}
