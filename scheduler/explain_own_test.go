package scheduler

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestExplainLeavesTheOwnInstanceOut explains a placed request, and again when its
// instance has been released.
func TestExplainLeavesTheOwnInstanceOut(t *testing.T) { rapid.Check(t, propertyOwnLeftOut) }

func FuzzExplainPlaced(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyOwnLeftOut)) }

func propertyOwnLeftOut(t *rapid.T) {
	s := drawCluster(t)
	req := drawRequest(t)
	req.ID = "own"
	if rapid.Bool().Draw(t, "soft") {
		req.Preferences = req.Preferences.
			Near(placement.Attract(placement.Equal("app", "x")).Within("zone").Weighing(9)).
			Across(placement.EvenlyOver("zone", 1).Counting(placement.Equal("app", "x")).Weighing(5))
	}
	if _, err := s.Place(t.Context(), req); err != nil {
		return
	}
	for range rapid.IntRange(0, 4).Draw(t, "later") {
		_, _ = s.Place(t.Context(), drawRequest(t))
	}
	for _, n := range listed(t, s.Nodes) {
		if rapid.IntRange(0, 2).Draw(t, "cordoned") > 0 {
			require.NoError(t, s.Cordon(t.Context(), n.ID))
		}
	}
	if !s.state.leavesRoom(s.state.allocations.At("own")) {
		return
	}
	before, version := snapshot(t, s), s.state.index.Version()
	placed, verdicts := explained(t, s, req)
	require.Equal(t, version, s.state.index.Version())
	require.Equal(t, before, snapshot(t, s))

	err := s.Release(t.Context(), "own")
	require.NoError(t, err)
	released, after := explained(t, s, req)
	require.Equal(t, released, placed)
	require.Equal(t, after, verdicts)
}

// explained returns what is said of a request and of each node, but for what a
// release changes by itself.
func explained(t *rapid.T, s *Scheduler, req placement.Request) (Explanation, []NodeVerdict) {
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	e.Version, e.Exceeded = 0, nil
	if req.Preferences.Strategy == placement.Random {
		e.Candidates = nil // the first is drawn, by the version too
	}
	var verdicts []NodeVerdict
	for _, n := range listed(t, s.Nodes) {
		v, err := s.ExplainNode(t.Context(), req, n.ID)
		require.NoError(t, err)
		verdicts = append(verdicts, v)
	}
	return e, verdicts
}

// TestCausesLeaveTheOwnInstanceOut: a request that runs where it no longer fits is
// not told that its own instance counts there.
func TestCausesLeaveTheOwnInstanceOut(t *testing.T) {
	req := labelled("own", map[string]string{"app": "x"})
	req.Preferences = placement.Use(placement.BinPack).Near(placement.Attract(placement.Equal("app", "x")))
	t.Run("among those on a full node", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		n := testNode("n1", 4)
		addNodes(t, s, n)
		place(t, s, req)
		for i := range 2 {
			place(t, s, testRequest(fmt.Sprint("other", i), 1))
		}
		n.MaxInstances = 2
		_, err := s.UpdateNode(t.Context(), n)
		require.NoError(t, err)
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, int64(2), e.Causes[0].Count)
		require.Equal(t, []Failure{{Reason: placement.Reason{Kind: placement.ReasonInstances}, Shortfall: 1}}, e.NearestMiss.Failures[:1])
	})
	t.Run("as a match of its own affinity", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
		allocate(t, s, "n1", req)
		allocate(t, s, "n2", labelled("other", req.Labels))
		require.NoError(t, s.Cordon(t.Context(), "n2"))
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, []string{"", "other"}, []string{e.Causes[0].Instance, e.Causes[1].Instance})
	})
}
