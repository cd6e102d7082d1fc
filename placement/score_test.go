package placement_test

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestFreeDevices(t *testing.T) {
	tests := []struct{ free, want int64 }{
		{math.MinInt64, 0},
		{0, 0},
		{1, placement.Unit / 1000},
		{999, placement.Unit * 999 / 1000},
		{1000, placement.Unit},
		{8500, 8*placement.Unit + placement.Unit/2},
		{placement.MaxDevices * placement.Device, placement.MaxDevices * placement.Unit},
		{math.MaxInt64, placement.MaxDevices * placement.Unit},
	}
	for _, tt := range tests {
		t.Run(strconv.FormatInt(tt.free, 10), func(t *testing.T) {
			require.Equal(t, tt.want, placement.FreeDevices(tt.free))
		})
	}
}

func TestFreeShare(t *testing.T) {
	tests := []struct{ free, total, want int64 }{
		{0, 8, 0},
		{-5, 8, 0},
		{5, 0, 0},
		{5, -8, 0},
		{1, 8, placement.Unit / 8},
		{8, 8, placement.Unit},
		{9, 8, placement.Unit},
		{math.MaxInt64, 1 << 62, placement.Unit},
		{1<<62 - 1, 1 << 62, placement.Unit - 1},
		{1, 1 << 62, 0},
		{1 << 42, 1 << 62, 1},
		{2, 3, placement.Unit * 2 / 3},
		{math.MaxInt64 - 1, math.MaxInt64, placement.Unit - 1},
		{1<<43 - 1, 1 << 44, placement.Unit/2 - 1},
		{1 << 43, 1 << 44, placement.Unit / 2},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.free, "of", tt.total), func(t *testing.T) {
			require.Equal(t, tt.want, placement.FreeShare(tt.free, tt.total))
		})
	}
}

// cluster is a scale and two of its nodes, by what they have free and in all.
type cluster struct {
	scale   placement.Scale
	a, b    placement.Resources
	totals  [2]placement.Resources
	request placement.Resources
}

func genCluster() *rapid.Generator[cluster] {
	return rapid.Custom(func(t *rapid.T) cluster {
		var c cluster
		for i := range c.totals {
			c.totals[i] = genResources().Draw(t, "total")
			c.scale = c.scale.With(c.totals[i])
		}
		c.scale.Weights = rapid.MapOf(genResourceName(), rapid.Int64Range(1, 64)).Draw(t, "weights")
		c.a, c.b = genResources().Draw(t, "a"), genResources().Draw(t, "b")
		c.request = genResources().Draw(t, "request")
		return c
	})
}

func (c cluster) weight(name placement.ResourceName) int64 {
	if w, ok := c.scale.Weights[name]; ok {
		return w
	}
	if name == placement.NameGPU {
		return 2
	}
	return 1
}

// naive computes R and its bound from the definition, with rational numbers:
// a dimension counts as packed or as spread.
func (c cluster) naive(free, total placement.Resources, packed func(placement.ResourceName) bool) (r, bound int64) {
	add := func(name placement.ResourceName, free, unit, most int64) {
		if unit == 0 {
			return
		}
		share := big.NewRat(min(max(free, 0), most/placement.Unit*unit), unit)
		share.Mul(share, big.NewRat(placement.Unit, 1))
		q := new(big.Int).Quo(share.Num(), share.Denom()).Int64()
		if packed(name) {
			q = most - q
		}
		r += c.weight(name) * q
	}
	for _, name := range c.scale.Dimensions {
		bound += c.weight(name) * placement.Unit
		if total.Amount(name) == 0 {
			add(name, 0, 1, placement.Unit)
			continue
		}
		add(name, free.Amount(name), total.Amount(name), placement.Unit)
	}
	most := int64(c.scale.Devices) * placement.Unit
	bound += c.weight(placement.NameGPU) * most
	add(placement.NameGPU, free.GPU, placement.Device, most)
	return r, bound
}

func TestStrategyTermsFollowTheirFormula(t *testing.T) { rapid.Check(t, propertyStrategyTerms) }

func propertyStrategyTerms(t *rapid.T) {
	c := genCluster().Draw(t, "cluster")
	for i, free := range []placement.Resources{c.a, c.b} {
		total := c.totals[i]
		wantR, wantBound := c.naive(free, total, func(placement.ResourceName) bool { return true })
		r, bound := c.scale.BinPack(free, total)
		require.Equal(t, [2]int64{wantR, wantBound}, [2]int64{r, bound})
		require.Equal(t, naivePermille(r, bound), placement.ScoreBinPack(free, total, c.scale))

		wantR, wantBound = c.naive(free, total, func(name placement.ResourceName) bool {
			switch name {
			case placement.NameCPU, placement.NameMemory, placement.NameDisk, placement.NameNetwork:
				return false
			default:
				return c.request.Amount(name) == 0
			}
		})
		r, bound = c.scale.Spread(free, total, c.request)
		require.Equal(t, [2]int64{wantR, wantBound}, [2]int64{r, bound})
		require.Equal(t, naivePermille(r, bound), placement.ScoreSpread(free, total, c.request, c.scale))
	}
	if c.a.FitsIn(c.b) {
		fuller, _ := c.scale.BinPack(c.a, c.totals[0])
		emptier, _ := c.scale.BinPack(c.b, c.totals[0])
		require.GreaterOrEqual(t, fuller, emptier, "a fuller node of the same size packs no worse")
	}
}

func naivePermille(value, bound int64) int {
	if bound == 0 {
		return 0
	}
	share := big.NewRat(value, bound)
	share.Mul(share, big.NewRat(1000, 1))
	return int(new(big.Int).Quo(share.Num(), share.Denom()).Int64())
}

func TestScoreExamples(t *testing.T) {
	type r = placement.Resources
	total := r{CPU: 32 * placement.Core, GPU: 8 * placement.Device}
	scale := placement.Scale{}.With(total)
	tests := []struct {
		name            string
		free, request   r
		binPack, spread int
	}{
		{"full", r{}, r{CPU: 1}, 1000, 941},
		{"empty", r{CPU: 32_000, GPU: 8_000}, r{CPU: 1}, 0, 58},
		{"half the cores, no GPU left", r{CPU: 16_000}, r{CPU: 1}, 970, 970},
		{"half the cores, no GPU left, GPU asked", r{CPU: 16_000}, r{CPU: 1, GPU: 1000}, 970, 29},
		{"more than there is", r{CPU: 64_000, GPU: 9_000}, r{GPU: 1000}, 0, 1000},
		{"below zero", r{CPU: -1, GPU: -1}, r{GPU: 1000}, 1000, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.binPack, placement.ScoreBinPack(tt.free, total, scale))
			require.Equal(t, tt.spread, placement.ScoreSpread(tt.free, total, tt.request, scale))
		})
	}
	require.Zero(t, placement.ScoreBinPack(r{CPU: 1}, r{CPU: 1}, placement.Scale{}), "no dimension, no score")
}

// TestScaleWithNodesInAnyOrder: of a GPU that a node gives a part of all counts, the
// nodes before leave no trace but their dimensions, and no scale changes another.
func TestScaleWithNodesInAnyOrder(t *testing.T) {
	type r = placement.Resources
	small := r{Disk: 1, GPU: 1500, Custom: map[string]int64{"b": 1}}
	large := r{CPU: 1, GPU: 2500, Custom: map[string]int64{"a": 1}}
	require.Equal(t, 2, placement.Scale{}.With(small).Devices)

	first := placement.Scale{Dimensions: append(make([]placement.ResourceName, 0, 8), placement.NameDisk)}
	both := first.With(small).With(large)
	require.Equal(t, both, placement.Scale{}.With(large).With(small))
	require.Equal(t, 3, both.Devices)
	require.Equal(t, []placement.ResourceName{placement.NameDisk, ""}, first.Dimensions[:2])
}

// TestScoreDominance checks what a weight promises: w outweighs w per cent of
// the whole strategy scale, and no more.
func TestScoreDominance(t *testing.T) { rapid.Check(t, propertyDominance) }

func propertyDominance(t *rapid.T) {
	c := genCluster().Draw(t, "cluster")
	weight := rapid.Int64Range(-100, 100).Draw(t, "weight")
	rest := rapid.Int64Range(-63*100*placement.Unit, 62*100*placement.Unit).Draw(t, "other soft terms")

	a, bound := c.scale.BinPack(c.a, c.totals[0])
	b, _ := c.scale.BinPack(c.b, c.totals[1])
	with := placement.Score(placement.Terms{Strategy: a, Bound: bound, Soft: rest + weight*placement.Unit})
	without := placement.Score(placement.Terms{Strategy: b, Bound: bound, Soft: rest})
	lead := 100 * (b - a) // of the node without, in hundredths of the strategy term
	require.Equal(t, weight*bound >= lead, with >= without)
	require.Equal(t, weight*bound > lead, with > without)
	if weight == 100 {
		require.GreaterOrEqual(t, with, without)
	}
}

// TestScoreNormalized checks that what people see is on the scale and never
// contradicts the order.
func TestScoreNormalized(t *testing.T) { rapid.Check(t, propertyNormalized) }

func propertyNormalized(t *rapid.T) {
	c := genCluster().Draw(t, "cluster")
	low := rapid.Int64Range(-64*100, 0).Draw(t, "low") * placement.Unit
	high := rapid.Int64Range(0, 64*100).Draw(t, "high") * placement.Unit
	draw := func(name string, free placement.Resources) placement.Terms {
		r, bound := c.scale.Spread(free, c.totals[0], c.request)
		return placement.Terms{
			Strategy: r, Bound: bound, SoftLow: low, SoftHigh: high,
			Soft: rapid.Int64Range(low, high).Draw(t, name),
		}
	}
	a, b := draw("a's soft terms", c.a), draw("b's soft terms", c.b)
	if placement.Score(a) > placement.Score(b) {
		a, b = b, a
	}
	require.LessOrEqual(t, 0, a.Normalized())
	require.LessOrEqual(t, a.Normalized(), b.Normalized())
	require.LessOrEqual(t, b.Normalized(), 1000)
}

func TestNormalizedAtItsBounds(t *testing.T) {
	const most = (placement.MaxDimensions + placement.MaxDevices) * 64
	terms := placement.Terms{Bound: most * placement.Unit, SoftLow: -64 * 100 * placement.Unit, SoftHigh: 64 * 100 * placement.Unit}
	terms.Soft = terms.SoftLow
	require.Equal(t, 0, terms.Normalized())
	terms.Soft, terms.Strategy = terms.SoftHigh, terms.Bound
	require.Equal(t, 1000, terms.Normalized())
	require.Equal(t, int64(most)*placement.Unit*6500, placement.Score(terms))
	require.Zero(t, placement.Terms{}.Normalized())
}

func TestPermille(t *testing.T) {
	tests := []struct {
		value, low, high int64
		want             int
	}{
		{5, 0, 10, 500},
		{-1, 0, 10, 0},
		{11, 0, 10, 1000},
		{0, -10, 10, 500},
		{999, 0, 1000, 999},
		{9999, 0, 10000, 999},
		{5, 5, 5, 0},
		{5, 6, 5, 0},
		{0, math.MinInt64, math.MaxInt64, 500},
		{math.MaxInt64, math.MinInt64, math.MaxInt64, 1000},
		{math.MinInt64, math.MinInt64, math.MaxInt64, 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.value, "in", tt.low, tt.high), func(t *testing.T) {
			require.Equal(t, tt.want, placement.Permille(tt.value, tt.low, tt.high))
		})
	}
}

func TestUtilization(t *testing.T) {
	tests := []struct{ used, total, want int64 }{
		{0, 0, 0},
		{1, 0, 0},
		{0, 1, 0},
		{-1, 10, 0},
		{1, -10, 0},
		{1, 3, 333_333},
		{4, 4, 1_000_000},
		{6, 4, 1_500_000},
		{math.MaxInt64, math.MaxInt64, 1_000_000},
		{math.MaxInt64, 1, math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.used, "of", tt.total), func(t *testing.T) {
			require.Equal(t, tt.want, placement.Utilization(tt.used, tt.total))
		})
	}
}

func TestOverallUtilization(t *testing.T) {
	type r = placement.Resources
	tests := []struct {
		name        string
		used, total r
		want        int64
	}{
		{"nothing", r{}, r{}, 0},
		{"mean over what there is", r{CPU: 1, Memory: 3}, r{CPU: 2, Memory: 4}, 625_000},
		{"unused dimensions count", r{CPU: 2}, r{CPU: 2, Memory: 4, Custom: map[string]int64{"x": 1, "y": 1}}, 250_000},
		{"dimensions without a total do not", r{CPU: 1, GPU: 5}, r{CPU: 2}, 500_000},
		{"no overflow", r{CPU: math.MaxInt64, Memory: math.MaxInt64}, r{CPU: 1, Memory: 1}, 1 << 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, placement.OverallUtilization(tt.used, tt.total))
		})
	}
}

func FuzzStrategyTerms(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyStrategyTerms)) }

func FuzzScore(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		propertyDominance(t)
		propertyNormalized(t)
	}))
}
