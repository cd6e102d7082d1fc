package reservation

import (
	"iter"

	"github.com/rads-project/constellation/placement"
)

// Load is an amount of resources and of instances. The zero value is nothing.
type Load struct {
	// Resources in the units of package placement.
	Resources placement.Resources `json:"resources,omitzero"`
	// Instances among the node's, at least 0.
	Instances int64 `json:"instances,omitempty"`
}

// Clone returns a copy that shares nothing with l.
func (l Load) Clone() Load {
	l.Resources = l.Resources.Clone()
	return l
}

// IsZero reports whether there is nothing.
func (l Load) IsZero() bool { return l.Instances == 0 && l.Resources.IsZero() }

// Hold is a load on one node over a window of time. Plan counts holds and
// nothing else: a slot is a hold, and so is an instance.
type Hold struct {
	// Node that Load is on, over Window.
	Node   string
	Window Window
	Load   Load
	// Devices are the indices of the GPUs that Load.Resources.GPU is of: all of
	// a whole number of devices, or the one that a fraction is of.
	Devices []int
}

// Room is what a node gives and what is used on it by instances that the Plan
// was not told of. The host knows both.
type Room struct {
	// Allocatable amounts, as placement.Node.Allocatable.
	Allocatable placement.Resources
	// MaxInstances caps the instances; 0 is no cap.
	MaxInstances int64
	// Used by instances unknown to the Plan. Its GPU is not looked at.
	Used Load
	// Devices has one entry per GPU: thousandths of it that are used by
	// instances unknown to the Plan.
	Devices []int64
}

// deviceShare returns what a load takes of each device that it is on.
func deviceShare(gpu int64) int64 { return min(gpu, placement.Device) }

// lane is one thing that is counted on a node: a dimension, or one GPU.
type lane struct {
	name   placement.ResourceName
	device int
}

// amounts yields what the hold puts on each lane.
func (h *Hold) amounts() iter.Seq2[lane, int64] {
	return func(yield func(lane, int64) bool) {
		for name, amount := range h.Load.Resources.All() {
			if amount != 0 && name != placement.NameGPU && !yield(lane{name: name}, amount) {
				return
			}
		}
		if h.Load.Instances != 0 && !yield(lane{name: placement.NameInstances}, h.Load.Instances) {
			return
		}
		for _, device := range h.Devices {
			if !yield(lane{placement.NameGPU, device}, deviceShare(h.Load.Resources.GPU)) {
				return
			}
		}
	}
}
