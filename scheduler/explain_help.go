package scheduler

import "github.com/rads-project/constellation/internal/index"

// preemptionLooks bounds how many instances are looked at to find a node where
// preemption helps, so that this takes less than the survey of a large cluster
// and never as long as a look at all that runs.
const preemptionLooks = 4096

// help looks for remedies, given a survey of all nodes: the first node in join
// order on which each would work.
func (st *state) help(q *index.Query, survey *index.Survey) Help {
	var h Help
	st.index.Twins(survey, func(row index.Row) bool {
		h.MoreNodes = st.byRow[row].ID
		return false
	})
	priority := q.Class.Request().Priority
	preempts, looks := st.index.AnyBelow(priority), preemptionLooks
	st.index.Waits(survey, func(row index.Row) bool {
		n := st.byRow[row]
		if h.Waiting == "" {
			h.Waiting = n.ID
		}
		if preempts && st.index.RunsBelow(row, priority) && st.fitsWithoutLower(survey, n, priority, &looks) {
			h.Preemption = n.ID
			return false
		}
		return preempts && looks > 0
	})
	return h
}
