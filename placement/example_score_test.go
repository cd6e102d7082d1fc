package placement_test

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// The fuller the node, the better it packs. Every dimension of the cluster
// counts, so a node without GPUs is preferred by work without.
func ExampleScoreBinPack() {
	scale := placement.Scale{Reference: placement.Resources{
		CPU: placement.Reference(32 * placement.Core),
		GPU: placement.Reference(8 * placement.Device),
	}}
	for _, free := range []placement.Resources{
		{CPU: 32 * placement.Core, GPU: 8 * placement.Device},
		{CPU: 32 * placement.Core},
		{CPU: 4 * placement.Core},
	} {
		fmt.Println(free, "→", placement.ScoreBinPack(free, scale))
	}
	// Output:
	// cpu=32 gpu=8 → 23
	// cpu=32 → 891
	// cpu=4 → 986
}

// The emptier the node, the better it spreads, but GPUs that are not asked
// for are left alone.
func ExampleScoreSpread() {
	scale := placement.Scale{Reference: placement.Resources{
		CPU: placement.Reference(32 * placement.Core),
		GPU: placement.Reference(8 * placement.Device),
	}}
	request := placement.Resources{CPU: placement.Core}
	for _, free := range []placement.Resources{
		{CPU: 32 * placement.Core, GPU: 8 * placement.Device},
		{CPU: 32 * placement.Core},
		{CPU: 4 * placement.Core},
	} {
		fmt.Println(free, "→", placement.ScoreSpread(free, request, scale))
	}
	// Output:
	// cpu=32 gpu=8 → 129
	// cpu=32 → 997
	// cpu=4 → 902
}

// A weight of 50 outweighs half of the scale of the strategy: the emptier
// node with the label wins unless the other is more than half the scale ahead.
func ExampleScore() {
	scale := placement.Scale{Reference: placement.Resources{CPU: 64, Memory: 64}}
	terms := func(free placement.Resources, soft int64) placement.Terms {
		r, bound := scale.BinPack(free)
		return placement.Terms{Strategy: r, Bound: bound, Soft: soft * placement.Unit, SoftHigh: 50 * placement.Unit}
	}
	fast := terms(placement.Resources{CPU: 64, Memory: 40}, 50)
	full := terms(placement.Resources{CPU: 32, Memory: 16}, 0)
	fuller := terms(placement.Resources{CPU: 8, Memory: 8}, 0)
	fmt.Println(placement.Score(fast) > placement.Score(full), placement.Score(fast) > placement.Score(fuller))
	fmt.Println(fast.Normalized(), full.Normalized(), fuller.Normalized())
	// Output:
	// true false
	// 458 416 583
}

func ExampleScale_BinPack() {
	scale := placement.Scale{
		Reference: placement.Resources{CPU: 64, GPU: 4 * placement.Device},
		Weights:   map[placement.ResourceName]int64{placement.NameGPU: 3},
	}
	r, bound := scale.BinPack(placement.Resources{CPU: 16})
	fmt.Println(float64(r)/placement.Unit, bound/placement.Unit)
	// Output: 3.75 4
}

func ExampleReference() {
	reference := placement.Reference(48 * placement.Core)
	fmt.Println(reference, placement.FreeShare(reference/4, reference) == placement.Unit/4)
	// Output: 65536 true
}

func ExamplePermille() {
	fmt.Println(placement.Permille(5, -10, 10))
	// Output: 750
}
