package scheduler

import (
	"cmp"
	"slices"
	"sort"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// preemptionLooks bounds how many instances are looked at to find a node where
// preemption helps, so that this takes less than the survey of a large cluster
// and never as long as a look at all that runs.
const preemptionLooks = 4096

// help looks for remedies, given a survey of all nodes: the first node in join
// order on which each would work, and of preemption the best.
func (st *state) help(q *index.Query, survey *index.Survey) Help {
	var h Help
	if survey.Cordoned >= 0 {
		h.Uncordon = st.at(survey.Cordoned).ID
	}
	st.index.Twins(survey, func(row index.Row) bool {
		h.MoreNodes = st.at(row).ID
		return false
	})
	if h.MoreNodes == "" {
		st.index.Larger(survey, func(row index.Row) bool {
			n := st.at(row)
			h.Larger, h.Shape = n.ID, beyond(q.Resources, n.Node)
			return false
		})
	}
	st.helpByFreeing(q, survey, &h)
	if survey.Tainted >= 0 {
		st.helpByTolerating(q, st.at(survey.Tainted), &h)
	}
	return h
}

// helpByTolerating names a node that fails nothing but its taints, unless the request
// would not fit there if it tolerated them: the domains of other nodes with the same
// taints count for it then. It asks the index anew, so that the survey is of no more
// use.
func (st *state) helpByTolerating(q *index.Query, n *node, h *Help) {
	tolerant := *q.Class.Request()
	var taints []placement.Taint
	for _, t := range n.Taints {
		if t.Effect != placement.PreferNoSchedule && !tolerated(&tolerant, t) {
			taints = append(taints, t)
			tolerant.Preferences = tolerant.Preferences.TolerateEqual(t.Key, t.Value)
		}
	}
	if st.index.Fits(&index.Query{
		Class: st.index.Class(&tolerant), Resources: q.Resources, ID: q.ID, Seq: q.Seq,
		Joined: q.Joined, Own: q.Own, Closed: q.Closed,
	}, n.row) {
		h.Tolerate, h.Taints = n.ID, taints
	}
}

func tolerated(req *placement.Request, t placement.Taint) bool {
	return slices.ContainsFunc(req.Preferences.Tolerations, func(by placement.Toleration) bool { return by.Tolerates(t) })
}

// beyond returns the amounts that are more than a node has to give.
func beyond(asked *placement.Resources, n *placement.Node) placement.Resources {
	var missing placement.Resources
	for name, amount := range asked.All() {
		if amount > n.AllocatableOf(name) {
			missing = missing.With(name, amount)
		}
	}
	return missing
}

// helpByFreeing names the nodes on which the request fits once all that is there,
// or some of it, has gone.
func (st *state) helpByFreeing(q *index.Query, survey *index.Survey, h *Help) {
	priority := q.Class.Request().Priority
	preempts, looks := st.index.AnyBelow(priority), preemptionLooks
	var best victims
	st.index.Waits(survey, func(row index.Row) bool {
		n := st.at(row)
		if h.Waiting == "" {
			h.Waiting = n.ID
		}
		if preempts && st.index.RunsBelow(row, priority) {
			if found := st.victimsOn(survey, n, priority, &looks); found.before(&best) {
				best = found
			}
		}
		return preempts && looks > 0
	})
	if best.node != nil {
		h.Preemption = best.node.ID
		for _, a := range best.instances {
			h.Victims = append(h.Victims, a.id)
		}
	}
}

// victims are instances on a node without which a request fits there, the least
// important first.
type victims struct {
	node      *node // nil if there are none
	instances []*allocation
}

// before reports whether to preempt v is better than to preempt other, which comes
// from a node that joined earlier.
func (v *victims) before(other *victims) bool {
	if v.node == nil || other.node == nil {
		return v.node != nil
	}
	return cmp.Or(cmp.Compare(v.dearest(), other.dearest()), cmp.Compare(len(v.instances), len(other.instances))) < 0
}

func (v *victims) dearest() int32 {
	return v.instances[len(v.instances)-1].class.Request().Priority
}

// victimsOn returns which instances of lower priority have to go from a node so that
// the request that was surveyed fits there: the least important, of these the latest,
// and none that may stay or is leaving already. It looks at as many instances as may be
// looked at, and finds none if they are not enough.
func (st *state) victimsOn(survey *index.Survey, n *node, priority int32, looks *int) victims {
	var lower []*allocation
	for _, a := range n.instances {
		if *looks--; *looks < 0 {
			return victims{}
		}
		if a.state == running && !a.leaving && a.class.Request().Priority < priority && st.leavesRoom(a) {
			lower = append(lower, a)
		}
	}
	slices.SortFunc(lower, func(a, b *allocation) int {
		return cmp.Or(cmp.Compare(a.class.Request().Priority, b.class.Request().Priority),
			b.placed().Compare(a.placed()), cmp.Compare(a.id, b.id))
	})
	fits := func(gone []*allocation) bool {
		absent := make([]index.Absent, len(gone))
		for i, a := range gone {
			absent[i] = a.absent()
		}
		return len(gone) > 0 && st.index.FitsWithout(survey, n.row, absent)
	}
	if !fits(lower) {
		return victims{}
	}
	enough := 1 + sort.Search(len(lower)-1, func(i int) bool { return fits(lower[:i+1]) })
	return victims{n, spared(lower[:enough], fits)}
}

// mostSpared bounds how many victims are tried to be left alone.
const mostSpared = 32

// spared leaves those of the victims alone without whom the others are enough, the
// most important first.
func spared(gone []*allocation, fits func([]*allocation) bool) []*allocation {
	for i := len(gone) - 1; i >= max(0, len(gone)-mostSpared) && len(gone) > 1; i-- {
		if others := slices.Delete(slices.Clone(gone), i, i+1); fits(others) {
			gone = others
		}
	}
	return gone
}

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
