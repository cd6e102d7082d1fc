package placement

import "strings"

// cutNumbers returns the numbers that a version begins with, as in 535.129.03,
// without a leading v, and what follows the last of them. It reports false if there
// are none.
func cutNumbers(text string) (numbers, rest string, ok bool) {
	text = strings.TrimPrefix(text, "v")
	end := 0
	for i := 0; i < len(text); i++ {
		switch {
		case '0' <= text[i] && text[i] <= '9':
			end = i + 1
		case text[i] != '.' || end != i || i == 0:
			return text[:end], text[end:], end > 0
		}
	}
	return text[:end], text[end:], end > 0
}

// compareVersions orders numbers joined by dots, part by part; parts that are
// missing are 0.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if order := compareNumbers(strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")); order != 0 {
			return order
		}
	}
	return 0
}

// versionRange is a list of comparisons, all of which must hold.
type versionRange []versionComparison

type versionComparison struct {
	operator string
	text     string
	numbers  string          // of Version
	semantic semanticVersion // of SemVer
}

// parseVersionRange reads a range of op, which is OpVersion or OpSemVer.
func parseVersionRange(op Operator, text string) (versionRange, error) {
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
		if reason := c.parse(op); reason != "" {
			return nil, invalid("", text, c.text+" "+reason)
		}
		r = append(r, c)
	}
	return r, nil
}

// parse reads the bound and returns what it is wrong with it.
func (c *versionComparison) parse(op Operator) string {
	var rest string
	var ok bool
	if op == OpSemVer {
		if c.semantic, ok = parseSemantic(c.text); !ok {
			return "is no semantic version"
		}
		return ""
	}
	if c.numbers, rest, ok = cutNumbers(c.text); !ok {
		return "is no version: want numbers joined by dots"
	}
	if rest != "" {
		return "has more than numbers joined by dots; SemVer knows pre-releases"
	}
	return ""
}

// String returns the range in canonical spacing.
func (r versionRange) String() string {
	parts := make([]string, len(r))
	for i, c := range r {
		parts[i] = c.operator + " " + c.text
	}
	return strings.Join(parts, ", ")
}

// contains reports whether the range of a valid op holds for a label.
func (r versionRange) contains(op Operator, text string) bool {
	var (
		numbers  string
		semantic semanticVersion
		ok       bool
	)
	if op == OpSemVer {
		semantic, ok = parseSemantic(text)
	} else {
		numbers, _, ok = cutNumbers(text)
	}
	if !ok {
		return false
	}
	for i := range r {
		order := 0
		if op == OpSemVer {
			order = compareSemantic(semantic, r[i].semantic)
		} else {
			order = compareVersions(numbers, r[i].numbers)
		}
		if !r[i].holds(order) {
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
