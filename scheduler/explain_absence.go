package scheduler

import (
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// The functions of this file ask what would be if instances were not there.

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

// withoutOwn calls look with the instance that a request has made taken out of the
// index, if there is one, and puts it back, which restores the index exactly.
func (st *state) withoutOwn(made *allocation, look func()) {
	if made == nil || !st.leavesRoom(made) {
		look()
		return
	}
	st.index.Leave(made.node.row, made.class)
	st.index.Vacate(made.node.row, made.class, &made.resources, made.taken())
	look()
	st.index.Occupy(made.node.row, made.class, &made.resources, made.taken())
	st.index.Join(made.node.row, made.class)
}
