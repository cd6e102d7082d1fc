package scheduler

import "github.com/rads-project/constellation/internal/index"

// help looks for remedies, given a survey of all nodes: the first node in join
// order on which each would work.
func (st *state) help(q *index.Query, survey *index.Survey) Help {
	var h Help
	st.index.Twins(survey, func(slot index.Row) bool {
		h.MoreNodes = st.slots[slot].ID
		return false
	})
	priority := q.Class.Request().Priority
	preempts := st.index.AnyBelow(priority)
	var yielding []*node
	st.index.Waits(survey, func(slot index.Row) bool {
		if h.Waiting == "" {
			h.Waiting = st.slots[slot].ID
		}
		if preempts && st.index.RunsBelow(slot, priority) {
			yielding = append(yielding, st.slots[slot])
		}
		return preempts
	})
	for _, n := range yielding {
		if st.fitsWithoutLower(q, n) {
			h.Preemption = n.ID
			break
		}
	}
	return h
}
