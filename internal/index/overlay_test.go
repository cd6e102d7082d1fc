package index

import (
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// answers are all that an index says about a query.
type answers struct {
	Best      Choice
	Found     bool
	Top       []Choice
	Counts    []ReasonCount
	Ranked    []Row
	Diagnoses []Diagnosis
	Groups    []int64
	Survey    []any
}

func (w *world) answers(q *Query) answers {
	var a answers
	a.Best, a.Found = w.x.Best(q)
	a.Top = w.x.Top(q, 3)
	a.Counts = w.x.Count(q)
	a.Ranked = slices.Collect(w.x.Ranked(q))
	for _, n := range w.m.nodes {
		a.Diagnoses = append(a.Diagnoses, w.x.Diagnose(q, n.row))
		a.Groups = append(a.Groups, w.x.Group(q, n.row))
	}
	s := w.x.Survey(q, nil)
	a.Survey = []any{
		s.Fit, s.First, s.Failed, s.Lacks, s.Nearest,
		slices.Collect(func(yield func(Row) bool) { w.x.Waits(&s, yield) }),
		slices.Collect(func(yield func(Row) bool) { w.x.Twins(&s, yield) }),
	}
	return a
}

// checkJoined asks with instances that are thought to have joined, and again when
// they have.
func (w *world) checkJoined(t require.TestingT, r *placement.Request, on []*modelNode) {
	q := w.query(r)
	before := w.answers(q)
	var kept *overlay
	for _, n := range on {
		q.Joined = append(q.Joined, n.row)
		_ = w.x.Meets(q, n.row)
		require.True(t, kept == nil || kept == q.overlay, "what was counted stays counted")
		kept = q.overlay
	}
	got := w.answers(q)
	joined := q.Joined
	q.Joined = nil
	require.Equal(t, before, w.answers(q), "nothing has changed")
	for _, row := range joined {
		w.x.Join(row, q.Class)
	}
	require.Equal(t, w.answers(q), got, "%v joined on %v", r, joined)
	for _, row := range joined {
		w.x.Leave(row, q.Class)
	}
}
