package scheduler

import (
	"context"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// Inventory is what there is and what is left of it, summed up.
type Inventory struct {
	// Nodes by their state.
	Nodes map[NodeState]int `json:"nodes,omitempty"`
	// Supplies, one for each dimension that a node gives or an instance uses, in the order
	// of placement.CompareNames.
	Supplies []Supply `json:"supplies,omitempty"`
	// Limits of quotas by how they stand.
	Limits LimitCounts `json:"limits"`
	// Reservations by their state.
	Reservations map[reservation.State]int `json:"reservations,omitempty"`
}

// Supply is one dimension of all nodes. Sums stop at math.MaxInt64.
type Supply struct {
	// Resource is the dimension, whose unit amounts have.
	Resource placement.ResourceName `json:"resource"`
	// Capacity is what all nodes give to instances, whatever their state, Used what
	// instances have of it, and Held what reservations hold.
	Capacity int64 `json:"capacity"`
	Used     int64 `json:"used"`
	Held     int64 `json:"held"`
	// Free is what is left on nodes that are ready, and Largest the most of it that one
	// request can get: what is free on one node, and of GPUs the whole ones there, or if
	// there is no whole one what is left of one.
	Free    int64 `json:"free"`
	Largest int64 `json:"largest"`
	// Stranded is what of Free is of no use, since too little of what every instance
	// needs is left beside it: CPU, memory and a place among Node.MaxInstances. Where a
	// tenth of the CPU of a node is free, more than a tenth of anything else is stranded
	// there; where the node is full, or more is used than there is, all of it.
	Stranded int64 `json:"stranded"`
}

// LimitCounts are the limits that apply to namespaces with a quota of their own, one for
// each namespace and dimension that is limited.
type LimitCounts struct {
	// Within are those whose usage is at most soft, Bursting those above that which may
	// be, and Over those of which more is used than is admitted.
	Within   int `json:"within"`
	Bursting int `json:"bursting"`
	Over     int `json:"over"`
}

// Inventory sums up nodes, limits and reservations. It waits for neither the journal
// nor, except for each the one that is being made, decisions, which go on meanwhile:
// each thing is counted as it stands when its turn comes, whether the journal has that
// already or not. It takes time in proportion to nodes times dimensions, to limits and to
// the slots of reservations, and memory in proportion to the dimensions.
func (s *view) Inventory(ctx context.Context) (Inventory, error) {
	var t inventoryTaker
	defer func() { t.end() }()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return Inventory{}, err
		}
		var err error
		if more, err = s.takeInventory(&t); err != nil {
			return Inventory{}, err
		}
	}
	return t.result(), nil
}

// takeInventory counts a few things, and reports whether any are left.
func (s *view) takeInventory(t *inventoryTaker) (more bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.failure != nil {
		return false, s.failure
	}
	if t.of != s.state { // at first, and where a follower has read a snapshot meanwhile
		t.end()
		*t = newInventoryTaker(s.state)
	}
	return t.turn(s.now), nil
}
