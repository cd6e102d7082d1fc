package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// claimCores places a request for cores in a slot of reservation r.
func claimCores(t testHelper, s *Scheduler, id string, cores int64) error {
	t.Helper()
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU(id, cores))
	return err
}

// TestClaimNeverOversellsAShrunkenNode: a slot is a promise. Whether its node
// still has what it promises is looked at when an instance comes.
func TestClaimNeverOversellsAShrunkenNode(t *testing.T) {
	adopt := func(t testHelper, s *Scheduler, n placement.Node, stranger placement.Request) {
		t.Helper()
		_, err := s.AdoptNode(t.Context(), n, []Report{{Request: onlyCPU("x", 2)}, {Request: stranger}})
		require.NoError(t, err)
	}
	update := func(t testHelper, s *Scheduler, n placement.Node) {
		t.Helper()
		_, err := s.UpdateNode(t.Context(), n)
		require.NoError(t, err)
	}
	tests := []struct {
		name   string
		change func(testHelper, *Scheduler, placement.Node)
		asked  int64
		ok     bool
	}{
		{"as it was", func(testHelper, *Scheduler, placement.Node) {}, 6, true},
		{"filled by a report", func(t testHelper, s *Scheduler, n placement.Node) {
			adopt(t, s, n, onlyCPU("stranger", 6))
		}, 6, false},
		{"filled in part", func(t testHelper, s *Scheduler, n placement.Node) {
			adopt(t, s, n, onlyCPU("stranger", 4))
		}, 2, true},
		{"over, and nothing asked of what is short", func(t testHelper, s *Scheduler, n placement.Node) {
			stranger := onlyCPU("stranger", 1)
			stranger.Resources.Memory = 33 * placement.GiB
			adopt(t, s, n, stranger)
		}, 1, false},
		{"shrunk", func(t testHelper, s *Scheduler, n placement.Node) {
			n.Capacity.CPU = 4 * placement.Core
			update(t, s, n)
		}, 3, false},
		{"shrunk, to what is asked", func(t testHelper, s *Scheduler, n placement.Node) {
			n.Capacity.CPU = 4 * placement.Core
			update(t, s, n)
		}, 2, true},
		{"shrunk below use", func(t testHelper, s *Scheduler, n placement.Node) {
			n.Capacity.CPU = placement.Core
			update(t, s, n)
		}, 0, false},
		{"full of instances", func(t testHelper, s *Scheduler, n placement.Node) {
			n.MaxInstances = 1
			update(t, s, n)
		}, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			n := testNode("n1", 8)
			addNodes(t, s, n)
			reserve(t, s, holding("r", 8, 1))
			require.NoError(t, claimCores(t, s, "x", 2))
			test.change(t, s, n)
			before := snapshot(t, s)
			err := claimCores(t, s, "y", test.asked)
			if test.ok {
				require.NoError(t, err)
				info, err := s.Node(t.Context(), "n1")
				require.NoError(t, err)
				require.Empty(t, info.Over())
				return
			}
			var short *reservation.ShortError
			require.ErrorAs(t, err, &short)
			require.Equal(t, 1, short.Used+short.Excess)
			require.ErrorContains(t, err, "1 on nodes")
			require.Equal(t, before, snapshot(t, s))
		})
	}
}

// TestClaimThatOutstaysItsReservationIsRefused where others hold its node
// afterwards.
func TestClaimThatOutstaysItsReservationIsRefused(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Duration = time.Minute
	reserve(t, s, spec)
	next := holding("next", 8, 1)
	next.Start, next.Priority = c.Now().Add(time.Minute), 100
	reserve(t, s, next)
	req := onlyCPU("x", 8)
	req.Duration = 30 * time.Minute
	_, err := s.PlaceFromReservation(t.Context(), "r", req)
	require.ErrorIs(t, err, reservation.ErrRefused)
	req.Duration = time.Minute
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
}

// TestUnclaimOfAOnceSlotGivesItBack: nothing is held and paid for that nobody
// can claim.
func TestUnclaimOfAOnceSlotGivesItBack(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Once = true
	reserve(t, s, spec)
	require.NoError(t, claimCores(t, s, "x", 2))
	require.NoError(t, s.Unclaim(t.Context(), "x"))
	require.Zero(t, usedCores(t, s, "ns"))
	require.Equal(t, int64(8), availableCores(t, s, "n1"))
	require.ErrorIs(t, claimCores(t, s, "x", 2), reservation.ErrRefused)
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestSlotLeavesAShrunkenNodeWithItsLastInstance: a slot stays with the instance
// in it on a node that has become too small. Once that has left, in either way, it
// moves to where there is room for it, and a replay finds the same.
func TestSlotLeavesAShrunkenNodeWithItsLastInstance(t *testing.T) {
	for name, leave := range map[string]func(*Scheduler) error{
		"released":  func(s *Scheduler) error { return s.Release(t.Context(), "x") },
		"unclaimed": func(s *Scheduler) error { return s.Unclaim(t.Context(), "x") },
	} {
		t.Run(name, func(t *testing.T) {
			journal := new(MemoryJournal)
			cfg := Config{Journal: journal, Token: 1, Now: newClock().Now}
			s, err := Open(t.Context(), cfg)
			require.NoError(t, err)
			addNodes(t, s, testNode("n1", 8))
			reserve(t, s, holding("r", 8, 1))
			require.NoError(t, claimCores(t, s, "x", 1))
			_, err = s.UpdateNode(t.Context(), testNode("n1", 4))
			require.NoError(t, err)
			addNodes(t, s, testNode("n2", 8))
			require.Equal(t, "n1", reservationOf(t, s, "r").Slots[0].Node)
			require.NoError(t, leave(s))
			require.Equal(t, "n2", reservationOf(t, s, "r").Slots[0].Node)
			cfg.Token = 2
			want := snapshot(t, s)
			again, err := Open(t.Context(), cfg)
			require.NoError(t, err)
			require.Equal(t, want, snapshot(t, again))
		})
	}
}
