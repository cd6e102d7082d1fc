package placement_test

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/rads-project/constellation/placement"
)

func ExampleResources() {
	need := placement.Resources{
		CPU:     4 * placement.Core,
		Memory:  8 * placement.GiB,
		Disk:    placement.TB,
		Network: 10 * placement.Gbps,
		GPU:     250 * placement.MilliGPU,
		Custom:  map[string]int64{"licence": 2},
	}
	fmt.Println(need)
	fmt.Println(placement.Resources{})
	// Output:
	// cpu=4 memory=8GiB disk=976562500KiB network=10Gbps gpu=250m licence=2
	// none
}

// A float becomes millicores at the border, or an error.
func ExampleCores() {
	cores, err := placement.Cores(1.5)
	fmt.Println(cores, err)
	_, err = placement.Cores(math.NaN())
	fmt.Println(err)
	// Output:
	// 1500 <nil>
	// placement: invalid cpu "NaN": want a finite number of cores, at least 0
}

func ExampleParseResources() {
	r, err := placement.ParseResources("cpu=1.5, memory=512MiB, licence=2")
	fmt.Println(r.CPU, r.Memory, r.Custom["licence"], err)
	_, err = placement.ParseResources("cpu=fast memory=0.5")
	fmt.Println(err)
	// Output:
	// 1500 536870912 2 <nil>
	// placement: invalid cpu "fast": unknown unit
	// placement: invalid memory "0.5": not a whole number of base units
}

func ExampleParseQuantity() {
	amount, err := placement.ParseQuantity(placement.NameNetwork, "2.5Gbps")
	fmt.Println(amount, err)
	_, err = placement.ParseQuantity(placement.NameCPU, "0.0005")
	fmt.Println(err)
	// Output:
	// 2500000000 <nil>
	// placement: invalid cpu "0.0005": not a whole number of base units
}

func ExampleFormatQuantity() {
	fmt.Println(placement.FormatQuantity(placement.NameMemory, 1536*placement.MiB))
	fmt.Println(placement.FormatQuantity(placement.NameCPU, 1500))
	// Output:
	// 1536MiB
	// 1500m
}

// Overflow is an error that names the dimension, never a wrong sum.
func ExampleResources_Add() {
	a := placement.Resources{CPU: placement.Core, Memory: placement.GiB}
	sum, err := a.Add(placement.Resources{CPU: 500, Custom: map[string]int64{"licence": 1}})
	fmt.Println(sum, err)
	_, err = a.Add(placement.Resources{CPU: math.MaxInt64})
	fmt.Println(err)
	// Output:
	// cpu=1500m memory=1GiB licence=1 <nil>
	// placement: invalid cpu "1000 + 9223372036854775807": out of range
}

func ExampleResources_Sub() {
	a := placement.Resources{CPU: placement.Core}
	_, err := a.Sub(placement.Resources{CPU: 2 * placement.Core})
	fmt.Println(err)
	// Output: placement: invalid cpu "1000 - 2000": out of range
}

func ExampleResources_FitsIn() {
	free := placement.Resources{CPU: 2 * placement.Core, Memory: 4 * placement.GiB}
	fmt.Println(placement.Resources{CPU: placement.Core}.FitsIn(free))
	fmt.Println(placement.Resources{CPU: placement.Core, GPU: placement.Device}.FitsIn(free))
	// Output:
	// true
	// false
}

func ExampleResources_All() {
	r := placement.Resources{Memory: placement.GiB, Custom: map[string]int64{"b": 2, "a": 1}}
	for name, amount := range r.All() {
		fmt.Println(name, amount)
	}
	// Output:
	// cpu 0
	// memory 1073741824
	// disk 0
	// network 0
	// gpu 0
	// a 1
	// b 2
}

func ExampleResources_With() {
	a := placement.Resources{CPU: placement.Core}
	b := a.With("licence", 3)
	fmt.Println(a, "|", b, "|", b.Amount("licence"))
	// Output: cpu=1 | cpu=1 licence=3 | 3
}

func ExampleResources_Equal() {
	a := placement.Resources{CPU: 1, Custom: map[string]int64{"licence": 0}}
	fmt.Println(a.Equal(placement.Resources{CPU: 1}), a.IsZero())
	// Output: true false
}

func ExampleResources_MarshalJSON() {
	encoded, _ := json.Marshal(placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB})
	fmt.Println(string(encoded))
	var decoded placement.Resources
	err := json.Unmarshal([]byte(`{"cpu":-4000}`), &decoded)
	fmt.Println(err)
	// Output:
	// {"cpu":4000,"memory":8589934592}
	// placement: invalid cpu "-4000": negative
}

func ExampleUtilization() {
	partsPerMillion := placement.Utilization(3*placement.Core, 4*placement.Core)
	fmt.Println(partsPerMillion)
	// Output: 750000
}

func ExampleOverallUtilization() {
	used := placement.Resources{CPU: 1, Memory: 3}
	total := placement.Resources{CPU: 2, Memory: 4}
	fmt.Println(placement.OverallUtilization(used, total))
	// Output: 625000
}
