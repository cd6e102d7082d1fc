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

// fitsWithoutLower reports whether the request that was surveyed fits on the node
// once the instances of lower priority are gone. It looks at as many instances as
// may be looked at, and none fits if they are not enough.
func (st *state) fitsWithoutLower(survey *index.Survey, n *node, priority int32, looks *int) bool {
	var lower []index.Absent
	for a := n.first; a != nil; a = a.next {
		if *looks--; *looks < 0 {
			return false
		}
		if a.state == running && a.class.Request().Priority < priority && st.leavesRoom(a) {
			lower = append(lower, index.Absent{Class: a.class, Resources: &a.resources, Taken: a.taken()})
		}
	}
	return len(lower) > 0 && st.index.FitsWithout(survey, n.row, lower)
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
