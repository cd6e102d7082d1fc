package index

import (
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// ownAnswers are all that an index says about a query and one node more closely.
type ownAnswers struct {
	answers
	Evaluated    []placement.Terms
	Fits, Leaves []bool
	Counts       []RuleCounts
}

func (w *world) ownAnswers(q *Query, held *Hold) ownAnswers {
	a := ownAnswers{answers: w.answers(q)}
	for _, n := range w.m.nodes {
		for _, h := range []*Hold{nil, held} {
			terms, ok := w.x.Evaluate(q, n.row, h)
			a.Evaluated, a.Fits = append(a.Evaluated, terms), append(a.Fits, ok)
		}
	}
	s := w.x.Survey(q, nil)
	for i, first := range s.First {
		counts, _ := w.x.Counts(&s, first.Reason, s.Examples[i])
		a.Counts = append(a.Counts, counts)
	}
	for _, n := range w.m.nodes {
		var gone []Absent
		others := slices.DeleteFunc(slices.Clone(n.instances), func(i *modelInstance) bool {
			return q.Own != nil && q.Own.Resources == &i.request.Resources
		})
		for i, instance := range others {
			if instance.counts && i%2 == 0 {
				gone = append(gone, w.absent(instance))
			}
		}
		a.Leaves = append(a.Leaves, w.x.FitsWithout(&s, n.row, gone))
	}
	return a
}

// checkOwn asks as if an instance had gone, and again when it has.
func (w *world) checkOwn(t require.TestingT, n *modelNode, i int, held *Hold) {
	instance := n.instances[i]
	r := &instance.request
	q := w.query(r)
	w.x.Retain(q.Class)
	before, version := w.ownAnswers(q, held), w.x.Version()
	q.Own = &Own{n.row, w.absent(instance)}
	got := w.ownAnswers(q, held)
	broken := w.x.Standing(q.Class).Broken(n.row, q.Own.Absent)
	q.Own = nil
	require.Equal(t, before, w.ownAnswers(q, held), "nothing has changed")
	require.Equal(t, version, w.x.Version(), "not even for a moment")

	w.x.exits(n.row, q.Class, instance)
	w.x.Vacate(n.row, q.Class, &r.Resources, instance.Taken)
	instances := n.instances
	n.instances = append(append([]*modelInstance(nil), instances[:i]...), instances[i+1:]...)
	gone, failed := w.ownAnswers(q, held), brokenRules(w.x.Diagnose(q, n.row).Failures)
	n.instances = instances
	w.x.Occupy(n.row, q.Class, &r.Resources, instance.Taken)
	w.x.enters(n.row, q.Class, instance)
	w.x.Release(q.Class)
	require.Equal(t, gone, got, "%v gone from %v", r, n.spec)
	require.Equal(t, failed, broken, "%v stands on %v", r, n.spec)
}

// brokenRules are the failures that are about what an instance stands for.
func brokenRules(failures []Failure) []placement.Reason {
	var broken []placement.Reason
	for _, f := range failures {
		switch f.Reason.Kind {
		case placement.ReasonState, placement.ReasonInstances, placement.ReasonResource, placement.ReasonHold:
		default:
			if f.Reason != portReason("dynamic", 0) {
				broken = append(broken, f.Reason)
			}
		}
	}
	return broken
}

func (h history) leaveOut(t *rapid.T) {
	n, i := h.instance(t)
	if n.instances[i].counts {
		held := drawHeld(drawDice(t))
		h.checkOwn(t, n, i, &held)
	}
}
