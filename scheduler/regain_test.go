package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

func reservationOf(t testHelper, s *Scheduler, id string) reservation.Reservation {
	t.Helper()
	r, err := s.Reservation(t.Context(), id)
	require.NoError(t, err)
	return r
}

func stateOf(t testHelper, s *Scheduler, id string) reservation.State {
	t.Helper()
	r := reservationOf(t, s, id)
	return r.State()
}

// requireHeldOn asserts that reservation r is whole, with its slot on a node.
func requireHeldOn(t testHelper, s *Scheduler, nodeID string) {
	t.Helper()
	require.Equal(t, reservation.Active, stateOf(t, s, "r"))
	require.Equal(t, nodeID, reservationOf(t, s, "r").Slots[0].Node)
}

// TestContestedStartGoesToThePriority: an instance overstays where two
// reservations begin at once, and there is room for one of them.
func TestContestedStartGoesToThePriority(t *testing.T) {
	for _, first := range []string{"a", "z"} {
		t.Run("the important one is "+first, func(t *testing.T) {
			c := newClock()
			s := newTestScheduler(t, Config{Now: c.Now})
			addNodes(t, s, testNode("n1", 8))
			brief := onlyCPU("x", 4)
			brief.Duration = time.Minute
			place(t, s, brief)
			for _, id := range []string{first, "m"} {
				spec := holding(id, 4, 1)
				spec.Start = c.Now().Add(time.Minute)
				if id == first {
					spec.Priority = 100
				}
				reserve(t, s, spec)
			}
			c.advance(time.Minute)
			require.Contains(t, due(t, s), "overstayed x")
			require.Equal(t, reservation.Active, stateOf(t, s, first))
			require.Equal(t, reservation.Degraded, stateOf(t, s, "m"))
			_, err := s.PlaceFromReservation(t.Context(), "m", onlyCPU("y", 4))
			var short *reservation.ShortError
			require.ErrorAs(t, err, &short)
			require.Equal(t, []string{"x"}, short.Awaits)
			_, err = s.PlaceFromReservation(t.Context(), first, onlyCPU("y", 4))
			require.NoError(t, err)
			require.NoError(t, s.Release(t.Context(), "x"))
			require.Equal(t, reservation.Active, stateOf(t, s, "m"))
			_, err = s.PlaceFromReservation(t.Context(), "m", onlyCPU("z", 4))
			require.NoError(t, err)
		})
	}
}

// TestLostSlotIsRegained: whatever passes, a reservation gets back the slot
// that it has lost.
func TestLostSlotIsRegained(t *testing.T) {
	ctx := t.Context()
	no := func(t testHelper, err error) { t.Helper(); require.NoError(t, err) }
	whole := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"cpu": {Soft: 8000}}}
	none := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"cpu": {Soft: 0}}}
	other := func(id string, cores int64) placement.Request {
		req := onlyCPU(id, cores)
		req.Namespace = "other"
		return req
	}
	on := func(id, nodeID string, cores int64) reservation.Spec {
		spec := holding(id, cores, 1)
		spec.Namespace, spec.Node, spec.Priority = "other", nodeID, 9
		return spec
	}
	tests := []struct {
		name string
		lose func(testHelper, *Scheduler, *clock)
		back func(testHelper, *Scheduler, *clock)
	}{
		{"its node is lost for a moment", func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.MarkLost(ctx, "n1"))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.MarkReady(ctx, "n1"))
		}},
		{"its node is removed and added", func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.RemoveNode(ctx, "n1")
			no(t, err)
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.AddNode(ctx, testNode("n1", 8)))
		}},
		{"its node shrinks and grows", func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.UpdateNode(ctx, testNode("n1", 4))
			no(t, err)
		}, func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.UpdateNode(ctx, testNode("n1", 8))
			no(t, err)
		}},
		{"a reported instance leaves", func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.AdoptNode(ctx, testNode("n1", 8), []Report{{Request: other("x", 4)}})
			no(t, err)
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.Release(ctx, "x"))
		}},
		{"a reported instance shrinks", func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.AdoptNode(ctx, testNode("n1", 8), []Report{{Request: other("x", 4)}})
			no(t, err)
		}, func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.Resize(ctx, "x", placement.Resources{})
			no(t, err)
		}},
		{"another one is released", func(t testHelper, s *Scheduler, _ *clock) {
			reserve(t, s, on("high", "n1", 8))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.ReleaseReservation(ctx, "high", false))
		}},
		{"another one ends", func(t testHelper, s *Scheduler, _ *clock) {
			high := on("high", "n1", 8)
			high.Duration = time.Minute
			reserve(t, s, high)
		}, func(_ testHelper, _ *Scheduler, c *clock) {
			c.advance(time.Minute)
		}},
		{"another one gets smaller", func(t testHelper, s *Scheduler, _ *clock) {
			reserve(t, s, on("high", "n1", 8))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.ResizeReservation(ctx, "high", placement.Resources{CPU: 1}, 0)
			no(t, err)
			_, err = s.UpdateNode(ctx, testNode("n1", 9))
			no(t, err)
		}},
		{"an instance that is unclaimed leaves room", func(t testHelper, s *Scheduler, _ *clock) {
			high := on("high", "n1", 8)
			high.Duration = time.Minute
			reserve(t, s, high)
			_, err := s.PlaceFromReservation(ctx, "high", other("x", 8))
			no(t, err)
			no(t, s.ReleaseReservation(ctx, "high", true))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.Unclaim(ctx, "x"))
		}},
		{"its node is cordoned meanwhile", func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.Cordon(ctx, "n1"))
			no(t, s.MarkLost(ctx, "n1"))
			no(t, s.MarkReady(ctx, "n1"))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.Uncordon(ctx, "n1"))
		}},
		{"a taint is removed", func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.AddTaint(ctx, "n1", placement.Taint{Key: "t", Effect: placement.NoSchedule}))
			no(t, s.MarkLost(ctx, "n1"))
			no(t, s.MarkReady(ctx, "n1"))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.RemoveTaint(ctx, "n1", "t", placement.NoSchedule))
		}},
		{"a limit is raised", func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.MarkLost(ctx, "n1"))
			_, err := s.CreateQuota(ctx, none)
			no(t, err)
			no(t, s.MarkReady(ctx, "n1"))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.UpdateQuota(ctx, whole)
			no(t, err)
		}},
		{"a limit goes", func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.MarkLost(ctx, "n1"))
			_, err := s.CreateQuota(ctx, none)
			no(t, err)
			no(t, s.MarkReady(ctx, "n1"))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.DeleteQuota(ctx, "ns"))
		}},
		{"an instance gives its quota back elsewhere", func(t testHelper, s *Scheduler, _ *clock) {
			_, err := s.CreateQuota(ctx, whole)
			no(t, err)
			no(t, s.MarkLost(ctx, "n1"))
			allocate(t, s, "n2", onlyCPU("x", 2))
			no(t, s.MarkReady(ctx, "n1"))
		}, func(t testHelper, s *Scheduler, _ *clock) {
			no(t, s.Release(ctx, "x"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, journal := newClock(), new(MemoryJournal)
			s := open(t, Config{Now: c.Now, Journal: journal})
			addNodes(t, s, testNode("n1", 8), testNode("n2", 7))
			reserve(t, s, holding("r", 8, 1))
			requireHeldOn(t, s, "n1")
			test.lose(t, s, c)
			require.Equal(t, reservation.Displaced, stateOf(t, s, "r"))
			require.Equal(t, "n1", reservationOf(t, s, "r").Slots[0].Lost)
			again, err := s.Reserve(ctx, holding("r", 8, 1))
			require.NoError(t, err)
			require.Equal(t, reservation.Displaced, again.State(), "a retry tells how it stands")
			test.back(t, s, c)
			_, err = s.Sweep(ctx)
			require.NoError(t, err)
			requireHeldOn(t, s, "n1")
			require.NoError(t, s.VerifyQuota(t.Context()))
			require.Equal(t, snapshot(t, s), snapshot(t, open(t, Config{Now: c.Now, Journal: journal, Token: 9})))
		})
	}
}

// TestLostSlotPrefersItsOldNode: of several nodes with room it takes the one
// where it was.
func TestLostSlotPrefersItsOldNode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n0", 8), testNode("n1", 8))
	require.NoError(t, s.Cordon(t.Context(), "n0"))
	reserve(t, s, holding("r", 8, 1))
	requireHeldOn(t, s, "n1")
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	spec := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"cpu": {Soft: 0}}}
	_, err := s.CreateQuota(t.Context(), spec)
	require.NoError(t, err)
	require.NoError(t, s.Uncordon(t.Context(), "n0"))
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	require.Equal(t, reservation.Displaced, stateOf(t, s, "r"))
	require.NoError(t, s.DeleteQuota(t.Context(), "ns"))
	requireHeldOn(t, s, "n1")
}

// TestUpdatedReservationRegainsItsSlot: under new parameters there may be room for
// a lost slot at once.
func TestUpdatedReservationRegainsItsSlot(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 4))
	reserve(t, s, holding("r", 8, 1))
	requireHeldOn(t, s, "n1")
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	require.Equal(t, reservation.Displaced, stateOf(t, s, "r"))
	updated, err := s.ResizeReservation(t.Context(), "r", placement.Resources{CPU: 4 * placement.Core}, 0)
	require.NoError(t, err)
	require.Equal(t, reservation.Active, updated.State())
	requireHeldOn(t, s, "n2")
}

// TestLateYielderCostsTheTimeThatItLasts, with and without a notice: the slot
// keeps everybody else off meanwhile.
func TestLateYielderCostsTheTimeThatItLasts(t *testing.T) {
	for _, notice := range []time.Duration{0, 30 * time.Second} {
		t.Run(notice.String(), func(t *testing.T) {
			c := newClock()
			s := newTestScheduler(t, Config{Now: c.Now})
			addNodes(t, s, testNode("n1", 8))
			yielding := onlyCPU("x", 4)
			yielding.Yield = true
			place(t, s, yielding)
			spec := holding("r", 8, 1)
			spec.Start, spec.Notice = c.Now().Add(time.Minute), notice
			reserve(t, s, spec)
			c.advance(time.Minute)
			_, err := s.Sweep(t.Context())
			require.NoError(t, err)
			require.Equal(t, reservation.Degraded, stateOf(t, s, "r"))
			require.Equal(t, []string{"x"}, reservationOf(t, s, "r").Slots[0].Awaits)
			_, err = s.Place(t.Context(), onlyCPU("y", 1))
			require.ErrorIs(t, err, ErrUnschedulable, "what is left is not for others")
			_, err = s.Extend(t.Context(), "r", c.Now().Add(2*time.Hour))
			require.NoError(t, err)
			require.Equal(t, reservation.Degraded, stateOf(t, s, "r"))
			c.advance(time.Second)
			require.NoError(t, s.Release(t.Context(), "x"))
			requireHeldOn(t, s, "n1")
			require.NoError(t, claimCores(t, s, "z", 8))
		})
	}
}

// TestWaitingSlotMovesWhenRoomComesElsewhere: it need not wait longer than
// that.
func TestWaitingSlotMovesWhenRoomComesElsewhere(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	allocate(t, s, "n2", onlyCPU("y", 1))
	yielding := onlyCPU("x", 4)
	yielding.Yield = true
	allocate(t, s, "n1", yielding)
	spec := holding("r", 8, 1)
	spec.Start = c.Now().Add(time.Minute)
	reserve(t, s, spec)
	c.advance(time.Minute)
	require.NoError(t, s.Release(t.Context(), "y"))
	requireHeldOn(t, s, "n2")
	require.Equal(t, int64(8), usedCores(t, s, "ns")-4, "it is paid for once")
}
