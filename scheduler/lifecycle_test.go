package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
)

// TestCloseWaitsForACheckpoint has Close meet a checkpoint whose journal does
// not look at its context: nothing is written after Close has returned.
func TestCloseWaitsForACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate := make(chan struct{})
		journal.before = func(context.Context) error { <-gate; return nil }
		saved := make(chan error, 1)
		go func() { saved <- s.Checkpoint(context.Background()) }()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		require.Empty(t, closed, "the snapshot may still be written")
		close(gate)
		require.NoError(t, <-closed)
		require.Error(t, <-saved, "the journal in memory looked at its context")
	})
}

// TestCheckpointLeavesWithItsContext is one that waits for an append of
// somebody else, and one whose context has ended before.
func TestCheckpointLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate, appends := make(chan struct{}), 0
		journal.before = func(context.Context) error { appends++; <-gate; return nil }
		placed := make(chan error, 1)
		go func() { _, err := s.Place(context.Background(), one("a")); placed <- err }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		saved := make(chan error, 1)
		go func() { saved <- s.Checkpoint(ctx) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Len(t, saved, 1)
		require.Equal(t, context.Canceled, <-saved)
		close(gate)
		require.NoError(t, <-placed)
		require.Equal(t, context.Canceled, s.Checkpoint(ctx))
		require.Equal(t, 1, appends, "and asked the journal for nothing")
	})
}

// TestWatchEndsWithItsContext under callers that do not let it wait.
func TestWatchEndsWithItsContext(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	require.NoError(t, s.AddNode(t.Context(), nodeOf("n1", 1000)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	events := s.Watch(ctx, 1)
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	require.NoError(t, s.Uncordon(t.Context(), "n1"))
	for range events { // which finds a next event each time
		if seen++; seen == 3 {
			cancel()
		}
		require.Less(t, seen, 10_000)
		_, err := s.Place(context.Background(), one(fmt.Sprint(seen)))
		require.NoError(t, err)
	}
	require.Equal(t, context.Canceled, ctx.Err())
}

// TestCallerLeavesAHungJournal although it is the one whose call wrote: what it
// changed becomes durable without it, hooks are called, and so does what came
// after that of others who left.
func TestCallerLeavesAHungJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		var told []uint64
		s := opened(t, scheduler.Config{Journal: journal, Hooks: scheduler.Hooks{
			Event: func(e scheduler.Event) { told = append(told, e.Seq) },
		}})
		gate := make(chan struct{})
		journal.before = func(ctx context.Context) error {
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, id := range []string{"a", "b", "c"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := s.Place(ctx, one(id))
			require.Equal(t, context.DeadlineExceeded, err)
			cancel()
		}
		require.Equal(t, []uint64{1}, told, "nothing of it is durable yet")
		close(gate)
		synctest.Wait()
		require.Equal(t, []uint64{1, 2, 3, 4}, told)
		for _, id := range []string{"a", "b", "c"} {
			_, err := s.Allocation(t.Context(), id)
			require.NoError(t, err)
		}
		next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: &journal.MemoryJournal})
		require.NoError(t, err)
		require.Equal(t, 3, next.Stats().Allocations)
	})
}

// TestCloseEndsAHungJournal that its caller has left, and tells the hooks of
// what got through all the same.
func TestCloseEndsAHungJournal(t *testing.T) {
	for _, through := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			journal := new(stored)
			var told []uint64
			s := opened(t, scheduler.Config{Journal: journal, Hooks: scheduler.Hooks{
				Event: func(e scheduler.Event) { told = append(told, e.Seq) },
			}})
			hang := func(ctx context.Context) error {
				<-ctx.Done()
				if through {
					return nil
				}
				return ctx.Err()
			}
			if through {
				journal.after = hang
			} else {
				journal.before = hang
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.Equal(t, context.DeadlineExceeded, s.Cordon(ctx, "n1"))
			require.NoError(t, s.Close())
			require.Len(t, recordsOf(t, journal), len(told))
			require.Equal(t, through, len(told) == 2)
		})
	}
}

// TestWatcherSeesWhatCloseLetThrough is an append under way that gets through
// while the scheduler closes: its caller is told, and so are watchers.
func TestWatcherSeesWhatCloseLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate := make(chan struct{})
		journal.after = func(context.Context) error { <-gate; return nil }
		var seen []uint64
		var all sync.WaitGroup
		all.Go(func() {
			for e := range s.Watch(context.Background(), 0) {
				seen = append(seen, e.Seq)
			}
		})
		all.Go(func() { noError(t, s.Cordon(context.Background(), "n1")) })
		synctest.Wait()
		all.Go(func() { noError(t, s.Close()) })
		synctest.Wait()
		close(gate)
		all.Wait()
		require.Equal(t, []uint64{1, 2}, seen)
	})
}

// TestFailedOpenLeavesNothing although the journal hangs with what Open wrote.
func TestFailedOpenLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal, writing := new(stored), false
		journal.before = func(ctx context.Context) error {
			writing = true
			<-ctx.Done()
			writing = false
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Workload: []scheduler.WorkloadClass{{Count: 1}}})
		require.Equal(t, context.DeadlineExceeded, err)
		require.False(t, writing)
	})
}

// TestPanicOfALeftJournal reaches nobody as a panic, and all as an error.
func TestPanicOfALeftJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate := make(chan struct{})
		journal.before = func(context.Context) error { <-gate; panic("out of range") }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, s.Cordon(ctx, "n1"))
		close(gate)
		synctest.Wait()
		require.ErrorContains(t, s.Uncordon(t.Context(), "n1"), "out of range")
		requireClosed(t, s, scheduler.ErrJournal)
		require.NoError(t, s.Close())
	})
}

func recordsOf(t *testing.T, journal scheduler.Journal) []scheduler.Record {
	t.Helper()
	var all []scheduler.Record
	for r, err := range journal.Records(t.Context()) {
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

// TestWaitLosesNoWakeUp has callers contend for one place, each of whom waits
// from the version of its refusal. One wake-up that is lost leaves all of them
// asleep, which the bubble reports.
func TestWaitLosesNoWakeUp(t *testing.T) {
	const callers, each = 8, 40
	for _, journal := range []scheduler.Journal{nil, new(scheduler.MemoryJournal)} {
		synctest.Test(t, func(t *testing.T) {
			s, err := scheduler.New(scheduler.Config{})
			if journal != nil {
				s, err = scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
			}
			require.NoError(t, err)
			require.NoError(t, s.AddNode(t.Context(), nodeOf("n1", 1)))
			var all sync.WaitGroup
			var waits atomic.Int64
			place := func(id string) {
				for {
					_, err := s.Place(context.Background(), one(id))
					var refused *scheduler.UnschedulableError
					if !errors.As(err, &refused) {
						noError(t, err)
						return
					}
					waits.Add(1)
					noError(t, s.Wait(context.Background(), refused.Version))
				}
			}
			for i := range callers {
				all.Go(func() {
					for j := range each {
						id := fmt.Sprint(i, "-", j)
						place(id)
						runtime.Gosched()
						noError(t, s.Release(context.Background(), id))
					}
				})
			}
			all.Wait()
			require.Positive(t, waits.Load())
			require.Equal(t, uint64(1+2*callers*each), s.Version())
		})
	}
}

// noError is for goroutines that must not end the test.
func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// listed returns what one of the lists of a scheduler has, such as s.Nodes.
func listed[T any](t *testing.T, list func(context.Context) ([]T, error)) []T {
	t.Helper()
	all, err := list(t.Context())
	require.NoError(t, err)
	return all
}
