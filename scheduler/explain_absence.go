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
	for _, h := range st.plan.Holders(st.on(a).ID, st.fromNow()) {
		if !h.Instance {
			return false
		}
	}
	return true
}

// made returns the running instance that the request has made, nil if there
// is none.
func (st *state) made(req *placement.Request, q *index.Query) *allocation {
	a := st.allocations.At(req.ID)
	if a == nil || a.state != running || !a.answers(req, q.Class) {
		return nil
	}
	return a
}

// leaveOut makes a query leave the instance that its request has made out of account,
// if there is one.
func (st *state) leaveOut(made *allocation, q *index.Query) {
	if made != nil && st.leavesRoom(made) {
		q.Own = &index.Own{Row: made.row, Absent: made.absent()}
	}
}

// absent is the instance as the index leaves it out of account.
func (a *allocation) absent() index.Absent {
	return index.Absent{Class: a.class, Resources: &a.resources, Taken: a.taken(), Leaving: a.leaving}
}
