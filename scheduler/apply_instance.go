package scheduler

import (
	"slices"

	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

func (c *Placed) apply(st *state, out *outcome) { st.place(c, out) }

// place enters a new instance and returns what its namespace uses too much of
// then, which is nothing unless nobody asked the quota.
func (st *state) place(c *Placed, out *outcome) []quota.Usage {
	class := c.class
	if class == nil {
		class = st.index.Class(&c.Request)
	}
	a := &allocation{
		id: c.Request.ID, class: class, resources: c.Request.Resources.Clone(), devices: slices.Clone(c.Devices),
		placed: st.now, generation: c.Generation, version: st.seq, token: st.token, score: uint16(c.Score),
	}
	if old := st.allocations[a.id]; old != nil {
		st.edit(old.node)
		old.state, old.version = stale, st.seq
		st.stale[a.id] = append(st.stale[a.id], old)
		st.replaced++
	}
	st.allocations[a.id] = a
	st.addToNode(a, st.nodes[c.NodeID])
	if c.Claim != nil {
		a.covered = &paidByReservation{amountsOf(c.Claim.Claim.Held.Clone()), c.Claim.ID}
		st.applyPlan([]reservation.PlanChange{*c.Claim}, out)
	}
	st.stay(a, false, out)
	return st.charge(a)
}

// addToNode enters an instance in the books of its node, and its eviction.
func (st *state) addToNode(a *allocation, n *node) {
	a.node = n
	st.edit(n).link(a)
	a.class = st.index.Retain(a.class)
	st.index.Occupy(n.slot, a.class, &a.resources, a.devices)
	if a.state == running {
		st.index.Join(n.slot, a.class)
	}
	if len(n.Taints) > 0 {
		st.timeEviction(a)
	}
}

func (c *Released) check(st *state) error {
	if st.generation(c.ID, c.Generation) == nil {
		return &NotFoundError{KindAllocation, c.ID}
	}
	return nil
}

func (c *Released) apply(st *state, out *outcome) {
	a := st.generation(c.ID, c.Generation)
	st.release(a, out)
	if a.state != stale && !c.Unclaimed {
		st.released.add(a.id)
	}
}

func (st *state) release(a *allocation, out *outcome) {
	record := st.edit(a.node)
	if a.state == running {
		st.refund(a)
		st.leave(a, out)
		st.index.Leave(a.node.slot, a.class)
	}
	st.index.Vacate(a.node.slot, a.class, &a.resources, a.devices)
	st.index.Release(a.class)
	st.evictions.cancel(a.eviction)
	record.unlink(a)
	out.roomOn(st, a.node.ID)
	if a.state != stale {
		delete(st.allocations, a.id)
		return
	}
	st.replaced--
	rest := slices.DeleteFunc(st.stale[a.id], func(other *allocation) bool { return other == a })
	if st.stale[a.id] = rest; len(rest) == 0 {
		delete(st.stale, a.id)
	}
}
