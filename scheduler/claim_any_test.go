package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/reservation"
)

// TestClaimWithoutAnIDGoesToTheReservationThatEndsSoonest, then to the next, then to
// any node, and asks nobody to leave while there is room.
func TestClaimWithoutAnIDGoesToTheReservationThatEndsSoonest(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8), testNode("n3", 4), testNode("n4", 8))
	for _, on := range []struct {
		id, node string
		hours    int
	}{{"long", "n1", 3}, {"short", "n2", 1}, {"lent", "n4", 2}} {
		spec := holding(on.id, 8, 1)
		spec.Node, spec.Duration, spec.Lend = on.node, time.Duration(on.hours)*time.Hour, on.id == "lent"
		reserve(t, s, spec)
	}
	others := holding("others", 1, 1)
	others.Namespace, others.Node, others.Duration = "others", "n3", time.Minute
	reserve(t, s, others)
	guest := onlyCPU("guest", 8)
	guest.Yield = true
	allocate(t, s, "n4", guest)
	at := func(id string, cores int64) string {
		t.Helper()
		req := onlyCPU(id, cores)
		req.Namespace = "ns"
		d, err := s.PlaceFromReservation(t.Context(), "", req)
		require.NoError(t, err)
		again, err := s.PlaceFromReservation(t.Context(), "", req)
		require.NoError(t, err)
		require.Equal(t, d, again)
		return d.NodeID
	}
	require.Equal(t, "n2", at("a", 5), "short")
	require.Equal(t, "n2", at("b", 3), "what it has left")
	require.Equal(t, "n1", at("c", 8), "long, without waiting for lent")
	require.Equal(t, "n3", at("d", 3), "any node")
	last := onlyCPU("e", 8)
	last.Namespace = "ns"
	_, err := s.PlaceFromReservation(t.Context(), "", last)
	require.ErrorIs(t, err, reservation.ErrWaiting)
	require.ErrorIs(t, err, ErrUnschedulable)
	require.NoError(t, s.Release(t.Context(), "guest"))
	require.Equal(t, "n4", at("e", 8))

	stranger := onlyCPU("f", 1)
	stranger.Namespace = "nobody"
	_, err = s.PlaceFromReservation(t.Context(), "", stranger)
	require.ErrorIs(t, err, ErrUnschedulable)
}
