package placement

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Operator is what a Constraint does with its key or its operands.
type Operator uint8

// The operators of constraints. The zero value is no operator and invalid.
const (
	OpEqual Operator = iota + 1
	OpNotEqual
	OpIn
	OpNotIn
	OpExists
	OpNotExists
	OpGreater
	OpLess
	OpVersion
	OpSemVer
	OpMatches
	OpAnd
	OpOr
	OpNot
)

// MaxConstraintDepth is how many levels a constraint has at most: a rule on a
// label is one, each And, Or and Not around it another.
const MaxConstraintDepth = 32

// Constraint is a condition on the labels of a node or of an instance. It is an
// opaque value. Build it with Equal, NotEqual, In, NotIn, Exists, NotExists,
// Greater, Less, Version, SemVer, Matches, And, Or and Not, or read it with
// ParseConstraint. Its text is its only encoding.
//
// A mistake made in building is kept, and reported by Validate. The zero value is
// invalid as a rule; as a selector it chooses everything. A Constraint has at
// most MaxRules conditions on labels, nested in at most MaxConstraintDepth
// levels.
type Constraint struct {
	op       Operator
	depth    uint8  // levels of And, Or and Not
	rules    uint16 // conditions on labels in And, Or and Not
	key      string
	value    string // Equal, NotEqual, and the source text of Version, SemVer and Matches
	values   []string
	bound    int64
	operands []Constraint
	version  versionRange
	pattern  *regexp.Regexp
	err      error
}

// Equal holds where the label key is there with this value.
func Equal(key, value string) Constraint {
	return Constraint{op: OpEqual, key: key, value: value}
}

// NotEqual holds where the label key is missing or has another value.
func NotEqual(key, value string) Constraint {
	return Constraint{op: OpNotEqual, key: key, value: value}
}

// In holds where the label key is there with one of the values. Their order
// and repetitions do not matter.
func In(key string, values ...string) Constraint {
	return Constraint{op: OpIn, key: key, values: distinct(values)}
}

// NotIn holds where the label key is missing or has none of the values.
func NotIn(key string, values ...string) Constraint {
	return Constraint{op: OpNotIn, key: key, values: distinct(values)}
}

// Exists holds where the label key is there, whatever its value.
func Exists(key string) Constraint {
	return Constraint{op: OpExists, key: key}
}

// NotExists holds where the label key is missing.
func NotExists(key string) Constraint {
	return Constraint{op: OpNotExists, key: key}
}

// Greater holds where the label key is a decimal integer above bound. It does
// not hold where the label is missing or is no integer.
func Greater(key string, bound int64) Constraint {
	return Constraint{op: OpGreater, key: key, bound: bound}
}

// Less holds where the label key is a decimal integer below bound. It does
// not hold where the label is missing or is no integer.
func Less(key string, bound int64) Constraint {
	return Constraint{op: OpLess, key: key, bound: bound}
}

// Version holds where the label key is a version inside the range: comparisons
// joined by commas, all of which must hold, as in ">= 1.4, < 2". The comparisons
// are =, !=, <, <=, > and >=.
//
// It reads what machines report: any number of numbers joined by dots, with or
// without a leading v. They are compared one by one as numbers, so that leading
// zeros do not matter and a missing number is 0. Whatever follows the last of them
// is ignored: 5.14.0-362.8.1.el9_3.x86_64 is 5.14.0, and 2.0.0-rc.1 is 2.0.0. A
// bound is numbers alone.
//
// A missing label, or one that does not begin with a number, satisfies no range.
func Version(key, versions string) Constraint { return versioned(OpVersion, key, versions) }

// SemVer holds where the label key is a semantic version inside the range, which
// is written as that of Version. Versions are those of semver.org, with or without
// a leading v, and "1.4" means 1.4.0. A pre-release is below its release: 2.0.0-rc.1
// is inside "< 2". Build metadata is ignored.
//
// A missing label, or one that is no semantic version, satisfies no range. That is
// the case for most versions of drivers, kernels and distributions: use Version for
// these.
func SemVer(key, versions string) Constraint { return versioned(OpSemVer, key, versions) }

func versioned(op Operator, key, versions string) Constraint {
	parsed, err := parseVersionRange(op, versions)
	if err == nil {
		versions = parsed.String()
	}
	return Constraint{op: op, key: key, value: versions, version: parsed, err: err}
}

// Matches holds where the label key is there and the RE2 regular expression
// matches somewhere in its value; anchor it with ^ and $ to match the whole.
func Matches(key, pattern string) Constraint {
	compiled, err := compilePattern(pattern)
	if err != nil {
		return Constraint{op: OpMatches, key: key, err: err}
	}
	return Constraint{op: OpMatches, key: key, value: pattern, pattern: compiled}
}

// And holds where all constraints hold. It needs at least one.
func And(constraints ...Constraint) Constraint {
	return combined(OpAnd, slices.Clone(constraints))
}

// Or holds where at least one of the constraints holds. It needs at least one.
func Or(constraints ...Constraint) Constraint {
	return combined(OpOr, slices.Clone(constraints))
}

// Not holds where the constraint does not.
func Not(constraint Constraint) Constraint {
	return combined(OpNot, []Constraint{constraint})
}

// combined builds And, Or and Not. What would be nested too deeply or be too
// much is let go of, so that no constraint is ever too deep for the stack or
// takes long to walk, valid or not: a few operands that contain one another can
// stand for any number of conditions.
func combined(op Operator, operands []Constraint) Constraint {
	c := Constraint{op: op, operands: operands}
	rules := 0
	for i := range operands {
		c.depth = max(c.depth, operands[i].depth+1)
		rules = min(rules+operands[i].conditions(), MaxRules+1)
	}
	c.rules = uint16(rules)
	switch {
	case c.depth >= MaxConstraintDepth:
		c.depth, c.err = MaxConstraintDepth, invalid("", op.String(), "nested too deeply")
	case rules > MaxRules:
		c.err = invalid("", op.String(), tooMany(MaxRules, "conditions"))
	default:
		return c
	}
	c.operands = make([]Constraint, 1)
	return c
}

// conditions returns the number of conditions on labels in c, at least one.
func (c *Constraint) conditions() int { return max(1, int(c.rules)) }

// selecting returns the number of conditions in a selector, which may have none.
func (c *Constraint) selecting() int {
	if c.IsZero() {
		return 0
	}
	return c.conditions()
}

func distinct(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}

// IsZero reports whether c is the zero Constraint.
func (c Constraint) IsZero() bool { return c.op == 0 }

// Operator returns what c does.
func (c Constraint) Operator() Operator { return c.op }

// Key returns the label key that c looks at, empty for And, Or and Not.
func (c Constraint) Key() string { return c.key }

// Values returns the label values of Equal, NotEqual, In and NotIn, sorted
// and distinct, and nil for other operators.
func (c Constraint) Values() []string {
	switch c.op {
	case OpEqual, OpNotEqual:
		return []string{c.value}
	default:
		return slices.Clone(c.values)
	}
}

// Bound returns the integer of Greater and Less, zero for other operators.
func (c Constraint) Bound() int64 { return c.bound }

// Operands returns the constraints inside And, Or and Not, in their order.
func (c Constraint) Operands() []Constraint { return slices.Clone(c.operands) }

// Match reports whether c holds for the labels. The zero Constraint holds for
// any labels. It takes one map look-up per label rule, and O(log n) in the values
// of In and NotIn; Matches takes time in proportion to the label's value. It
// allocates nothing.
func (c Constraint) Match(labels map[string]string) bool {
	return c.holds(labelSource{labels: labels})
}

// labelSource is where a constraint looks labels up: a plain map, or a node
// with its read-only labels.
type labelSource struct {
	labels map[string]string
	node   *Node
}

func (s labelSource) label(key string) (string, bool) {
	if s.node != nil {
		return s.node.Label(key)
	}
	value, ok := s.labels[key]
	return value, ok
}

func (c *Constraint) holds(source labelSource) bool {
	if c.err != nil {
		return false
	}
	switch c.op {
	case OpAnd:
		for i := range c.operands {
			if !c.operands[i].holds(source) {
				return false
			}
		}
		return true
	case OpOr:
		for i := range c.operands {
			if c.operands[i].holds(source) {
				return true
			}
		}
		return false
	case OpNot:
		return !c.operands[0].holds(source)
	default:
		return c.MatchValue(source.label(c.key))
	}
}

// MatchValue reports whether a constraint on one label holds for a value of
// it, or for its absence. It is false for And, Or and Not. Its cost is that of
// Match.
func (c Constraint) MatchValue(value string, ok bool) bool {
	switch c.op {
	case 0:
		return true
	case OpEqual:
		return ok && value == c.value
	case OpNotEqual:
		return !ok || value != c.value
	case OpIn:
		return ok && c.lists(value)
	case OpNotIn:
		return !ok || !c.lists(value)
	case OpExists:
		return ok
	case OpNotExists:
		return !ok
	case OpGreater:
		n, isInteger := parseInteger(value)
		return ok && isInteger && n > c.bound
	case OpLess:
		n, isInteger := parseInteger(value)
		return ok && isInteger && n < c.bound
	case OpVersion, OpSemVer:
		return ok && c.err == nil && c.version.contains(c.op, value)
	case OpMatches:
		return ok && c.err == nil && c.pattern.MatchString(value)
	default:
		return false
	}
}

// Reads reports whether the operator of a constraint on one label can read a value
// at all: a version for Version and SemVer, an integer for Greater and Less. The
// other operators read every value. Its cost is that of Match.
func (c Constraint) Reads(value string) bool {
	ok := true
	switch c.op {
	case OpGreater, OpLess:
		_, ok = parseInteger(value)
	case OpVersion:
		_, _, ok = cutNumbers(value)
	case OpSemVer:
		_, ok = parseSemantic(value)
	default:
	}
	return ok
}

// Unreadable returns the label and its value if the constraint does not hold for
// the node and looks at a label that is there and that it cannot read, in the order
// of the conditions the first of several. Its cost is that of Match.
func (n *Node) Unreadable(c Constraint) (key, value string, found bool) {
	if n.Meets(c) {
		return "", "", false
	}
	return c.unreadable(n)
}

func (c *Constraint) unreadable(n *Node) (key, value string, found bool) {
	for i := range c.operands {
		if key, value, found = c.operands[i].unreadable(n); found {
			return key, value, true
		}
	}
	value, there := n.Label(c.key)
	if !there || c.Reads(value) {
		return "", "", false
	}
	return c.key, value, true
}

// lists reports whether In or NotIn names the value. The values are sorted, and
// there may be thousands.
func (c *Constraint) lists(value string) bool {
	_, found := slices.BinarySearch(c.values, value)
	return found
}

// parseInteger reads a decimal integer. Labels that are none are common, so
// they must not cost the error that strconv would build.
func parseInteger(text string) (int64, bool) {
	if !isNumber(strings.TrimLeft(text, "+-")) {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// Equal reports whether c and other are the same rule, operand by operand.
func (c Constraint) Equal(other Constraint) bool {
	return c.op == other.op && c.key == other.key && c.value == other.value && c.bound == other.bound &&
		slices.Equal(c.values, other.values) &&
		slices.EqualFunc(c.operands, other.operands, Constraint.Equal)
}

// Validate reports every mistake in c and its operands at once.
func (c Constraint) Validate() error {
	var found mistakes
	c.check(&found)
	return found.join()
}

func (c *Constraint) check(found *mistakes) {
	switch c.op {
	case 0:
		found.add("", "", "empty constraint")
	case OpAnd, OpOr, OpNot:
		if len(c.operands) == 0 {
			found.add("", c.op.String(), "want at least one operand")
		}
		if c.err != nil {
			found.addPart(c.err)
			return
		}
		for i := range c.operands {
			c.operands[i].check(found)
		}
	default:
		if c.key == "" {
			found.add("", c.op.String(), "empty key")
		}
		if (c.op == OpIn || c.op == OpNotIn) && len(c.values) == 0 {
			found.add("", c.key, "want at least one value")
		}
		if len(c.key) > MaxIDBytes {
			found.add("", c.key, tooLong(MaxIDBytes))
		}
		if len(c.value) > MaxValueBytes {
			found.add("", c.value, tooLong(MaxValueBytes))
		}
		for _, value := range c.values {
			if len(value) > MaxValueBytes {
				found.add("", value, tooLong(MaxValueBytes))
			}
		}
		found.addPart(c.err)
	}
}
