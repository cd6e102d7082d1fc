package reservation

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Stay is an instance outside of reservations that the Plan was told of,
// because it will leave at a known time or when told.
type Stay struct {
	// ID of the instance, and its namespace.
	ID        string `json:"id"`
	Namespace string `json:"namespace,omitempty"`
	// Node that it is on, what it uses there, and the indices of its GPUs.
	Node    string `json:"node"`
	Load    Load   `json:"load"`
	Devices []int  `json:"devices,omitempty"`
	// Window from when it came to when it promised to be gone. It counts
	// after that too, until it is said to be gone.
	Window Window `json:"window"`
	// Yield says that it stands on capacity that may be promised to others
	// from later on, and leaves when told.
	Yield bool `json:"yield,omitempty"`
	// Priority of the instance: of several that could leave, the lowest is
	// asked to.
	Priority int32 `json:"priority,omitempty"`
	// Told says that it was told to leave.
	Told bool `json:"told,omitempty"`
	// Overstayed says that it should have gone.
	Overstayed bool `json:"overstayed,omitempty"`
}

func (s Stay) clone() Stay {
	s.Load, s.Devices = s.Load.Clone(), copied(s.Devices)
	return s
}

// hold returns what the instance counts for: for ever once it has overstayed.
func (s *Stay) hold() Hold {
	w := s.Window
	if s.Overstayed {
		w.End = time.Time{}
	}
	return Hold{s.Node, w, s.Load, s.Devices}
}

// amountOn returns what a stay takes of a lane.
func (s *Stay) amountOn(of lane) int64 {
	switch of.name {
	case placement.NameInstances:
		return s.Load.Instances
	case placement.NameGPU:
		if !slices.Contains(s.Devices, of.device) {
			return 0
		}
		return deviceShare(s.Load.Resources.GPU)
	default:
		return s.Load.Resources.Amount(of.name)
	}
}
