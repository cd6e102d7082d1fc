package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// told collects what time brought about, as a host's hooks hear it.
type told struct {
	mu     sync.Mutex
	events []string
	moved  bool // slots had to move, which who is late decides later
}

func (h *told) hear(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c := e.Change.(type) {
	case *EvictionDue, *Overstayed:
	case *ReservationEvent:
		switch c.Kind {
		case reservation.SlotMoved, reservation.SlotLost:
			h.moved = true
			return
		case reservation.Started, reservation.Expired, reservation.EvictionDue, reservation.Over:
		default:
			return
		}
	default:
		return
	}
	data, err := json.Marshal(e.Change)
	if err != nil {
		panic(err)
	}
	h.events = append(h.events, fmt.Sprintf("%s %T %s", e.Time, e.Change, data))
}

func (h *told) heard() (events []string, moved bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events), h.moved
}

// timedCall draws a call whose outcome depends on time. On a grid of ten
// seconds many instants coincide.
func timedCall(ctx context.Context, g *rand.Rand) func(*Scheduler) error {
	steps := func(most int) time.Duration { return time.Duration(g.IntN(most+1)) * 10 * time.Second }
	either := func() bool { return g.IntN(2) == 0 }
	node, id, in := fmt.Sprint("n", 1+g.IntN(3)), fmt.Sprint("i", g.IntN(5)), fmt.Sprint("r", g.IntN(3))
	switch g.IntN(10) {
	case 0, 1:
		req := onlyCPU(id, g.Int64N(3))
		req.Duration = steps(4)
		req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("t").AtMost(int64(steps(2).Seconds())))
		claims := either()
		return func(s *Scheduler) (err error) {
			if claims {
				_, err = s.PlaceFromReservation(ctx, in, req)
			} else {
				_, err = s.Place(ctx, req)
			}
			return err
		}
	case 2, 3:
		spec := holding(in, 1+g.Int64N(2), 1+g.IntN(2))
		spec.Start, spec.Duration = time.Now().Add(steps(3)), 10*time.Second+steps(3)
		spec.AtEnd = reservation.AtEnd(g.IntN(3))
		if spec.AtEnd == reservation.Evict {
			spec.Grace = steps(2)
		}
		return func(s *Scheduler) error { _, err := s.Reserve(ctx, spec); return err }
	case 4:
		end := time.Now().Add(steps(4))
		return func(s *Scheduler) error { _, err := s.Extend(ctx, in, end); return err }
	case 5:
		return func(s *Scheduler) error { return s.ReleaseReservation(ctx, in, true) }
	case 6:
		return func(s *Scheduler) error { return s.Release(ctx, id) }
	case 7:
		soft := (2 + g.Int64N(4)) * placement.Core
		return func(s *Scheduler) error {
			_, err := s.UpdateQuota(ctx, quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
				placement.NameCPU: {Soft: soft, BurstPercent: 200, BurstFor: 20 * time.Second},
			}})
			return err
		}
	case 8:
		if either() {
			return func(s *Scheduler) error { return s.MarkLost(ctx, node) }
		}
		return func(s *Scheduler) error { return s.MarkReady(ctx, node) }
	default:
		if either() {
			return func(s *Scheduler) error { return s.AddTaint(ctx, node, noExecute("t")) }
		}
		return func(s *Scheduler) error { return s.RemoveTaint(ctx, node, "t", placement.NoExecute) }
	}
}

// sleeperAgrees runs two schedulers through the same calls: one whose host
// sleeps until each deadline, and one of which nobody sweeps and which is
// opened anew now and then. The first is told everything at its instant, and
// both are told the same, each event once, and answer the same.
func sleeperAgrees(t *testing.T, seed uint64) {
	t.Helper()
	g := rand.New(rand.NewPCG(seed, 0))
	var early, late told
	awake := newTestScheduler(t, Config{Hooks: Hooks{Event: func(e Event) {
		early.hear(e)
		require.Equal(t, time.Now().UTC(), e.Time, "in time")
	}}})
	cfg := Config{Journal: new(MemoryJournal), Hooks: Hooks{Event: late.hear}}
	lazy := open(t, cfg)
	each := func(call func(*Scheduler) error) {
		first, second := call(awake), call(lazy)
		require.Equal(t, fmt.Sprint(first), fmt.Sprint(second))
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		each(func(s *Scheduler) error { return s.AddNode(t.Context(), testNode(id, 4)) })
	}
	each(func(s *Scheduler) error {
		_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns"})
		return err
	})

	ctx, end := context.WithCancel(t.Context())
	finished := make(chan error)
	go func() { finished <- awake.Run(ctx) }()
	defer func() { end(); require.NoError(t, <-finished) }()
	for range 20 {
		time.Sleep(time.Duration(g.IntN(4)) * 10 * time.Second)
		synctest.Wait()
		if g.IntN(5) == 0 {
			if g.IntN(2) == 0 {
				require.NoError(t, lazy.Checkpoint(t.Context()))
			}
			lazy = open(t, cfg)
		}
		call := timedCall(t.Context(), g)
		first, second := call(awake), call(lazy)
		if !sameHeard(t, &early, &late, seed) {
			return
		}
		require.Equal(t, first == nil, second == nil, "seed %d: %v: %v", seed, first, second)
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	_, err := lazy.Sweep(t.Context())
	require.NoError(t, err)
	sameHeard(t, &early, &late, seed)
}

// sameHeard compares what two hosts have heard. It reports false once slots had
// to move.
func sameHeard(t *testing.T, early, late *told, seed uint64) bool {
	t.Helper()
	first, moved := early.heard()
	second, movedToo := late.heard()
	if moved || movedToo {
		return false
	}
	require.Equal(t, first, second, "seed %d", seed)
	return true
}

func TestSleeperAndLatecomerHearTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(200) {
			sleeperAgrees(t, seed)
		}
	})
}
