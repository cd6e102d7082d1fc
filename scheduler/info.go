package scheduler

import (
	"time"

	"github.com/rads-project/constellation/placement"
)

// NodeState is whether a node takes work.
type NodeState string

// The states of nodes.
const (
	NodeReady    NodeState = "ready"
	NodeCordoned NodeState = "cordoned"
	NodeLost     NodeState = "lost"
	// NodeUnreported: it waits for AdoptNode; see Config.RequireReports.
	NodeUnreported NodeState = "unreported"
)

// NodeInfo is a node with what runs on it, at one instant.
type NodeInfo struct {
	placement.Node
	State NodeState `json:"state"`
	// Total is what the node gives to instances: capacity less reserved,
	// overcommitted where the node says so.
	Total placement.Resources `json:"total,omitzero"`
	// Allocated is what instances use, lost ones included.
	Allocated placement.Resources `json:"allocated,omitzero"`
	// Held is what reservations hold for later or for their owners.
	Held placement.Resources `json:"held,omitzero"`
	// Available is Total less Allocated and Held, not below zero.
	Available placement.Resources `json:"available,omitzero"`
	// DeviceFree is what is left on each GPU, in thousandths.
	DeviceFree []int64 `json:"deviceFree,omitempty"`
	// Instances on the node; Node.MaxInstances caps them.
	Instances int64 `json:"instances,omitempty"`
	// Join is the node's place in the order of joining, which breaks ties.
	Join uint64 `json:"join"`
	// Version is the sequence number of the last change of the node itself.
	Version uint64 `json:"version"`
}

// Utilization returns the used share of a dimension, 0 to 1, for people; it
// exceeds 1 on a node whose capacity was lowered below its use.
func (n NodeInfo) Utilization(name placement.ResourceName) float64 {
	return float64(placement.Utilization(n.Allocated.Amount(name), n.Total.Amount(name))) / 1e6
}

// Overall returns the mean of Utilization over the dimensions with capacity.
func (n NodeInfo) Overall() float64 {
	return float64(placement.OverallUtilization(n.Allocated, n.Total)) / 1e6
}

// Over returns the dimensions in which more is allocated than there is, in
// the order of Resources.All, and last placement.NameInstances if there are
// more of those than Node.MaxInstances.
func (n NodeInfo) Over() []placement.ResourceName {
	var over []placement.ResourceName
	for name, used := range n.Allocated.All() {
		if used > n.Total.Amount(name) {
			over = append(over, name)
		}
	}
	if n.MaxInstances > 0 && n.Instances > n.MaxInstances {
		over = append(over, placement.NameInstances)
	}
	return over
}

// HasTaint reports whether the node has a taint of this key, of any value and
// effect.
func (n NodeInfo) HasTaint(key string) bool {
	for _, t := range n.Taints {
		if t.Key == key {
			return true
		}
	}
	return false
}

// AllocationState is what became of an instance.
type AllocationState string

// The states of allocations.
const (
	// Running: the instance counts everywhere.
	Running AllocationState = "running"
	// Lost: its node was marked lost; it holds capacity there, but no quota,
	// and counts in no affinity or spread.
	Lost AllocationState = "lost"
	// Stale: it was lost and has been placed anew under its ID; this
	// generation holds capacity on its node until it is released there.
	Stale AllocationState = "stale"
	// Removed: it is gone with its node.
	Removed AllocationState = "removed"
)

// Allocation is an instance on a node.
type Allocation struct {
	// Request as it was placed, with the Resources of the last Resize.
	Request placement.Request `json:"request"`
	NodeID  string            `json:"nodeID"`
	// Devices are the indices of the GPUs taken, in ascending order.
	Devices []int           `json:"devices,omitempty"`
	Score   int             `json:"score"`
	State   AllocationState `json:"state"`
	// Generation counts placements under the request's ID, from 1.
	Generation uint64 `json:"generation"`
	// Version is the sequence number of the allocation's last change.
	Version uint64    `json:"version"`
	Token   uint64    `json:"token,omitempty"`
	Placed  time.Time `json:"placed"`
	// EvictionAt is when a NoExecute taint asks the instance to leave; zero
	// if none does.
	EvictionAt time.Time `json:"evictionAt,omitzero"`
	// Reservation whose slot the instance stands in, if it does.
	Reservation string `json:"reservation,omitempty"`
	// Overstayed reports that the instance is past its Duration.
	Overstayed bool `json:"overstayed,omitempty"`
}
