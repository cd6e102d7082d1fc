package placement_test

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestCores(t *testing.T) {
	tests := []struct {
		name  string
		cores float64
		want  int64
		bad   bool
	}{
		{name: "zero", cores: 0, want: 0},
		{name: "negative zero", cores: math.Copysign(0, -1), want: 0},
		{name: "one and a half", cores: 1.5, want: 1500},
		{name: "rounds down", cores: 0.0004, want: 0},
		{name: "rounds half up", cores: 0.0005, want: 1},
		{name: "smallest", cores: math.SmallestNonzeroFloat64, want: 0},
		{name: "large", cores: 9e15, want: 9e18},
		{name: "two to the 63 millicores", cores: 9223372036854775.808, bad: true},
		{name: "negative", cores: -0.5, bad: true},
		{name: "negative that rounds to zero", cores: -0.0001, bad: true},
		{name: "huge", cores: 1e300, bad: true},
		{name: "overflows when scaled", cores: math.MaxFloat64, bad: true},
		{name: "not a number", cores: math.NaN(), bad: true},
		{name: "infinity", cores: math.Inf(1), bad: true},
		{name: "negative infinity", cores: math.Inf(-1), bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := placement.Cores(tt.cores)
			if tt.bad {
				requireFields(t, err, "cpu")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestCoresIsExactForMillicores(t *testing.T) {
	for k := range int64(1_000_001) {
		got, err := placement.Cores(float64(k) / placement.Core)
		if err != nil || got != k {
			t.Fatalf("Cores(%d/1000) = %d, %v", k, got, err)
		}
	}
}

func TestResourcesFitsIn(t *testing.T) {
	type r = placement.Resources
	custom := func(amount int64) r { return r{Custom: map[string]int64{"licence": amount}} }
	tests := []struct {
		name       string
		need, free r
		want       bool
	}{
		{name: "nothing in nothing", want: true},
		{name: "equal", need: r{CPU: 1, Memory: 2, Disk: 3, Network: 4, GPU: 5}, free: r{CPU: 1, Memory: 2, Disk: 3, Network: 4, GPU: 5}, want: true},
		{name: "cpu", need: r{CPU: 2}, free: r{CPU: 1, Memory: 9}},
		{name: "memory", need: r{Memory: 2}, free: r{Memory: 1}},
		{name: "disk", need: r{Disk: 2}, free: r{Disk: 1}},
		{name: "network", need: r{Network: 2}, free: r{Network: 1}},
		{name: "gpu", need: r{GPU: 2}, free: r{GPU: 1}},
		{name: "custom", need: custom(2), free: custom(1)},
		{name: "custom fits", need: custom(2), free: custom(2), want: true},
		{name: "custom missing", need: custom(1), free: r{CPU: 9}},
		{name: "custom zero missing", need: custom(0), free: r{}, want: true},
		{name: "custom not asked", need: r{}, free: custom(1), want: true},
		{name: "nothing does not fit below zero", need: r{}, free: r{CPU: -1}},
		{name: "nothing does not fit custom below zero", need: r{}, free: custom(-1)},
		{name: "largest", need: r{CPU: math.MaxInt64}, free: r{CPU: math.MaxInt64}, want: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.need.FitsIn(tt.free))
		})
	}
}

func TestResourcesEqual(t *testing.T) {
	for _, name := range []placement.ResourceName{
		placement.NameCPU, placement.NameMemory, placement.NameDisk, placement.NameNetwork, placement.NameGPU, "x",
	} {
		zero, one := placement.Resources{}, placement.Resources{}.With(name, 1)
		require.False(t, zero.Equal(one), name)
		require.False(t, one.Equal(zero), name)
		require.False(t, one.IsZero(), name)
		require.True(t, one.Equal(one.Clone()), name)
	}
	require.True(t, placement.Resources{}.Equal(placement.Resources{Custom: map[string]int64{"x": 0}}))
}

func TestResourcesAllStopsAnywhere(t *testing.T) {
	r := placement.Resources{Custom: map[string]int64{"b": 1, "a": 1}}
	names := []placement.ResourceName{
		placement.NameCPU, placement.NameMemory, placement.NameDisk, placement.NameNetwork, placement.NameGPU, "a", "b",
	}
	for last := range names {
		var seen []placement.ResourceName
		for name := range r.All() {
			seen = append(seen, name)
			if len(seen) == last+1 {
				break
			}
		}
		require.Equal(t, names[:last+1], seen)
	}
}

func TestResourcesValidate(t *testing.T) {
	many := make(map[string]int64)
	for i := range placement.MaxDimensions - 4 {
		many["c"+strconv.Itoa(i)] = 1
	}
	few := maps.Clone(many)
	few["c0"] = 0
	type r = placement.Resources
	tests := []struct {
		name string
		r    r
		want []string
	}{
		{name: "zero"},
		{name: "largest", r: r{CPU: math.MaxInt64, Custom: map[string]int64{"a.b_c/d:e-F9": math.MaxInt64}}},
		{name: "every amount negative", r: r{CPU: -1, Memory: -1, Disk: -1, Network: -1, GPU: math.MinInt64, Custom: map[string]int64{"x": -1}}, want: []string{"cpu", "memory", "disk", "network", "gpu", "custom.x"}},
		{name: "reserved names", r: r{Custom: map[string]int64{"cpu": 1, "instances": 1}}, want: []string{"custom", "custom"}},
		{name: "reserved names in capitals", r: r{Custom: map[string]int64{"CPU": 1, "Memory": 1}}, want: []string{"custom", "custom"}},
		{name: "malformed names", r: r{Custom: map[string]int64{"": 1, "a b": 1, "é": 1, "a=b": 1}}, want: []string{"custom", "custom", "custom", "custom"}},
		{name: "name too long", r: r{Custom: map[string]int64{string(make([]byte, 64)): 1}}, want: []string{"custom"}},
		{name: "many with a zero, which is none", r: r{Custom: few}},
		{name: "too many", r: r{Custom: many}, want: []string{"custom"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.r.Validate(), tt.want...)
		})
	}
}

func TestResourcesWithLeavesItsReceiverAlone(t *testing.T) {
	names := []placement.ResourceName{
		placement.NameCPU, placement.NameMemory, placement.NameDisk,
		placement.NameNetwork, placement.NameGPU, "a", "b",
	}
	before := placement.Resources{Custom: map[string]int64{"a": 1}}
	after := before
	for i, name := range names {
		after = after.With(name, int64(i)+10)
		require.Equal(t, int64(i)+10, after.Amount(name))
	}
	require.Equal(t, placement.Resources{Custom: map[string]int64{"a": 1}}, before)
	require.Equal(t, "cpu=10m memory=11 disk=12 network=13bps gpu=14m a=15 b=16", after.String())
	require.Equal(t, placement.Resources{Custom: map[string]int64{}}, before.With("a", 0))
}

func TestResourcesCloneIsCanonical(t *testing.T) {
	require.Nil(t, placement.Resources{Custom: map[string]int64{}}.Clone().Custom)
	require.Nil(t, placement.Resources{Custom: map[string]int64{"a": 0}}.Clone().Custom)
	from := placement.Resources{CPU: 1, Custom: map[string]int64{"a": 0, "b": 2}}
	clone := from.Clone()
	require.Equal(t, placement.Resources{CPU: 1, Custom: map[string]int64{"b": 2}}, clone)
	clone.Custom["b"] = 3
	require.Equal(t, int64(2), from.Custom["b"])
}

func TestResourcesJSON(t *testing.T) {
	type r = placement.Resources
	tests := []struct {
		name, text string
		want       r
		fields     []string
		bad        bool
	}{
		{name: "empty", text: `{}`},
		{name: "all", text: `{"cpu":1,"memory":2,"disk":3,"network":4,"gpu":5,"custom":{"licence":6}}`, want: r{CPU: 1, Memory: 2, Disk: 3, Network: 4, GPU: 5, Custom: map[string]int64{"licence": 6}}},
		{name: "negative", text: `{"cpu":-1,"custom":{"x":-2}}`, fields: []string{"cpu", "custom.x"}},
		{name: "instances", text: `{"instances":0}`, fields: []string{"instances"}},
		{name: "reserved names", text: `{"custom":{"instances":0,"cpu":1}}`, fields: []string{"custom", "custom"}},
		{name: "capitals", text: `{"CPU":4000}`, fields: []string{"CPU"}},
		{name: "a custom one that does not say so", text: `{"licence":1}`, fields: []string{"licence"}},
		{name: "no object of custom ones", text: `{"custom":1}`, fields: []string{"custom"}},
		{name: "malformed name with a zero", text: `{"custom":{"a b":0}}`, fields: []string{"custom"}},
		{name: "fraction", text: `{"cpu":1.5}`, fields: []string{"cpu"}},
		{name: "too large", text: `{"cpu":9223372036854775808}`, fields: []string{"cpu"}},
		{name: "unknown units", text: `{"cpu":"4GiB","memory":"8Gi","custom":{"x":"1m"},"disk":"-1"}`, fields: []string{"cpu", "custom.x", "disk", "memory"}},
		{name: "neither number nor text", text: `{"cpu":true,"custom":{"x":[1]},"gpu":{}}`, fields: []string{"cpu", "custom.x", "gpu"}},
		{name: "text under a reserved name", text: `{"custom":{"instances":"1"}}`, fields: []string{"custom"}},
		{name: "list", text: `[]`, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := r{Disk: 99}
			err := json.Unmarshal([]byte(tt.text), &got)
			if tt.bad || tt.fields != nil {
				require.Error(t, err)
				require.Equal(t, r{Disk: 99}, got, "a failed call changes nothing")
				if !tt.bad {
					requireFields(t, err, tt.fields...)
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			encoded, err := json.Marshal(got)
			require.NoError(t, err)
			require.Equal(t, tt.text, string(encoded))
		})
	}
	t.Run("text beside numbers", func(t *testing.T) {
		var got r
		text := `{"cpu":"1.5","memory":"8GiB","disk":3,"network":"10Gbps","gpu":"250m","custom":{"licence":"6","tape":7}}`
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, r{
			CPU: 1500, Memory: 8 * placement.GiB, Disk: 3, Network: 10 * placement.Gbps, GPU: 250,
			Custom: map[string]int64{"licence": 6, "tape": 7},
		}, got)
	})
	t.Run("null changes nothing", func(t *testing.T) {
		got := r{Disk: 99}
		require.NoError(t, json.Unmarshal([]byte("null"), &got))
		require.Equal(t, r{Disk: 99}, got)
	})
}

func TestResourcesAddAndSubFailWithNames(t *testing.T) {
	type r = placement.Resources
	sum, err := r{CPU: math.MaxInt64, Custom: map[string]int64{"a": math.MaxInt64}}.
		Add(r{CPU: 1, Memory: 1, Custom: map[string]int64{"a": 1}})
	requireFields(t, err, "cpu", "a")
	require.Equal(t, r{}, sum)
	difference, err := r{CPU: 1}.Sub(r{CPU: 2, GPU: 1, Custom: map[string]int64{"a": 1}})
	requireFields(t, err, "cpu", "gpu", "a")
	require.Equal(t, r{}, difference)
	require.EqualError(t, r{CPU: -1}.Validate(), `placement: invalid cpu "-1": negative`)
}

// TestResourcesArithmetic compares Add and Sub with integers of any size.
func TestResourcesArithmetic(t *testing.T) { rapid.Check(t, propertyArithmetic) }

func propertyArithmetic(t *rapid.T) {
	a, b := genResources().Draw(t, "a"), genResources().Draw(t, "b")
	before := a.Clone()
	sum, sumErr := a.Add(b)
	difference, differenceErr := a.Sub(b)
	require.True(t, a.Equal(before))

	sumFits, differenceFits := true, true
	for _, name := range dimensionsOf(a, b) {
		x, y := big.NewInt(a.Amount(name)), big.NewInt(b.Amount(name))
		wantSum, wantDifference := new(big.Int).Add(x, y), new(big.Int).Sub(x, y)
		sumFits = sumFits && wantSum.IsInt64()
		differenceFits = differenceFits && wantDifference.Sign() >= 0
		if sumErr == nil {
			require.Equal(t, wantSum.Int64(), sum.Amount(name))
		}
		if differenceErr == nil {
			require.Equal(t, wantDifference.Int64(), difference.Amount(name))
		}
	}
	require.Equal(t, sumFits, sumErr == nil)
	require.Equal(t, differenceFits, differenceErr == nil)
	require.Equal(t, differenceFits, b.FitsIn(a))
	if sumErr == nil {
		back, err := sum.Sub(b)
		require.NoError(t, err)
		require.True(t, back.Equal(a))
	}
	require.Equal(t, a.FitsIn(b) && b.FitsIn(a), a.Equal(b))
	require.Equal(t, a.Equal(placement.Resources{}), a.IsZero())
}

// TestResourcesStable checks that the text and the JSON form give the same
// value and the same bytes again.
func TestResourcesStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genResources().Draw(t, "r")
		require.NoError(t, r.Validate())
		back, err := placement.ParseResources(r.String())
		require.NoError(t, err)
		require.True(t, back.Equal(r), "%v != %v", back, r)
		require.Equal(t, r.String(), back.String())

		encoded, err := json.Marshal(r)
		require.NoError(t, err)
		var decoded placement.Resources
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.True(t, decoded.Equal(r))

		custom := map[placement.ResourceName]string{}
		texts := map[placement.ResourceName]any{"custom": custom}
		for name, amount := range r.All() {
			text := placement.FormatQuantity(name, amount)
			if _, isCustom := r.Custom[string(name)]; isCustom {
				custom[name] = text
			} else {
				texts[name] = text
			}
		}
		encoded, err = json.Marshal(texts)
		require.NoError(t, err)
		decoded = placement.Resources{}
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.True(t, decoded.Equal(r), "%s", encoded)
	})
}

func FuzzResourcesArithmetic(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyArithmetic)) }
