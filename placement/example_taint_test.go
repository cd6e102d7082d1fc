package placement_test

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

func ExampleParseTaint() {
	taint, err := placement.ParseTaint("dedicated=gpu:NoSchedule")
	fmt.Println(taint.Key, taint.Value, taint.Effect, err)
	_, err = placement.ParseTaint("dedicated=gpu:Sometimes")
	fmt.Println(err)
	// Output:
	// dedicated gpu NoSchedule <nil>
	// placement: invalid taint.effect "Sometimes": want NoSchedule, PreferNoSchedule or NoExecute
}

func ExampleTaint_String() {
	fmt.Println(placement.Taint{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule})
	fmt.Println(placement.Taint{Key: "unreachable", Effect: placement.NoExecute})
	// Output:
	// dedicated=gpu:NoSchedule
	// unreachable:NoExecute
}

func ExampleParseToleration() {
	for _, text := range []string{"dedicated=gpu", "unreachable:NoExecute for 300s", "*"} {
		toleration, err := placement.ParseToleration(text)
		fmt.Printf("%+v %v\n", toleration.Exists, err)
	}
	// Output:
	// false <nil>
	// true <nil>
	// true <nil>
}

func ExampleTolerateEqual() {
	toleration := placement.TolerateEqual("dedicated", "gpu")
	fmt.Println(toleration.Tolerates(placement.Taint{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule}))
	fmt.Println(toleration.Tolerates(placement.Taint{Key: "dedicated", Value: "db", Effect: placement.NoSchedule}))
	// Output:
	// true
	// false
}

// An empty key tolerates all taints.
func ExampleTolerateExists() {
	taint := placement.Taint{Key: "dedicated", Value: "db", Effect: placement.NoExecute}
	fmt.Println(placement.TolerateExists("dedicated").Tolerates(taint))
	fmt.Println(placement.TolerateExists("").Tolerates(taint))
	fmt.Println(placement.TolerateExists("").OnlyFor(placement.NoSchedule).Tolerates(taint))
	// Output:
	// true
	// true
	// false
}

func ExampleTolerated() {
	taint := placement.Taint{Key: "dedicated", Value: "db", Effect: placement.NoSchedule}
	fmt.Println(placement.Tolerated(taint, nil))
	fmt.Println(placement.Tolerated(taint, []placement.Toleration{placement.TolerateEqual("dedicated", "db")}))
	// Output:
	// false
	// true
}

// How long an instance may stay under a NoExecute taint: the least time of
// what tolerates it, no time if nothing does, no limit if nothing has one.
func ExampleEvictionDelay() {
	taint := placement.Taint{Key: "unreachable", Effect: placement.NoExecute}
	patient := placement.TolerateExists("unreachable")
	for _, tolerations := range [][]placement.Toleration{
		nil,
		{patient.AtMost(300), placement.TolerateExists("").AtMost(60)},
		{patient},
	} {
		delay, due := placement.EvictionDelay(taint, tolerations)
		fmt.Println(delay, due)
	}
	// Output:
	// 0s true
	// 1m0s true
	// 0s false
}
