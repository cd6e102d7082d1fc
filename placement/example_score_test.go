package placement_test

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// The fuller the node, the better it packs, by the share of its own size. Every
// dimension of the cluster counts, and every GPU, so a node without free GPUs is
// preferred by work without.
func ExampleScoreBinPack() {
	large := placement.Resources{CPU: 64 * placement.Core, GPU: 8 * placement.Device}
	small := placement.Resources{CPU: 4 * placement.Core}
	scale := placement.Scale{}.With(large).With(small)
	score := func(free, total placement.Resources) {
		fmt.Println(free, "of", total, "→", placement.ScoreBinPack(free, total, scale))
	}
	score(large, large)
	score(placement.Resources{CPU: 32 * placement.Core}, large)
	score(small, small)
	score(placement.Resources{CPU: placement.Core}, small)
	// Output:
	// cpu=64 gpu=8 of cpu=64 gpu=8 → 0
	// cpu=32 of cpu=64 gpu=8 → 970
	// cpu=4 of cpu=4 → 941
	// cpu=1 of cpu=4 → 985
}

// The emptier the node, the better it spreads, but GPUs that are not asked
// for are left alone.
func ExampleScoreSpread() {
	accelerated := placement.Resources{CPU: 32 * placement.Core, GPU: 8 * placement.Device}
	plain := placement.Resources{CPU: 16 * placement.Core}
	scale := placement.Scale{}.With(accelerated).With(plain)
	request := placement.Resources{CPU: placement.Core}
	score := func(free, total placement.Resources) {
		fmt.Println(free, "of", total, "→", placement.ScoreSpread(free, total, request, scale))
	}
	score(accelerated, accelerated)
	score(plain, plain)
	score(placement.Resources{CPU: 4 * placement.Core}, plain)
	// Output:
	// cpu=32 gpu=8 of cpu=32 gpu=8 → 58
	// cpu=16 of cpu=16 → 1000
	// cpu=4 of cpu=16 → 955
}

// A weight of 50 outweighs half of the scale of the strategy: the emptier
// node with the label wins unless the other is more than half the scale ahead.
func ExampleScore() {
	total := placement.Resources{CPU: 64, Memory: 64}
	scale := placement.Scale{}.With(total)
	terms := func(free placement.Resources, soft int64) placement.Terms {
		r, bound := scale.BinPack(free, total)
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

// A label that is no number of the scale counts as 0.
func ExampleScaledNumber() {
	for _, price := range []string{"1000", "250", "0.25", "-1"} {
		number, ok := placement.ScaledNumber(price)
		fmt.Println(price, "→", placement.ScaledShare(number), ok)
	}
	// Output:
	// 1000 → 1048576 true
	// 250 → 262144 true
	// 0.25 → 0 false
	// -1 → 0 false
}

func ExampleScale_BinPack() {
	total := placement.Resources{CPU: 64, GPU: 4 * placement.Device}
	scale := placement.Scale{Weights: map[placement.ResourceName]int64{placement.NameGPU: 3}}.With(total)
	r, bound := scale.BinPack(placement.Resources{CPU: 16, GPU: placement.Device}, total)
	fmt.Println(float64(r)/placement.Unit, bound/placement.Unit)
	// Output: 9.75 13
}

// Every GPU is a dimension of its own.
func ExampleFreeDevices() {
	fmt.Println(placement.FreeShare(12, 48) == placement.Unit/4, placement.FreeDevices(2500) == 2*placement.Unit+placement.Unit/2)
	// Output: true true
}

func ExampleScale_With() {
	scale := placement.Scale{}.
		With(placement.Resources{CPU: 64 * placement.Core, GPU: 4 * placement.Device}).
		With(placement.Resources{CPU: 8 * placement.Core, Memory: 32 * placement.GiB})
	fmt.Println(scale.Dimensions, scale.Devices)
	// Output: [cpu memory] 4
}

func ExamplePermille() {
	fmt.Println(placement.Permille(5, -10, 10))
	// Output: 750
}
