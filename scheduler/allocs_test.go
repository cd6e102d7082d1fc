package scheduler

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllocations bounds what a decision allocates: nothing to find a node, one
// record for an instance, and whatever the rules between instances count.
func TestAllocations(t *testing.T) {
	tests := []struct {
		rules           string
		schedule, place float64
	}{
		{"none", 0, 1},
		{"label", 0, 1},
		{"spread", 0, 2},
		{"anti", 0, 4},
		{"strategy", 0, 1},
	}
	ids := benchmarkNames()
	for _, test := range tests {
		t.Run(test.rules, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			for i := range 100 {
				addNodes(t, s, benchmarkNode(i))
			}
			req := benchmarkRequest(ids, 1, "repeated", test.rules)
			req.ID = "standing"
			place(t, s, req)
			req.ID = "next"
			got := testing.AllocsPerRun(100, func() {
				_, err := s.Schedule(t.Context(), req)
				require.NoError(t, err)
			})
			require.LessOrEqual(t, got, test.schedule, "Schedule")
			got = testing.AllocsPerRun(100, func() {
				_, err := s.Place(t.Context(), req)
				require.NoError(t, err)
				require.NoError(t, s.Release(t.Context(), req.ID))
			})
			require.LessOrEqual(t, got, test.place, "Place and Release")
		})
	}
}

// TestAllocationsBesideAWatcher bounds what placing and releasing allocate while
// events are told: the instance's record and two changes.
func TestAllocationsBesideAWatcher(t *testing.T) {
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(Event) {}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	for range 100 {
		addNodes(t, s, benchmarkNode(int(s.Version())))
	}
	req := benchmarkRequest(benchmarkNames(), 1, "repeated", "label")
	req.ID = "standing"
	place(t, s, req)
	req.ID = "next"
	pair := func() {
		_, err := s.Place(t.Context(), req)
		require.NoError(t, err)
		require.NoError(t, s.Release(t.Context(), req.ID))
	}
	var read atomic.Int64
	events := s.Watch(ctx, s.Version())
	reader.Go(func() {
		for range events {
			read.Add(1)
		}
	})
	for s.history.lost == 0 {
		pair() // until the ring has its size
	}
	require.LessOrEqual(t, testing.AllocsPerRun(1000, pair), 3.0)
	if raceEnabled {
		return // a sync.Pool then forgets some of what it is given
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const pairs = 10_000
	for range pairs {
		pair()
	}
	runtime.ReadMemStats(&after)
	require.LessOrEqual(t, (after.TotalAlloc-before.TotalAlloc)/pairs, uint64(416))
	require.NotZero(t, read.Load())
}
