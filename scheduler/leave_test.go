package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// instanceState returns the state of the current generation of an ID.
func instanceState(t testHelper, s *Scheduler, id string) AllocationState {
	t.Helper()
	a, err := s.Allocation(t.Context(), id)
	require.NoError(t, err)
	return a.State
}

// TestWhatLeavesHoldsWhatItHas: amounts, ports, quota and its ID, until it is
// released.
func TestWhatLeavesHoldsWhatItHas(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	createQuota(t, s, cpuQuota("ns", 4))
	web := testRequest("web", 1)
	web.Ports = tcp(80)
	first := place(t, s, web)
	require.NoError(t, s.Leave(t.Context(), "web"))
	require.Equal(t, first.NodeID, place(t, s, web).NodeID, "it is still there")

	other := testRequest("other", 1)
	other.Ports = tcp(80)
	_, err := s.Place(t.Context(), other)
	require.Equal(t, []string{"1 has port 80 taken"}, refusals(t, err))
	e, err := s.Explain(t.Context(), other)
	require.NoError(t, err)
	require.True(t, e.Causes[0].Leaving)
	require.Contains(t, e.String(), "web (leaving) on n1")

	large := testRequest("large", 4)
	large.Namespace = "other"
	_, err = s.Place(t.Context(), large)
	require.ErrorIs(t, err, ErrUnschedulable)
	rows, err := s.QuotaUsage(t.Context(), "ns")
	require.NoError(t, err)
	require.EqualValues(t, placement.Core, cpuRow(rows))
	require.NoError(t, s.VerifyQuota(t.Context()))
	require.NoError(t, s.Release(t.Context(), "web"))
	place(t, s, large)
}

// TestWhatLeavesIsNoVictim: it goes anyway, and another one does not help more.
func TestWhatLeavesIsNoVictim(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	for _, id := range []string{"a", "b"} {
		place(t, s, testRequest(id, 2))
	}
	urgent := testRequest("urgent", 2)
	urgent.Priority = 9
	victims := func() []string {
		e, err := s.Explain(t.Context(), urgent)
		require.NoError(t, err)
		return e.Help.Victims
	}
	require.Len(t, victims(), 1)
	require.NoError(t, s.Leave(t.Context(), "a"))
	require.Equal(t, []string{"b"}, victims())
	require.NoError(t, s.Leave(t.Context(), "b"))
	require.Empty(t, victims())
}

// TestEvictionDueLeaves: until the host takes it back, whatever becomes of the taint.
func TestEvictionDueLeaves(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 1))
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("bad")))
	require.Equal(t, Leaving, instanceState(t, s, "a"))
	require.NoError(t, s.RemoveTaint(t.Context(), "n1", "bad", placement.NoExecute))
	require.Equal(t, Leaving, instanceState(t, s, "a"))
	require.NoError(t, s.Stay(t.Context(), "a"))
	require.Equal(t, Running, instanceState(t, s, "a"))
}

// TestLeavingOutlivesALostNode: an instance that comes back goes on to be stopped.
func TestLeavingOutlivesALostNode(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 1))
	require.NoError(t, s.Leave(ctx, "a"))
	require.NoError(t, s.MarkLost(ctx, "n1"))
	require.Equal(t, Lost, instanceState(t, s, "a"))
	require.ErrorIs(t, s.Leave(ctx, "a"), ErrConflict)
	require.ErrorIs(t, s.Stay(ctx, "a"), ErrConflict)
	require.ErrorIs(t, s.Leave(ctx, "nobody"), ErrNotFound)
	require.NoError(t, s.MarkReady(ctx, "n1"))
	require.Equal(t, Leaving, instanceState(t, s, "a"))

	require.NoError(t, s.MarkLost(ctx, "n1"))
	addNodes(t, s, testNode("n2", 4))
	place(t, s, testRequest("a", 1))
	require.Equal(t, Running, instanceState(t, s, "a"), "the next generation does not leave")
	require.NoError(t, s.MarkReady(ctx, "n1"))
	on, err := s.AllocationsOn(ctx, "n1")
	require.NoError(t, err)
	require.Equal(t, Stale, on[0].State)
}

// TestEvictedFromAReservationLeaves: with the end of its grace.
func TestEvictedFromAReservationLeaves(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	spec := holding("r", 1, 1)
	spec.AtEnd, spec.Grace, spec.Duration = reservation.Evict, time.Minute, time.Hour
	reserve(t, s, spec)
	claim := testRequest("a", 1)
	claim.Namespace, claim.Resources = spec.Namespace, spec.Shape
	_, err := s.PlaceFromReservation(t.Context(), "r", claim)
	require.NoError(t, err)
	c.advance(time.Hour)
	require.NoError(t, swept(t, s))
	require.Equal(t, Running, instanceState(t, s, "a"))
	c.advance(time.Minute)
	require.NoError(t, swept(t, s))
	require.Equal(t, Leaving, instanceState(t, s, "a"))
}
