package index

import (
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// checkClosed asks with nodes thought closed, and again when they are.
func (w *world) checkClosed(t require.TestingT, r *placement.Request, closed []*modelNode) {
	q := w.query(r)
	w.x.Retain(q.Class)
	before, version := w.ownAnswers(q, nil), w.x.Version()
	for _, n := range closed {
		q.Closed = append(q.Closed, n.row)
	}
	got := w.ownAnswers(q, nil)
	thought := q.Closed
	q.Closed = nil
	require.Equal(t, before, w.ownAnswers(q, nil), "nothing has changed")
	require.Equal(t, version, w.x.Version(), "not even for a moment")

	for i, n := range w.m.nodes {
		require.Equal(t, before.Fits[2*i] && !slices.Contains(thought, n.row), got.Fits[2*i], "%v fits on %v", r, n.spec)
	}
	if len(r.Preferences.Spread) == 0 { // no rule asks which domains there are
		for _, n := range closed {
			w.x.SetState(n.row, Closed)
		}
		require.Equal(t, w.ownAnswers(q, nil), got, "%v without %v", r, thought)
		for _, n := range closed {
			w.x.SetState(n.row, n.state)
		}
	}
	w.x.Release(q.Class)
}

func (h history) thinkClosed(t *rapid.T) {
	var closed []*modelNode
	for _, n := range h.m.nodes {
		if rapid.IntRange(0, 2).Draw(t, "closed") == 0 {
			closed = append(closed, n)
		}
	}
	r := h.drawRequest(drawDice(t))
	h.checkClosed(t, &r, closed)
}
