package scheduler

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// collect returns the kinds of the events that a call causes.
func collect(s *Scheduler, call func()) []string {
	listen := func(n int) uint64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.history.watchers += n
		return s.history.total
	}
	place := listen(1)
	defer listen(-1)
	call()
	var kinds []string
	events, _ := s.eventsFrom(&place)
	for _, e := range events {
		kinds = append(kinds, string(e.Change.changeKind()))
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

func TestSlowWatcherSeesAGap(t *testing.T) {
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(Event) {}}})
	addNodes(t, s, testNode("n1", 8))
	for range historySize {
		place(t, s, testRequest("a", 1))
		require.NoError(t, s.Release(t.Context(), "a"))
	}
	for e := range s.Watch(t.Context(), 1) {
		require.Equal(t, s.Version()-historySize+1, e.Seq)
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
	s = newTestScheduler(t, Config{Hooks: Hooks{
		Placed: func(_ Event, p *Placed) {
			order = append(order, p.Request.ID)
			if p.Request.ID == "a" {
				place(t, s, testRequest("b", 1))
				order = append(order, "a done")
			}
		},
	}})
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
