package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestInstanceThatOutlivesItsReservation: once its reservation has ended, an
// instance is resized like any other. The reservation's namespace pays for what
// it held until that is given back, the instance's for what is more.
func TestInstanceThatOutlivesItsReservation(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	s := open(t, Config{Now: c.Now, Journal: journal})
	ctx := t.Context()
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("guest", 2))
	spec := holding("r", 4, 1)
	spec.AtEnd, spec.Owners = reservation.Keep, []string{"guest"}
	reserve(t, s, spec)
	claim := onlyCPU("a", 4)
	claim.Namespace = "guest"
	_, err := s.PlaceFromReservation(ctx, "r", claim)
	require.NoError(t, err)
	resize := func(cores int64) error {
		_, err := s.Resize(ctx, "a", placement.Resources{CPU: cores * placement.Core})
		return err
	}
	require.ErrorIs(t, resize(3), ErrConflict, "the reservation has its size while it lasts")
	c.advance(time.Hour)
	require.Equal(t, int64(4), usedCores(t, s, "ns"))

	tests := []struct {
		name         string
		cores        int64
		err          error
		pays, excess int64 // by ns and by guest, after that
	}{
		{"more than the claimant's quota", 7, quota.ErrExceeded, 4, 0},
		{"more", 6, nil, 4, 2},
		{"less", 3, nil, 3, 0},
		{"what was given back is gone", 4, nil, 3, 1},
		{"the same", 4, nil, 3, 1},
		{"more than the node", 9, ErrUnschedulable, 3, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.ErrorIs(t, resize(test.cores), test.err)
			require.Equal(t, test.pays, usedCores(t, s, "ns"))
			require.Equal(t, test.excess, usedCores(t, s, "guest"))
			require.NoError(t, s.VerifyQuota(t.Context()))
			again := open(t, Config{Now: c.Now, Journal: journal})
			require.Equal(t, snapshot(t, s), snapshot(t, again))
			s = again
		})
	}
	require.Equal(t, int64(4), availableCores(t, s, "n1"))
	require.NoError(t, s.Release(ctx, "a"))
	require.Equal(t, int64(8), availableCores(t, s, "n1"))
	require.Zero(t, usedCores(t, s, "ns"))
	_, err = s.Reservation(ctx, "r")
	require.ErrorIs(t, err, ErrNotFound)
}

// An instance that was told to leave after its reservation is shown as one
// that should have gone, as its claim is.
func TestEvictedInstanceIsOverstayed(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	reserve(t, s, reservation.Spec{
		ID: "r", Namespace: "ns", Shape: placement.Resources{CPU: placement.Core}, Count: 1,
		Duration: time.Minute, AtEnd: reservation.Evict, Grace: time.Minute,
	})
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 1))
	require.NoError(t, err)
	for _, overstayed := range []bool{false, true} {
		c.advance(time.Minute)
		a, err := s.Allocation(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, overstayed, a.Overstayed)
		r, err := s.Reservation(t.Context(), "r")
		require.NoError(t, err)
		require.Equal(t, overstayed, r.Slots[0].Claims[0].Overstayed)
	}
}

// TestWhoHasLostItsSlotIsToldInTime: an instance that says when it leaves is told so, and
// counts until then, when its slot went with its node and that came back, also if it
// came back too late.
func TestWhoHasLostItsSlotIsToldInTime(t *testing.T) {
	for _, away := range []time.Duration{time.Minute, 15 * time.Minute} {
		c, journal := newClock(), new(MemoryJournal)
		s := open(t, Config{Now: c.Now, Journal: journal})
		addNodes(t, s, testNode("n1", 8))
		reserve(t, s, holding("r", 4, 1))
		claim := onlyCPU("a", 4)
		claim.Duration = 10 * time.Minute
		_, err := s.PlaceFromReservation(t.Context(), "r", claim)
		require.NoError(t, err)
		require.NoError(t, s.MarkLost(t.Context(), "n1"))
		require.NoError(t, s.ReleaseReservation(t.Context(), "r", true))
		c.advance(away)
		require.Empty(t, due(t, s))
		var back []string
		if away > claim.Duration {
			back = collect(s, func() { require.NoError(t, s.MarkReady(t.Context(), "n1")) })
			require.Contains(t, back, "overstayed")
		} else {
			require.NoError(t, s.MarkReady(t.Context(), "n1"))
			_, counted := s.state.plan.Stay("a")
			require.True(t, counted)
			c.advance(claim.Duration)
			require.Equal(t, []string{"overstayed a"}, due(t, s))
		}
		require.Equal(t, snapshot(t, s), snapshot(t, open(t, Config{Now: c.Now, Journal: journal})))
	}
}
