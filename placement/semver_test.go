package placement_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestSemVer(t *testing.T) {
	tests := []struct {
		versions string
		in, out  []string
	}{
		{">= 1.4, < 2", []string{"1.4", "v1.4.0", "1.99.99", "2.0.0-rc.1", "1.4.0+build"}, []string{"1.3.9", "2", "2.0.0", "1.4.0-rc.1"}},
		{"= 1.4", []string{"1.4", "1.4.0", "v1.4", "1.4.0+a.b-c"}, []string{"1.4.1", "1.4.0-0", ""}},
		{"!=1.4", []string{"1.4.1", "1.4.0-0"}, []string{"1.4", "one", "", "1.4.0.0"}},
		{"> 1.0.0-alpha", []string{"1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-rc.1", "1.0.0"}, []string{"1.0.0-1", "1.0.0-alpha"}},
		{"<= 1.0.0-beta.11", []string{"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-beta"}, []string{"1.0.0-beta.x", "1.0.0-rc.1", "1"}},
		{">= 99999999999999999999999999.0.0", []string{"100000000000000000000000000"}, []string{"99999999999999999999999998"}},
		{"> 1.0.0-10", []string{"1.0.0--", "1.0.0--1", "1.0.0-a", "1.0.0-11"}, []string{"1.0.0-9", "1.0.0-1"}},
		{"< 1.0.0--", []string{"1.0.0-10", "1.0.0-0"}, []string{"1.0.0---", "1.0.0-a"}},
		{">=1,>=2,>=3", []string{"3"}, []string{"2"}},
	}
	for _, tt := range tests {
		t.Run(tt.versions, func(t *testing.T) {
			rule := placement.SemVer("k", tt.versions)
			require.NoError(t, rule.Validate())
			for _, version := range tt.in {
				require.True(t, rule.MatchValue(version, true), version)
			}
			for _, version := range tt.out {
				require.False(t, rule.MatchValue(version, true), version)
			}
			require.False(t, rule.MatchValue("", false))
		})
	}
}

func TestSemVerInvalidRanges(t *testing.T) {
	tests := []string{
		"", " ", ",", "1.4", "~> 1.4", "^1", ">", ">= 1.4,", ">= 1.4 < 2", "=> 1", "== 1", "> = 1",
		">= 1.4.0.0", ">= 01", ">= 1.02", ">= 1.0.0-01", ">= 1.4-rc", ">= 1+b", ">= 1.0.0-", ">= 1.0.0+",
		">= 1.0.0-a..b", ">= 1.0.0-a_b", ">= 1.0.0-a@b", ">= 1.0.0-é", ">= 1.0.0+a b", ">= 1.0.0-a/b", ">= vv1", ">= V1", ">= -1", ">= 1.x", ">= ١",
	}
	for _, versions := range tests {
		t.Run(versions, func(t *testing.T) {
			rule := placement.SemVer("k", versions)
			requireFields(t, rule.Validate(), "")
			require.False(t, rule.MatchValue("1.4.0", true))
		})
	}
}

func TestSemVerTextIsCanonical(t *testing.T) {
	spaced, dense := placement.SemVer("k", "  >=  v1.4 ,<2"), placement.SemVer("k", ">=v1.4,< 2")
	require.Equal(t, `k semver ">= v1.4, < 2"`, spaced.String())
	require.True(t, spaced.Equal(dense))
}

func genVersion() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`v?(0|[1-9][0-9]{0,1})(\.(0|[1-9]))?(\.(0|[1-9]))?`),
		rapid.StringMatching(`(0|1)\.(0|1)\.(0|1)(-(0|1|10|2|a|b|A|-)(\.(0|1|a|b)){0,2})?(\+[0-9a-z-]{1,3})?`),
		rapid.StringMatching(`[v0-2.+a_@-]{0,8}`),
	)
}

// TestSemVerAgainstSemver compares parsing and order with x/mod/semver.
func TestSemVerAgainstSemver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkAgainstSemver(t, genVersion().Draw(t, "a"), genVersion().Draw(t, "b"))
	})
}

func FuzzSemVer(f *testing.F) {
	for _, seed := range [][2]string{{"1.4", "v1.4.0"}, {"1.0.0-alpha.1", "1.0.0-alpha.beta"}, {"1.0.0+b", "1.0.0-0"}, {"01", "1."}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkAgainstSemver(t, a, b) })
}

func checkAgainstSemver(t require.TestingT, a, b string) {
	canonical := func(text string) string { return "v" + strings.TrimPrefix(text, "v") }
	valid := func(text string) bool { return placement.SemVer("k", ">= 0.0.0-0").MatchValue(text, true) }
	require.Equal(t, semver.IsValid(canonical(a)), valid(a), "%q", a)
	require.Equal(t, semver.IsValid(canonical(b)), valid(b), "%q", b)
	if !valid(a) || !valid(b) {
		return
	}
	order := semver.Compare(canonical(a), canonical(b))
	for operator, want := range map[string]bool{
		"=": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
	} {
		rule := placement.SemVer("k", operator+b)
		require.NoError(t, rule.Validate())
		require.Equal(t, want, rule.MatchValue(a, true), "%s %s %s", a, operator, b)
	}
}

func FuzzSemVerRange(f *testing.F) {
	for _, seed := range []string{">= 1.4, < 2", "=1", "!= v1.0.0-rc.1+b", ",", "> ="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, versions string) {
		rule := placement.SemVer("k", versions)
		if err := rule.Validate(); err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			require.False(t, rule.MatchValue("1.0.0", true))
			return
		}
		requireStable(t, rule)
	})
}

// requireStable checks that the text of a valid constraint gives the same
// constraint and the same text again.
func requireStable(t require.TestingT, rule placement.Constraint) {
	again, err := placement.ParseConstraint(rule.String())
	require.NoError(t, err, "%s", rule)
	require.True(t, again.Equal(rule), "%s became %s", rule, again)
	require.Equal(t, rule.String(), again.String())
}
