package scheduler

import (
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// help looks for remedies: the first node in join order on which each would
// work.
func (st *state) help(q *index.Query) Help {
	var h Help
	for _, n := range st.byJoin() {
		failures := st.index.Verdict(q, n.slot).Failures
		if h.MoreNodes == "" && st.hasCapacity(q, n) && all(failures, curedByTwin) {
			h.MoreNodes = n.ID
		}
		if !all(failures, curedByWaiting) || !st.hasCapacity(q, n) {
			continue
		}
		if h.Waiting == "" {
			h.Waiting = n.ID
		}
		if h.Preemption == "" && st.fitsWithoutLower(q, n) {
			h.Preemption = n.ID
		}
		if h.Preemption != "" && h.MoreNodes != "" {
			break
		}
	}
	return h
}

func all(failures []index.Failure, holds func(index.Failure) bool) bool {
	for _, f := range failures {
		if !holds(f) {
			return false
		}
	}
	return true
}

// curedByWaiting reports whether a failure goes away when instances or holds
// do.
func curedByWaiting(f index.Failure) bool {
	switch f.Reason.Kind {
	case placement.ReasonInstances, placement.ReasonPort, placement.ReasonResource, placement.ReasonRepulsion,
		placement.ReasonSpread, placement.ReasonHold:
		return true
	default:
		return false
	}
}

// curedByTwin reports whether a new, empty node like this one would not have
// the failure. What concerns a whole topology domain it would share.
func curedByTwin(f index.Failure) bool {
	switch f.Reason.Kind {
	case placement.ReasonState, placement.ReasonInstances, placement.ReasonPort, placement.ReasonResource,
		placement.ReasonHold:
		return true
	case placement.ReasonRepulsion:
		return f.Reason.Detail == ""
	default:
		return false
	}
}

// hasCapacity reports whether the request is no larger than the whole node.
func (st *state) hasCapacity(q *index.Query, n *node) bool {
	return q.Resources.FitsIn(n.Allocatable())
}

// fitsWithoutLower reports whether the request fits on the node once the
// instances of lower priority are gone. It takes them out of the index, asks,
// and puts them back, which restores it exactly.
func (st *state) fitsWithoutLower(q *index.Query, n *node) bool {
	var lower []*allocation
	for a := n.first; a != nil; a = a.next {
		if a.class.Request().Priority < q.Class.Request().Priority {
			lower = append(lower, a)
		}
	}
	if len(lower) == 0 {
		return false
	}
	for _, a := range lower {
		if a.state == running {
			st.index.Leave(n.slot, a.class)
		}
		st.index.Vacate(n.slot, a.class, &a.resources, a.devices)
	}
	fits := st.index.Fits(q, n.slot)
	for _, a := range lower {
		st.index.Occupy(n.slot, a.class, &a.resources, a.devices)
		if a.state == running {
			st.index.Join(n.slot, a.class)
		}
	}
	return fits
}
