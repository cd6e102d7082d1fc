package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestNomadConstraints states what Nomad documents of the operators of its
// constraint block, one rule a line, in our spelling. distinct_hosts,
// distinct_property and spread need the state of a cluster and are tested in
// package scheduler.
func TestNomadConstraints(t *testing.T) {
	const absent = "\x00"
	contains := func(element string) placement.Constraint {
		return placement.Matches("k", `(^|,)\s*`+element+`\s*(,|$)`)
	}
	tests := []struct {
		rule    string
		ours    placement.Constraint
		in, out []string
	}{
		{"=", placement.Equal("k", "linux"), []string{"linux"}, []string{"Linux", "", absent}},
		{"!=, missing included", placement.NotEqual("k", "linux"), []string{"windows", "", absent}, []string{"linux"}},
		{"> of integers", placement.Greater("k", 9), []string{"10", "+10"}, []string{"9", "-10", "ten", absent}},
		{">= of integers", placement.Greater("k", 8), []string{"9", "10"}, []string{"8"}},
		{"< of integers", placement.Less("k", 9), []string{"8", "-8"}, []string{"9", "10", "", absent}},
		{"no integer compares to nothing", placement.Not(placement.Greater("k", 0)), []string{"1.5", "1e3", " 1", "0x10", "9223372036854775808", absent}, []string{"1", "9223372036854775807"}},
		{"is_set", placement.Exists("k"), []string{"", "x"}, []string{absent}},
		{"is_not_set", placement.NotExists("k"), []string{absent}, []string{"", "x"}},
		{"regexp is not anchored", placement.Matches("k", "[a-z0-9]"), []string{"xyz", "-9-"}, []string{"-", "", absent}},
		{"version", placement.Version("k", ">= 0.1.0, < 0.2"), []string{"0.1.0", "v0.1.9", "0.1"}, []string{"0.2.0", "0.0.9", "none", absent}},
		{"version ~> 1.4", placement.Version("k", ">= 1.4, < 2"), []string{"1.4", "1.5.9"}, []string{"1.3.9", "2.0"}},
		{"semver: a pre-release is below its release", placement.SemVer("k", ">= 0.6.1"), []string{"0.6.1", "1.0.0-beta1"}, []string{"0.6.1-beta1"}},
		{"semver: pre-releases are ordered", placement.SemVer("k", "> 1.0.0-beta.2"), []string{"1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"}, []string{"1.0.0-beta.2", "1.0.0-alpha"}},
		{"semver: build metadata is ignored", placement.SemVer("k", "= 1.0.0"), []string{"1.0.0+a", "1.0.0+b"}, []string{"1.0.0-a+b"}},
		{"set_contains", placement.And(contains("a"), contains("c")), []string{"a,b,c", "c,a", "c, a", " a ,c"}, []string{"a,b", "aa,c", "", absent}},
		{"set_contains_any", placement.Or(contains("a"), contains("c")), []string{"a", "b,c"}, []string{"b", "ac", absent}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			require.NoError(t, tt.ours.Validate())
			holds := func(value string) bool {
				if value == absent {
					return tt.ours.Match(nil)
				}
				return tt.ours.Match(map[string]string{"k": value})
			}
			for _, value := range tt.in {
				require.True(t, holds(value), "%q", value)
			}
			for _, value := range tt.out {
				require.False(t, holds(value), "%q", value)
			}
		})
	}
}
