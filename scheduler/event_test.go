package scheduler

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// collect returns the kinds of the events that a call causes.
func collect(s *Scheduler, call func()) []string {
	_ = s.Watch(context.Background(), 0) // from now on events are kept
	w := newWatcher(s.Version())
	call()
	var kinds []string
	events, _ := s.history.take(w, unended)
	for _, e := range events {
		kinds = append(kinds, e.Change.changeKind().String())
	}
	return kinds
}

func TestEventsOfEveryCall(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	tests := []struct {
		name string
		call func() error
		want []string
	}{
		{"add", func() error { return s.AddNode(ctx, testNode("n1", 8)) }, []string{"node-added"}},
		{"place", func() error { _, err := s.Place(ctx, testRequest("a", 1)); return err }, []string{"placed"}},
		{"resize", func() error {
			_, err := s.Resize(ctx, "a", placement.Resources{CPU: 2000})
			return err
		}, []string{"resized"}},
		{"label", func() error { return s.SetLabel(ctx, "n1", "zone", "a") }, []string{"node-updated"}},
		{"cordon", func() error { return s.Cordon(ctx, "n1") }, []string{"node-marked"}},
		{"lost", func() error { return s.MarkLost(ctx, "n1") }, []string{"node-marked", "instance-marked"}},
		{"ready", func() error { return s.MarkReady(ctx, "n1") }, []string{"node-marked", "instance-marked"}},
		{"taint", func() error { return s.AddTaint(ctx, "n1", noExecute("k")) }, []string{"node-updated", "eviction-due"}},
		{"release", func() error { return s.Release(ctx, "a") }, []string{"released"}},
		{"remove", func() error { _, err := s.RemoveNode(ctx, "n1"); return err }, []string{"node-removed"}},
	}
	for _, test := range tests {
		require.Equal(t, test.want, collect(s, func() { require.NoError(t, test.call(), test.name) }), test.name)
	}
}

func TestWatchTwoReadersSeeEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		seen := make([][]uint64, 2)
		var readers sync.WaitGroup
		for i := range seen {
			readers.Go(func() {
				for e := range s.Watch(ctx, 0) {
					seen[i] = append(seen[i], e.Seq)
				}
			})
		}
		synctest.Wait()
		addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
		place(t, s, testRequest("a", 1))
		synctest.Wait()
		cancel()
		readers.Wait()
		require.Equal(t, [][]uint64{{1, 2, 3}, {1, 2, 3}}, seen)
	})
}

// Nothing is missed between the call of Watch and the iteration, nor between
// two watches.
func TestWatchMissesNothing(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("unseen", 8))
	var seen []uint64
	next := func(events iter.Seq[Event]) {
		for e := range events {
			seen = append(seen, e.Seq)
			break
		}
	}
	events := s.Watch(t.Context(), 0)
	addNodes(t, s, testNode("n2", 8), testNode("n3", 8))
	next(events)
	place(t, s, testRequest("a", 1))
	next(s.Watch(t.Context(), 2))
	next(s.Watch(t.Context(), 3))
	require.Equal(t, []uint64{2, 3, 4}, seen)
}

func TestSlowWatcherSeesAGap(t *testing.T) {
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(Event) {}}})
	addNodes(t, s, testNode("n1", 8))
	for range historySize {
		place(t, s, testRequest("a", 1))
		require.NoError(t, s.Release(t.Context(), "a"))
	}
	for e := range s.Watch(t.Context(), 1) {
		kept := s.Version() - e.Seq + 1
		require.LessOrEqual(t, kept, uint64(historySize))
		require.Greater(t, kept, uint64(historySize-blockSize))
		break
	}
}

func TestWatchEndsWithTheScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		go func() {
			synctest.Wait()
			_ = s.Close()
		}()
		for range s.Watch(t.Context(), 0) {
			t.Error("an event of an empty scheduler")
		}
	})
}

func TestHookMayCallTheScheduler(t *testing.T) {
	var (
		s     *Scheduler
		order []string
	)
	s = newTestScheduler(t, Config{Hooks: hookOn(func(_ Event, p *Placed) {
		order = append(order, p.ID)
		if p.ID == "a" {
			place(t, s, testRequest("b", 1))
			order = append(order, "a done")
		}
	})})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, testRequest("a", 1))
	require.Equal(t, []string{"a", "a done", "b"}, order)
}

func TestHooksSeeEventsInOrder(t *testing.T) {
	var seqs []uint64
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(e Event) { seqs = append(seqs, e.Seq) }}})
	addNodes(t, s, testNode("n1", 1000))
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for j := range 20 {
				_, err := s.Place(context.Background(), testRequest(fmt.Sprintf("%d-%d", i, j), 1))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	require.Len(t, seqs, 161)
	for i, seq := range seqs {
		require.Equal(t, uint64(i+1), seq)
	}
}

func TestWaitReturnsOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 4))
		place(t, s, testRequest("a", 4))
		_, err := s.Place(t.Context(), testRequest("b", 4))
		var refused *UnschedulableError
		require.ErrorAs(t, err, &refused)

		done := make(chan error, 1)
		go func() { done <- s.Wait(t.Context(), refused.Version) }()
		synctest.Wait()
		require.Empty(t, done)
		require.NoError(t, s.Release(t.Context(), "a"))
		require.NoError(t, <-done)
		require.NoError(t, s.Wait(t.Context(), refused.Version), "a change before the wait counts")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.Wait(ctx, s.Version()), context.DeadlineExceeded)
	})
}

func TestWaitForTheEndOfAScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(MemoryJournal)
		s := open(t, Config{Journal: journal, Token: 1})
		done := make(chan error, 1)
		go func() { done <- s.Wait(t.Context(), math.MaxUint64) }()
		addNodes(t, s, testNode("n1", 4))
		synctest.Wait()
		require.Empty(t, done)
		open(t, Config{Journal: journal, Token: 2})
		require.ErrorIs(t, s.AddNode(t.Context(), testNode("n2", 4)), ErrFenced)
		require.ErrorIs(t, <-done, ErrFenced)
	})
}

func TestGapStartsAtAWholeEntry(t *testing.T) {
	var h history
	var entry []Event
	for seq := range uint64(3) {
		entry = entry[:0]
		for range historySize/2 + blockSize + 10 {
			entry = append(entry, Event{Seq: seq + 1})
		}
		h.record(entry)
	}
	first := h.blocks[0].events[0]
	require.Equal(t, uint64(2), first.Seq, "some events of the second entry are left, but not all")
	w := newWatcher(1)
	_, lost := h.take(w, unended)
	require.Equal(t, uint64(2), lost)
	w.resume(lost)
	events, _ := h.take(w, unended)
	require.Equal(t, uint64(3), events[0].Seq)
	require.Equal(t, uint64(2*(historySize/2+blockSize+10)), w.block.first+uint64(blockSize-len(events)), "all of it")
}

// enderOf is a context that runs a function when it is asked for its end.
type enderOf struct {
	context.Context
	ask func()
}

func (e enderOf) Done() <-chan struct{} {
	e.ask()
	return e.Context.Done()
}

func TestWatcherSeesWhatHappenedBeforeClose(t *testing.T) {
	for range 20 {
		s := newTestScheduler(t, Config{})
		ctx := enderOf{t.Context(), sync.OnceFunc(func() {
			addNodes(t, s, testNode("n1", 4))
			require.NoError(t, s.Close())
		})}
		seen := 0
		for range s.Watch(ctx, 0) {
			seen++
		}
		require.Equal(t, 1, seen)
	}
}

func TestListenersCanNotCorruptTheState(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now, Hooks: Hooks{Event: func(e Event) {
		switch c := e.Change.(type) {
		case *Placed:
			for i := range c.Devices {
				c.Devices[i] = 9
			}
			clear(c.Resources.Custom)
			if c.Claim != nil {
				clear(c.Claim.Claim.Held.Resources.Custom)
				c.Claim.Claim.Held.Resources.CPU = 0
			}
		case *Resized:
			for i := range c.Devices {
				c.Devices[i] = 9
			}
			clear(c.Resources.Custom)
		case *NodeAdded:
			clear(c.Node.Labels)
			clear(c.Node.Capacity.Custom)
		case *NodeUpdated:
			clear(c.Node.Labels)
		case *QuotaCreated:
			clear(c.Spec.Limits)
		case *WorkloadChanged:
			c.Mix[0].Count = 7
			c.Mix[0].Models[0] = "other"
		case *PlanChanged:
			for _, change := range c.Changes {
				clear(change.Reservation.Params.Shape.Custom)
				clear(change.Reservation.Spec.Shape.Custom)
			}
		}
	}}})
	mirror := newTestScheduler(t, Config{Now: c.Now})
	for _, s := range []*Scheduler{s, mirror} {
		n := testNode("n1", 8)
		n.Devices.Count = 3
		n.Labels = map[string]string{"zone": "a"}
		n.Capacity.Custom = map[string]int64{"fpga": 4}
		addNodes(t, s, n)
		require.NoError(t, s.SetLabel(t.Context(), "n1", "rack", "r"))
		require.NoError(t, s.SetWorkload(t.Context(), []WorkloadClass{{Count: 1, Models: []string{"m"}}}))
		_, err := s.CreateQuota(t.Context(), quota.Spec{
			Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"fpga": {Soft: 9}},
		})
		require.NoError(t, err)
		spec := holding("r", 2, 1)
		spec.Shape.Custom = map[string]int64{"fpga": 2}
		reserve(t, s, spec)
		claim := onlyCPU("claimed", 1)
		claim.Resources.Custom = map[string]int64{"fpga": 1}
		_, err = s.PlaceFromReservation(t.Context(), "r", claim)
		require.NoError(t, err)
		req := testRequest("a", 1)
		req.Labels = map[string]string{"app": "web"}
		req.Resources.GPU = placement.Device
		req.Resources.Custom = map[string]int64{"fpga": 1}
		place(t, s, req)
		to := req.Resources.Clone()
		to.GPU = 2 * placement.Device
		_, err = s.Resize(t.Context(), "a", to)
		require.NoError(t, err)
		require.NoError(t, s.VerifyQuota(t.Context()))
	}
	require.Equal(t, snapshot(t, mirror), snapshot(t, s))
	require.NoError(t, s.Release(t.Context(), "claimed"))
	require.NoError(t, mirror.Release(t.Context(), "claimed"))
	require.Equal(t, snapshot(t, mirror), snapshot(t, s))
}

func TestPanickingHookStopsNoOther(t *testing.T) {
	var told []uint64
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(e Event) {
		told = append(told, e.Seq)
		if e.Seq == 1 {
			panic("hook")
		}
	}}})
	require.Panics(t, func() { _ = s.AddNode(t.Context(), testNode("n1", 4)) })
	addNodes(t, s, testNode("n2", 4))
	require.Equal(t, []uint64{1, 2}, told)
}

func TestHookMayClose(t *testing.T) {
	var s *Scheduler
	s = newTestScheduler(t, Config{Hooks: Hooks{Event: func(Event) { require.NoError(t, s.Close()) }}})
	addNodes(t, s, testNode("n1", 4))
	require.ErrorIs(t, s.AddNode(t.Context(), testNode("n2", 4)), ErrClosed)
}
