package placement_test

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// Devices define the GPU capacity, and the model is a label.
func ExampleNode() {
	node := placement.Node{
		ID:       "gpu-1",
		Capacity: placement.Resources{CPU: 64 * placement.Core, Memory: 512 * placement.GiB},
		Devices:  placement.Devices{Count: 8, Model: "A100"},
	}
	fmt.Println(node.Canonical().Capacity, node.Validate())
	fmt.Println(node.Meets(placement.In(placement.LabelGPUModel, "A100", "H100")))
	// Output:
	// cpu=64 memory=512GiB gpu=8 <nil>
	// true
}

// A broken device is no capacity. The others keep their indices.
func ExampleDevices_broken() {
	node := placement.Node{ID: "gpu-1", Devices: placement.Devices{Count: 4, Model: "L4", Broken: []int{1}}}
	canonical := node.Canonical()
	fmt.Println(canonical.Capacity, "of which", canonical.Allocatable(), "works")
	for i := range canonical.Devices.Count {
		fmt.Print(i, " ", canonical.Devices.Works(i), "; ")
	}
	// Output:
	// gpu=4 of which gpu=3 works
	// 0 true; 1 false; 2 true; 3 true;
}

// What is allocatable is the capacity less what is reserved, times the
// overcommit.
func ExampleNode_Allocatable() {
	node := placement.Node{
		ID:       "n1",
		Capacity: placement.Resources{CPU: 16 * placement.Core, Memory: 64 * placement.GiB},
		Reserved: placement.Resources{CPU: 2 * placement.Core, Memory: 4 * placement.GiB},
		Overcommit: map[placement.ResourceName]placement.Ratio{
			placement.NameCPU: {Numerator: 3, Denominator: 2},
		},
	}
	allocatable := node.Allocatable()
	fmt.Println(allocatable)
	// Output: cpu=21 memory=60GiB
}

func ExampleNode_Validate() {
	node := placement.Node{
		Capacity: placement.Resources{CPU: 4 * placement.Core, GPU: 3 * placement.Device},
		Reserved: placement.Resources{CPU: 5 * placement.Core},
		Devices:  placement.Devices{Count: 2, Model: "A100"},
		Taints:   []placement.Taint{{Key: "dedicated", Effect: "Always"}},
	}
	fmt.Println(node.Validate())
	// Output:
	// placement: invalid id: empty
	// placement: invalid reserved.cpu "5000": more than the capacity
	// placement: invalid capacity.gpu "3000": differs from devices.count
	// placement: invalid taints[0].effect "Always": want NoSchedule, PreferNoSchedule or NoExecute
}

func ExampleNode_Label() {
	node := placement.Node{ID: "n1", Labels: map[string]string{"rack": "r7"}, Devices: placement.Devices{Count: 1, Model: "L4"}}
	for _, key := range []string{"rack", placement.LabelGPUModel, "zone"} {
		value, ok := node.Label(key)
		fmt.Printf("%s %q %t\n", key, value, ok)
	}
	// Output:
	// rack "r7" true
	// gpu.model "L4" true
	// zone "" false
}

func ExampleRatio_Scale() {
	amount, ok := placement.Ratio{Numerator: 3, Denominator: 2}.Scale(7)
	fmt.Println(amount, ok)
	// Output: 10 true
}

// A fraction goes where least is left, or to spread where most is; whole devices
// are untouched ones.
func ExampleChooseDevices() {
	left := []int64{placement.Device, 400, placement.Device}
	fmt.Println(placement.ChooseDevices(left, 250, placement.BinPack))
	fmt.Println(placement.ChooseDevices(left, 250, placement.Spread))
	fmt.Println(placement.ChooseDevices(left, 2*placement.Device, placement.BinPack))
	fmt.Println(placement.ChooseDevices(left, placement.Device, placement.BinPack, 2)) // prefer the one that it had
	// Output:
	// [1] true
	// [0] true
	// [0 2] true
	// [2] true
}
