package placement_test

import (
	"cmp"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestVersionReadsWhatMachinesReport has versions of drivers, kernels,
// distributions and builds as they stand in labels.
func TestVersionReadsWhatMachinesReport(t *testing.T) {
	tests := []struct {
		versions string
		in, out  []string
	}{
		{">= 525", []string{"535.129.03", "550.90.07", "525", "525.0", "1000"}, []string{"470.223.02", "524.999"}},
		{"< 535.129.4", []string{"535.129.03", "535.129.003.9"}, []string{"535.129.04", "535.129.10"}},
		{">= 22.04", []string{"22.04", "22.4", "24.04.1", "22.10"}, []string{"20.04", "22", "22.03"}},
		{"> 2023.09.14", []string{"2023.09.15", "2023.9.15", "2024"}, []string{"2023.09.14", "2023.8.30"}},
		{">= 10.0.19045", []string{"10.0.19045.3693", "10.0.22631", "11"}, []string{"10.0.19044.9999", "10"}},
		{">= 5.4, < 7", []string{"5.4.0-150-generic", "6.1.0-18-amd64", "6.1.61-85.141.amzn2023.x86_64", "5.15.167.4-microsoft-standard-WSL2", "5.14.0-362.8.1.el9_3.x86_64"}, []string{"4.18.0-513.el8", "7", "7.0.0-rc1"}},
		{"= 7.0.0.1", []string{"7.0.0.1", "v7.0.0.1", "7.0.0.1.0", "7.0.0.1+build", "7.0.0.1.x", "7.0.0.1."}, []string{"7.0.0", "7.0.0.10"}},
		{"!= 1.4", []string{"1.4.1", "1.40", "1.5-rc"}, []string{"1.4", "1.4-rc", "1.4.0", "1.4..1", "01.04"}},
		{">= 99999999999999999999999999.0.0", []string{"100000000000000000000000000", "0099999999999999999999999999"}, []string{"99999999999999999999999998"}},
		{">=1,>=2,>=3", []string{"3", "3.0-x"}, []string{"2"}},
	}
	for _, tt := range tests {
		t.Run(tt.versions, func(t *testing.T) {
			rule := placement.Version("k", tt.versions)
			require.NoError(t, rule.Validate())
			for _, version := range tt.in {
				require.True(t, rule.MatchValue(version, true), version)
			}
			for _, version := range tt.out {
				require.False(t, rule.MatchValue(version, true), version)
			}
			for _, none := range []string{"", "v", "unknown", ".5", "-5", "V5", " 5", "el9", "٥"} {
				require.False(t, rule.MatchValue(none, true), none)
				require.False(t, rule.Reads(none), none)
			}
			require.False(t, rule.MatchValue("", false))
		})
	}
}

func TestVersionInvalidRanges(t *testing.T) {
	tests := []string{
		"", " ", ",", "1.4", "~> 1.4", "^1", ">", ">= 1.4,", ">= 1.4 < 2", "=> 1", "== 1", "> = 1", ">= 1.", ">= 1..2", ">= .1",
		">= 1.4-rc", ">= 1+b", ">= 5.4.0-150-generic", ">= vv1", ">= V1", ">= -1", ">= 1.x", ">= ١",
	}
	for _, versions := range tests {
		t.Run(versions, func(t *testing.T) {
			rule := placement.Version("k", versions)
			requireFields(t, rule.Validate(), "")
			require.False(t, rule.MatchValue("1.4.0", true))
		})
	}
	require.ErrorContains(t, placement.Version("k", ">= 1.4-rc").Validate(), "SemVer knows pre-releases")
}

func TestVersionTextIsCanonical(t *testing.T) {
	spaced, dense := placement.Version("k", "  >=  v1.04 ,<2"), placement.Version("k", ">=v1.04,< 2")
	require.Equal(t, `k version ">= v1.04, < 2"`, spaced.String())
	require.True(t, spaced.Equal(dense))
	require.False(t, spaced.Equal(placement.SemVer("k", ">= 1.4")))
}

func genReported() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`v?0{0,2}[0-9]{1,2}(\.0?[0-9]){0,4}`),
		rapid.StringMatching(`v?[0-2](\.[0-2]){0,3}[-.+a]{0,2}[0-9a-z.]{0,4}`),
		rapid.StringMatching(`[v0-2.+a_@-]{0,8}`),
	)
}

func TestVersionAgainstBigNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkAgainstNumbers(t, genReported().Draw(t, "a"), genReported().Draw(t, "b"))
	})
}

func FuzzVersion(f *testing.F) {
	for _, seed := range [][2]string{{"535.129.03", "535"}, {"5.4.0-150-generic", "5.4"}, {"v1..2", "1."}, {"00", "0.0.0"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		const longest = placement.MaxValueBytes - len(">= ")
		checkAgainstNumbers(t, a, b[:min(len(b), longest)])
	})
}

// checkAgainstNumbers reads versions by a pattern, and compares their numbers.
func checkAgainstNumbers(t require.TestingT, a, b string) {
	pattern := regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+)*)`)
	numbers := func(text string) (list []*big.Int) {
		if found := pattern.FindStringSubmatch(text); found != nil {
			for digits := range strings.SplitSeq(found[1], ".") {
				n, _ := new(big.Int).SetString(digits, 10)
				list = append(list, n)
			}
		}
		return list
	}
	b = strings.TrimSpace(b)
	as, bs := numbers(a), numbers(b)
	require.Equal(t, len(as) > 0, placement.Version("k", ">= 0").MatchValue(a, true), "%q", a)
	require.Equal(t, len(as) > 0, placement.Version("k", ">= 0").Reads(a), "%q", a)
	bound := pattern.FindString(b)
	if !strings.Contains(b, ",") { // one range
		whole := bound == b && bound != ""
		require.Equal(t, whole, placement.Version("k", "= "+b).Validate() == nil, "%q", b)
	}
	if len(as) == 0 || bound == "" {
		return
	}
	order := 0
	at := func(list []*big.Int, i int) *big.Int {
		if i < len(list) {
			return list[i]
		}
		return new(big.Int)
	}
	for i := range max(len(as), len(bs)) {
		order = cmp.Or(order, at(as, i).Cmp(at(bs, i)))
	}
	for operator, want := range map[string]bool{
		"=": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
	} {
		rule := placement.Version("k", operator+bound)
		require.NoError(t, rule.Validate())
		require.Equal(t, want, rule.MatchValue(a, true), "%s %s %s", a, operator, bound)
		requireStable(t, rule)
	}
}

func FuzzVersionRange(f *testing.F) {
	for _, seed := range []string{">= 1.4, < 2", "=1", "!= v1.0.0.0", ",", "> =", ">= 5.4.0-150-generic"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, versions string) {
		rule := placement.Version("k", versions)
		if err := rule.Validate(); err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			if len(versions) <= placement.MaxValueBytes { // or it is only too long
				require.False(t, rule.MatchValue("1.0.0", true))
			}
			return
		}
		requireStable(t, rule)
	})
}

// TestUnreadableNamesTheFirstLabelThatCannotBeRead of a constraint that does not hold.
func TestUnreadableNamesTheFirstLabelThatCannotBeRead(t *testing.T) {
	n := &placement.Node{
		ID: "n", Labels: map[string]string{"driver": "N/A", "cores": "many", "agent": "1.4", "disk": "ssd", "pool": "x"},
		Devices: placement.Devices{Count: 1, Model: "L4"},
	}
	driver, cores := placement.Version("driver", ">= 525"), placement.Greater("cores", 8)
	tests := []struct {
		rule  placement.Constraint
		value string // empty: nothing
	}{
		{driver, "driver N/A"},
		{placement.SemVer("driver", ">= 1"), "driver N/A"},
		{cores, "cores many"},
		{placement.Less("cores", 8), "cores many"},
		{placement.Version(placement.LabelGPUModel, "> 4"), "gpu.model L4"},
		{placement.And(placement.Equal("disk", "ssd"), driver, cores), "driver N/A"},
		{placement.Or(placement.Equal("disk", "hdd"), placement.And(cores)), "cores many"},
		{placement.Or(placement.Equal("disk", "ssd"), driver), ""},
		{placement.Not(driver), ""},
		{placement.SemVer("agent", ">= 2"), ""},
		{placement.Version("agent", ">= 2"), ""},
		{placement.Version("missing", ">= 2"), ""},
		{placement.Equal("driver", "525"), ""},
		{placement.Matches("driver", "5"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule.String(), func(t *testing.T) {
			key, value, found := n.Unreadable(tt.rule)
			require.Equal(t, tt.value, strings.TrimSpace(key+" "+value))
			require.Equal(t, tt.value != "", found)
		})
	}
}
