package placement_test

import (
	"encoding"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestOperators lists what each operator says of each value of the label k,
// and of its absence.
func TestOperators(t *testing.T) {
	const missing = "(missing)"
	tests := []struct {
		rule    placement.Constraint
		in, out []string
	}{
		{placement.Equal("k", "a"), []string{"a"}, []string{"b", "", "A", missing}},
		{placement.Equal("k", ""), []string{""}, []string{"a", missing}},
		{placement.NotEqual("k", "a"), []string{"b", "", missing}, []string{"a"}},
		{placement.In("k", "a", "b"), []string{"a", "b"}, []string{"c", "", missing}},
		{placement.NotIn("k", "a", "b"), []string{"c", "", missing}, []string{"a", "b"}},
		{placement.Exists("k"), []string{"a", ""}, []string{missing}},
		{placement.NotExists("k"), []string{missing}, []string{"a", ""}},
		{placement.Greater("k", 8), []string{"9", "+9", "009", "9223372036854775807"}, []string{"8", "-9", "8.5", "9223372036854775808", "x", "", " 9", "0x9", "1_0", "٩", missing}},
		{placement.Less("k", 8), []string{"7", "-9", "-9223372036854775808"}, []string{"8", "9", "-9223372036854775809", "x", "-", "--1", "", missing}},
		{placement.Greater("k", math.MaxInt64), nil, []string{"9223372036854775807"}},
		{placement.Less("k", math.MinInt64), nil, []string{"-9223372036854775808"}},
		{placement.Version("k", ">= 1.4, < 2"), []string{"1.4", "v1.9.9"}, []string{"2.0", "x", missing}},
		{placement.Matches("k", "^db-[0-9]+$"), []string{"db-1"}, []string{"db-", "xdb-1", missing}},
		{placement.Matches("k", "b"), []string{"abc"}, []string{"ac", missing}},
		{placement.Matches("k", ""), []string{"", "x"}, []string{missing}},
		{placement.And(placement.Exists("k"), placement.NotEqual("k", "a")), []string{"b"}, []string{"a", missing}},
		{placement.And(placement.Equal("k", "a")), []string{"a"}, []string{"b"}},
		{placement.Or(placement.Equal("k", "a"), placement.NotExists("k")), []string{"a", missing}, []string{"b"}},
		{placement.Or(placement.Equal("k", "a")), []string{"a"}, []string{missing}},
		{placement.Not(placement.Equal("k", "a")), []string{"b", missing}, []string{"a"}},
		{placement.Not(placement.Not(placement.Equal("k", "a"))), []string{"a"}, []string{"b", missing}},
		{placement.Constraint{}, []string{"a", missing}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.rule.String(), func(t *testing.T) {
			for i, value := range slices.Concat(tt.in, tt.out) {
				labels := map[string]string{"other": "a"}
				if value != missing {
					labels["k"] = value
				}
				require.Equal(t, i < len(tt.in), tt.rule.Match(labels), "%v", labels)
			}
		})
	}
}

func TestConstraintValidate(t *testing.T) {
	nested := func(levels int) placement.Constraint {
		c := placement.Exists("k")
		for range levels - 1 {
			c = placement.Not(c)
		}
		return c
	}
	doubled := func(levels int) placement.Constraint {
		c := placement.Exists("k")
		for range levels - 1 {
			c = placement.And(c, c)
		}
		return c
	}
	tests := []struct {
		name     string
		rule     placement.Constraint
		mistakes int
	}{
		{"empty value", placement.Equal("k", ""), 0},
		{"deepest", nested(placement.MaxConstraintDepth), 0},
		{"too deep", nested(placement.MaxConstraintDepth + 1), 1},
		{"much too deep", nested(2_000_000), 1},
		{"a tree too deep", doubled(100), 1},
		{"zero", placement.Constraint{}, 1},
		{"equal without key", placement.Equal("", "v"), 1},
		{"exists without key", placement.Exists(""), 1},
		{"in without values", placement.In("k"), 1},
		{"not in without values", placement.NotIn("k"), 1},
		{"in without anything", placement.In(""), 2},
		{"and without operands", placement.And(), 1},
		{"or without operands", placement.Or(), 1},
		{"not of nothing", placement.Not(placement.Constraint{}), 1},
		{"bad pattern", placement.Matches("k", "("), 1},
		{"bad pattern and no key", placement.Matches("", "a{1001}"), 2},
		{"bad range and no key", placement.Version("", "1.4"), 2},
		{"all at once", placement.And(placement.In(""), placement.Or(), placement.Not(placement.Matches("k", "[")), placement.Exists("k")), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.rule.Validate()
			require.Len(t, fieldsOf(err), tt.mistakes)
			require.Equal(t, tt.mistakes == 0, err == nil)
			// Text, encoding and evaluation of a mistake are no reason to panic.
			_ = tt.rule.String()
			_, err = tt.rule.MarshalText()
			require.NoError(t, err)
			_ = tt.rule.Match(map[string]string{"": "x", "k": "1"})
			require.True(t, tt.rule.Equal(tt.rule))
		})
	}
}

func TestConstraintAccessors(t *testing.T) {
	in := placement.In("k", "b", "a", "b")
	require.Equal(t, placement.OpIn, in.Operator())
	require.Equal(t, "k", in.Key())
	require.Equal(t, []string{"a", "b"}, in.Values())
	in.Values()[0] = "z"
	require.Equal(t, []string{"a", "b"}, in.Values(), "what is returned is a copy")
	require.Equal(t, []string{"v"}, placement.NotEqual("k", "v").Values())
	require.Nil(t, placement.Exists("k").Values())
	require.Equal(t, int64(-5), placement.Less("k", -5).Bound())
	operands := []placement.Constraint{placement.Exists("a"), placement.Exists("b")}
	both := placement.And(operands...)
	operands[0] = placement.Constraint{}
	require.Equal(t, "a exists and b exists", both.String(), "what is given is copied")
	require.Len(t, both.Operands(), 2)
	require.Empty(t, both.Key())
	require.True(t, placement.Constraint{}.IsZero())
	require.False(t, both.IsZero())
	require.False(t, both.MatchValue("x", true))
}

// TestConstraintText lists canonical texts; each reads back to the rule.
func TestConstraintText(t *testing.T) {
	a, b, c := placement.Equal("a", "1"), placement.Exists("b"), placement.NotExists("c")
	tests := []struct {
		rule placement.Constraint
		want string
	}{
		{placement.Equal("region", "eu"), `region = eu`},
		{placement.NotEqual("region", ""), `region != ""`},
		{placement.In("region", "us", "eu"), `region in (eu, us)`},
		{placement.NotIn("region", "us"), `region notin (us)`},
		{placement.Greater("cores", -8), `cores > -8`},
		{placement.Less("cores", math.MaxInt64), `cores < 9223372036854775807`},
		{placement.Version("kernel", ">=5.4,<7"), `kernel version ">= 5.4, < 7"`},
		{placement.SemVer("semver", "=1.0.0-rc"), `"semver" semver "= 1.0.0-rc"`},
		{placement.Matches("host", "^db-\\d"), `host matches "^db-\\d"`},
		{placement.Equal("example.com/a:b@c+d", "-x_"), `example.com/a:b@c+d = -x_`},
		{placement.Equal("and", "in"), `"and" = "in"`},
		{placement.Equal("a b", "\xff\n\""), `"a b" = "\xff\n\""`},
		{placement.And(a, b), `a = 1 and b exists`},
		{placement.And(a, placement.Or(b, placement.Not(c))), `a = 1 and (b exists or not (c notexists))`},
		{placement.Or(placement.And(a, b), c), `(a = 1 and b exists) or c notexists`},
		{placement.And(a, placement.And(b, c)), `a = 1 and (b exists and c notexists)`},
		{placement.Not(placement.And(a, b)), `not (a = 1 and b exists)`},
		{placement.Not(placement.Not(a)), `not (not (a = 1))`},
		{placement.And(a), `and a = 1`},
		{placement.Or(placement.And(a)), `or (and a = 1)`},
		{placement.And(placement.Or(a)), `and (or a = 1)`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			require.NoError(t, tt.rule.Validate())
			require.Equal(t, tt.want, tt.rule.String())
			requireStable(t, tt.rule)
		})
	}
	require.Empty(t, placement.Constraint{}.String())
}

func TestParseConstraint(t *testing.T) {
	tests := []struct{ text, want string }{
		{"a=1", "a = 1"},
		{" a\t!=\n1\r", "a != 1"},
		{"a in(b,c)", "a in (b, c)"},
		{"`a` = \"b\"", "a = b"},
		{`a > "5"`, "a > 5"},
		{"a > +5", "a > 5"},
		{"((a exists))", "a exists"},
		{"a=1 or b=2 and c=3", "a = 1 or (b = 2 and c = 3)"},
		{"(a=1 or b=2) and c=3", "(a = 1 or b = 2) and c = 3"},
		{"not a=1 and b=2", "not (a = 1) and b = 2"},
		{"not not a=1", "not (not (a = 1))"},
		{"or and a=1", "or (and a = 1)"},
		{strings.Repeat("(", 63) + "a=1" + strings.Repeat(")", 63), "a = 1"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := placement.ParseConstraint(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestParseConstraintErrors(t *testing.T) {
	tests := []string{
		"", " ", "a", "a =", "= a", "a = b c", "a == b", "a = b and", "and", "or", "not", "not ()",
		"a in", "a in ()", "a in (b", "a in (b,)", "a in b", "a notin (", "a exists b", "a > x", "a > 1.5",
		"a > 9223372036854775808", "a version 1.4", "a semver 1", "semver = 1", "a version \"x\"", "a matches \"(\"", "a ~ b", "a = é",
		`a = "b`, "a = 'b'", "\"\" = b", "(a = b", "a = b)", "a = b or or c = d", "a = and", "in = b",
		"a = b\x00", "\xff", strings.Repeat("(", 100_000), strings.Repeat("not ", 100_000) + "a=1",
	}
	for i, text := range tests {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			got, err := placement.ParseConstraint(text)
			require.ErrorIs(t, err, placement.ErrInvalid, "%q", text)
			require.True(t, got.IsZero())
			require.True(t, strings.HasPrefix(fieldsOf(err)[0], "constraint"))
		})
	}
}

func TestConstraintJSON(t *testing.T) {
	rule := placement.And(placement.Greater("cores", 8), placement.Equal("a", "<b>"))
	encoded, err := json.Marshal(rule)
	require.NoError(t, err)
	var decoded placement.Constraint
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	require.True(t, decoded.Equal(rule))

	require.ErrorIs(t, json.Unmarshal([]byte(`"a ="`), &decoded), placement.ErrInvalid)
	require.True(t, decoded.Equal(rule), "a failed call changes nothing")
	require.Error(t, json.Unmarshal([]byte(`5`), &decoded))
	require.NoError(t, json.Unmarshal([]byte(`""`), &decoded))
	require.True(t, decoded.IsZero())
	encoded, err = json.Marshal(decoded)
	require.NoError(t, err)
	require.Equal(t, `""`, string(encoded))
}

// genConstraint yields valid rules up to a depth, over few keys and values so
// that they often hold.
func genConstraint(depth int) *rapid.Generator[placement.Constraint] {
	return rapid.Custom(func(t *rapid.T) placement.Constraint {
		kinds := 10
		if depth > 1 {
			kinds = 13
		}
		operands := func() []placement.Constraint {
			return rapid.SliceOfN(genConstraint(depth-1), 1, 3).Draw(t, "operands")
		}
		key := rapid.OneOf(rapid.SampledFrom([]string{"a", "b"}), genWord().Filter(func(s string) bool { return s != "" })).Draw(t, "key")
		values := rapid.SliceOfN(genWord(), 1, 3).Draw(t, "values")
		switch rapid.IntRange(1, kinds).Draw(t, "kind") {
		case 1:
			return placement.Equal(key, values[0])
		case 2:
			return placement.NotEqual(key, values[0])
		case 3:
			return placement.In(key, values...)
		case 4:
			return placement.NotIn(key, values...)
		case 5:
			return placement.Exists(key)
		case 6:
			return placement.NotExists(key)
		case 7:
			return placement.Greater(key, rapid.Int64Range(-6, 6).Draw(t, "bound"))
		case 8:
			return placement.Less(key, rapid.Int64().Draw(t, "bound"))
		case 9:
			if rapid.Bool().Draw(t, "reported") {
				return placement.Version(key, rapid.SampledFrom([]string{">=1.4,<2", "!= v1.4", "< 1.0.00.1"}).Draw(t, "range"))
			}
			return placement.SemVer(key, rapid.SampledFrom([]string{">=1.4,<2", "!= v1.4", "< 1.0.0-rc.1+b"}).Draw(t, "range"))
		case 10:
			return placement.Matches(key, rapid.SampledFrom([]string{"", "^a", "[0-9]$", `\.`}).Draw(t, "pattern"))
		case 11:
			return placement.And(operands()...)
		case 12:
			return placement.Or(operands()...)
		default:
			return placement.Not(operands()[0])
		}
	})
}

func genLabels() *rapid.Generator[map[string]string] {
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "region"}), genWord(), 0, 3)
}

// naiveMatch reads a rule word by word, from what its accessors say.
func naiveMatch(c placement.Constraint, labels map[string]string) bool {
	value, ok := labels[c.Key()]
	integer, err := strconv.ParseInt(value, 10, 64)
	isInteger := ok && err == nil
	switch c.Operator() {
	case placement.OpEqual, placement.OpIn:
		return ok && slices.Contains(c.Values(), value)
	case placement.OpNotEqual, placement.OpNotIn:
		return !ok || !slices.Contains(c.Values(), value)
	case placement.OpExists:
		return ok
	case placement.OpNotExists:
		return !ok
	case placement.OpGreater:
		return isInteger && integer > c.Bound()
	case placement.OpLess:
		return isInteger && integer < c.Bound()
	case placement.OpVersion, placement.OpSemVer, placement.OpMatches:
		return c.MatchValue(value, ok) // Compared with math/big, x/mod/semver and package regexp elsewhere.
	case placement.OpAnd:
		for _, operand := range c.Operands() {
			if !naiveMatch(operand, labels) {
				return false
			}
		}
		return true
	case placement.OpOr:
		for _, operand := range c.Operands() {
			if naiveMatch(operand, labels) {
				return true
			}
		}
		return false
	default:
		return !naiveMatch(c.Operands()[0], labels)
	}
}

var _ encoding.TextAppender = placement.Constraint{}

func TestConstraintProperties(t *testing.T) { rapid.Check(t, propertyConstraint) }

func propertyConstraint(t *rapid.T) {
	rule := genConstraint(4).Draw(t, "rule")
	require.NoError(t, rule.Validate())
	requireStable(t, rule)
	appended, err := rule.AppendText([]byte("rule: "))
	require.NoError(t, err)
	require.Equal(t, "rule: "+rule.String(), string(appended))

	labels := genLabels().Draw(t, "labels")
	holds := rule.Match(labels)
	require.Equal(t, naiveMatch(rule, labels), holds)
	require.Equal(t, !holds, placement.Not(rule).Match(labels))
	require.Equal(t, holds, placement.And(rule, rule).Match(labels))
	require.Equal(t, holds, (&placement.Node{Labels: labels}).Meets(rule))

	other := genConstraint(2).Draw(t, "other")
	require.Equal(t, placement.Not(placement.Or(rule, other)).Match(labels),
		placement.And(placement.Not(rule), placement.Not(other)).Match(labels), "De Morgan")
	require.Equal(t, rule.String() == other.String(), rule.Equal(other))
}

// TestInIgnoresOrder checks that values are a set, in text and in effect.
func TestInIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(genWord(), 1, 6).Draw(t, "values")
		shuffled := append(rapid.Permutation(values).Draw(t, "shuffled"), values[0])
		before := slices.Clone(shuffled)
		labels := genLabels().Draw(t, "labels")
		for _, build := range []func(string, ...string) placement.Constraint{placement.In, placement.NotIn} {
			a, b := build("a", values...), build("a", shuffled...)
			require.True(t, a.Equal(b))
			require.Equal(t, a.String(), b.String())
			require.Equal(t, a.Match(labels), b.Match(labels))
		}
		require.NotEqual(t, placement.In("a", values...).Match(labels), placement.NotIn("a", values...).Match(labels))
		require.Equal(t, before, shuffled, "what is given is left alone")
	})
}

func TestMatchesAgainstRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab.*^$()\[\]|+\\]{0,6}`).Draw(t, "pattern")
		value := rapid.StringMatching(`[ab.]{0,4}`).Draw(t, "value")
		rule := placement.Matches("k", pattern)
		compiled, err := regexp.Compile(pattern)
		require.Equal(t, err == nil, rule.Validate() == nil)
		if err == nil {
			require.Equal(t, compiled.MatchString(value), rule.MatchValue(value, true))
			requireStable(t, rule)
		}
	})
}

func FuzzConstraint(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyConstraint)) }

func FuzzParseConstraint(f *testing.F) {
	for _, seed := range []string{
		"region = eu", `a in (b, "c d") or not (e > 5 and f < 6)`, `k version ">= 1.4, < 2"`, `k semver ">= 1.4.0-rc.1"`, `h matches "^db-"`,
		"and a exists", "or (and a notexists)", "not not a=b", "a != `b`", "a in (", "((((",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := placement.ParseConstraint(text)
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			require.True(t, rule.IsZero())
			return
		}
		require.NoError(t, rule.Validate())
		requireStable(t, rule)
		labels := map[string]string{"a": "5", "k": "1.4.2", "h": "db-1"}
		require.Equal(t, rule.Match(labels), !placement.Not(rule).Match(labels))
	})
}
