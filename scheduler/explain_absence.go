package scheduler

import (
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// The functions of this file ask what would be if instances were not there.

// without calls look with instances taken out of the index, and puts them
// back, which restores it exactly.
func (st *state) without(gone []*allocation, look func()) {
	for _, a := range gone {
		if a.state == running {
			st.index.Leave(a.node.slot, a.class)
		}
		st.index.Vacate(a.node.slot, a.class, &a.resources, a.devices)
	}
	look()
	for _, a := range gone {
		st.index.Occupy(a.node.slot, a.class, &a.resources, a.devices)
		if a.state == running {
			st.index.Join(a.node.slot, a.class)
		}
	}
}

// leavesRoom reports whether others could use the room of an instance that
// goes: not if it stands in a slot or on what is held for later, which would
// be held again.
func (st *state) leavesRoom(a *allocation) bool {
	if !st.plan.Counts(a.id) {
		return true
	}
	for _, h := range st.plan.Holders(a.node.ID, st.fromNow()) {
		if !h.Instance {
			return false
		}
	}
	return true
}

// made returns the running instance that the request has made, nil if there
// is none.
func (st *state) made(req *placement.Request, q *index.Query) *allocation {
	a := st.allocations[req.ID]
	if a == nil || a.state != running || !a.answers(req, q.Class) {
		return nil
	}
	return a
}

// fitsWithoutLower reports whether the request fits on the node once the
// instances of lower priority are gone.
func (st *state) fitsWithoutLower(q *index.Query, n *node) bool {
	var lower []*allocation
	room := st.index.Free(n.slot)
	for a := n.first; a != nil; a = a.next {
		if a.state == running && a.class.Request().Priority < q.Class.Request().Priority && st.leavesRoom(a) {
			lower = append(lower, a)
			room, _ = room.Add(a.resources) // Use adds up to what a node was once given.
		}
	}
	// Trying takes long enough to ask first whether it could be.
	if len(lower) == 0 || !enough(q.Resources, room) {
		return false
	}
	var fits bool
	st.without(lower, func() { fits = st.index.Fits(q, n.slot) })
	return fits
}

// enough reports whether there is as much as is asked of each dimension.
func enough(asked *placement.Resources, room placement.Resources) bool {
	for name, amount := range asked.All() {
		if amount > 0 && amount > room.Amount(name) {
			return false
		}
	}
	return true
}

// withoutOwn calls look with the instance that a request has made out of the
// way, if there is one.
func (st *state) withoutOwn(made *allocation, look func()) {
	if made == nil || !st.leavesRoom(made) {
		look()
		return
	}
	st.without([]*allocation{made}, look)
}
