package scheduler

import (
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// help looks for remedies, given the verdicts on all nodes: the first node in
// join order on which each would work.
func (st *state) help(q *index.Query, found []index.Verdict) Help {
	var h Help
	for _, n := range st.byJoin() {
		if !q.Resources.FitsIn(n.Allocatable()) { // not even on the whole node
			continue
		}
		failures := found[n.slot].Failures
		if h.MoreNodes == "" && all(failures, curedByTwin) {
			h.MoreNodes = n.ID
		}
		if !all(failures, n.curedByWaiting) {
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
// do. A node without the label that a spread rule counts by fails for ever.
func (n *node) curedByWaiting(f index.Failure) bool {
	switch f.Reason.Kind {
	case placement.ReasonInstances, placement.ReasonPort, placement.ReasonResource, placement.ReasonRepulsion,
		placement.ReasonHold:
		return true
	case placement.ReasonSpread:
		_, counted := n.Label(f.Reason.Detail)
		return counted || f.Reason.Detail == ""
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
	case placement.ReasonRepulsion, placement.ReasonSpread:
		return f.Reason.Detail == "" // over nodes
	default:
		return false
	}
}
