package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestDimensionsAreGivenBack lets ever new custom dimensions come and go, each
// brought by a node and kept by an instance and a hold as well. A dimension that
// nothing has any more leaves its place to others, and no
// trace in a snapshot, whether the books are kept, replayed or restored.
func TestDimensionsAreGivenBack(t *testing.T) {
	ctx := t.Context()
	j := new(MemoryJournal)
	s := open(t, Config{Journal: j, Now: newClock().Now})
	addNodes(t, s, testNode("stays", 8))
	reopened := func() {
		t.Helper()
		again := open(t, Config{Journal: j, Now: newClock().Now})
		require.Equal(t, snapshot(t, s), snapshot(t, again))
		s = again
	}
	before := s.Scale()
	for i := range 3 * placement.MaxDimensions {
		name := placement.ResourceName(fmt.Sprint("fpga-", i))
		n := testNode("n", 8)
		n.Capacity = n.Capacity.With(name, 4)
		addNodes(t, s, n)
		req := testRequest("a", 1)
		req.Resources = req.Resources.With(name, 1)
		place(t, s, req)
		reserve(t, s, reservation.Spec{ID: "r", Namespace: "ns", Shape: placement.Resources{}.With(name, 1), Count: 1, Duration: time.Hour})
		require.Contains(t, s.Scale().Dimensions, name)

		// Neither asking nor what is left of the node takes the dimension away.
		_, err := s.Explain(ctx, req)
		require.NoError(t, err)
		require.NoError(t, s.ReleaseReservation(ctx, "r", false))
		bare := testNode("n", 8)
		over, err := s.UpdateNode(ctx, bare)
		require.NoError(t, err)
		require.Equal(t, []placement.ResourceName{name}, over)
		require.Equal(t, before, s.Scale(), "no node has any")
		if i%8 == 3 {
			require.NoError(t, s.Checkpoint(ctx))
		}
		if i%4 == 3 {
			reopened()
			require.Equal(t, before, s.Scale(), "after a replay too")
		}

		require.NoError(t, s.Release(ctx, "a"))
		require.Equal(t, before, s.Scale())
		if i%16 == 5 {
			require.NoError(t, s.Checkpoint(ctx))
		}
		if i%8 == 5 {
			reopened()
		}
		_, err = s.RemoveNode(ctx, "n")
		require.NoError(t, err)
	}
	reopened()
	require.NotContains(t, snapshot(t, s), "fpga")
}

// TestQuotaAloneKeepsItsDimension has a limit of a dimension that nothing else has,
// while ever new ones come and go. It holds once a node gives some, and no more than
// 32 are limited at once.
func TestQuotaAloneKeepsItsDimension(t *testing.T) {
	ctx := t.Context()
	j := new(MemoryJournal)
	s := open(t, Config{Journal: j})
	spec := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"licence": {Soft: 2}}}
	createQuota(t, s, spec)
	for i := range 3 * placement.MaxDimensions {
		name := placement.ResourceName(fmt.Sprint("fpga-", i))
		n := testNode("passing", 8)
		n.Capacity = n.Capacity.With(name, 4)
		addNodes(t, s, n)
		req := testRequest("a", 1)
		req.Resources = req.Resources.With(name, 1)
		place(t, s, req)
		require.NoError(t, s.Release(ctx, "a"))
		_, err := s.RemoveNode(ctx, "passing")
		require.NoError(t, err)
		if i%32 == 7 {
			require.NoError(t, s.Checkpoint(ctx))
			s = open(t, Config{Journal: j})
		}
	}
	n := testNode("n", 8)
	n.Capacity = n.Capacity.With("licence", 9)
	addNodes(t, s, n)
	req := testRequest("a", 1)
	req.Resources = req.Resources.With("licence", 2)
	place(t, s, req)
	req.ID = "b"
	_, err := s.Place(ctx, req)
	require.ErrorIs(t, err, quota.ErrExceeded)

	many := quota.Spec{Namespace: "other", Limits: map[placement.ResourceName]quota.Limit{}}
	for i := range placement.MaxDimensions - 5 {
		many.Limits[placement.ResourceName(fmt.Sprint("x-", i))] = quota.Limit{}
	}
	_, err = s.CreateQuota(ctx, many)
	require.ErrorIs(t, err, quota.ErrInvalid)
	delete(many.Limits, "x-0")
	createQuota(t, s, many)
}

// TestDimensionsAtOnce has 32 custom dimensions on as many nodes. Another one has
// no place, which is told by its name, until one of them is gone.
func TestDimensionsAtOnce(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	node := func(name string) placement.Node {
		n := testNode("of "+name, 8)
		n.Capacity = n.Capacity.With(placement.ResourceName(name), 4)
		n.Devices.Count = 1
		return n
	}
	for i := range 32 {
		addNodes(t, s, node(fmt.Sprint("mig-", i)))
	}
	err := s.AddNode(ctx, node("one-more"))
	var invalid *placement.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "one-more", invalid.Value)
	_, err = s.RemoveNode(ctx, "of mig-7")
	require.NoError(t, err)
	addNodes(t, s, node("one-more"))
	for _, strategy := range []placement.Strategy{placement.BinPack, placement.Spread, placement.Affinity} {
		for _, name := range []placement.ResourceName{"mig-0", "mig-31", "one-more"} {
			req := testRequest(fmt.Sprint(strategy, name), 1)
			req.Resources = req.Resources.With(name, 1)
			req.Preferences = placement.Use(strategy).Prefer(placement.Exists("x"), 100)
			require.Equal(t, "of "+string(name), place(t, s, req).NodeID)
		}
	}
	req := testRequest("none has any", 1)
	req.Resources = req.Resources.With("mig-7", 1)
	_, err = s.Place(ctx, req)
	require.Equal(t, []string{"32 lack mig-7"}, refusals(t, err))
}
