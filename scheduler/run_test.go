package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// runInBubble runs a scheduler in a bubble until the test ends.
func runInBubble(t *testing.T, s *Scheduler) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	ctx, end := context.WithCancel(t.Context())
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(end)
	return done
}

func TestRunSweepsWhenSomethingFallsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var due []time.Time
		s := newTestScheduler(t, Config{Hooks: hookOn(func(_ Event, _ *Overstayed) { due = append(due, time.Now()) })})
		addNodes(t, s, testNode("n1", 4))
		runInBubble(t, s)
		start := time.Now()
		for id, d := range map[string]time.Duration{"late": time.Hour, "soon": time.Minute} {
			req := testRequest(id, 1)
			req.Duration = d
			place(t, s, req)
			synctest.Wait()
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, []time.Time{start.Add(time.Minute), start.Add(time.Hour)}, due)
	})
}

// While state time goes at half pace after the clock was set back, timers come too
// early, and not again and again.
func TestRunWithAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		back := time.Duration(0)
		s := newTestScheduler(t, Config{Now: func() time.Time { reads++; return time.Now().Round(0).Add(-back) }})
		addNodes(t, s, testNode("n1", 4))
		req := testRequest("a", 1)
		req.Duration = time.Minute
		place(t, s, req)
		back = time.Hour
		ctx, end := context.WithTimeout(t.Context(), 10*time.Minute)
		defer end()
		require.NoError(t, s.Run(ctx))
		a, err := s.Allocation(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, a.Overstayed)
		require.Less(t, reads, 100)
	})
}

func TestRunEndsWithTheScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(MemoryJournal)
		s := open(t, Config{Journal: journal, Token: 1})
		done := runInBubble(t, s)
		require.NoError(t, journal.Acquire(t.Context(), 2))
		require.ErrorIs(t, s.AddNode(t.Context(), testNode("n1", 4)), ErrFenced)
		require.ErrorIs(t, <-done, ErrFenced)
		s = newTestScheduler(t, Config{})
		done = runInBubble(t, s)
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrClosed)
	})
}

// cut fails to take snapshots.
type cut struct {
	MemoryJournal
	fails error
	tried int
}

func (j *cut) Append(ctx context.Context, token uint64, records []Record) error {
	if records[0].Kind != RecordEntry {
		if j.tried++; j.fails != nil {
			return j.fails
		}
	}
	return j.MemoryJournal.Append(ctx, token, records)
}

func TestRunAppendsCheckpoints(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want uint64 // Seq of the first checkpoint; 0 is none
	}{
		{"by entries", Config{CheckpointEntries: 10}, 10},
		{"by bytes", Config{CheckpointBytes: 1}, 1},
		{"by either", Config{CheckpointEntries: 3, CheckpointBytes: 1 << 20}, 3},
		{"not while little was appended", Config{}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				journal := new(MemoryJournal)
				test.cfg.Journal = journal
				s := open(t, test.cfg)
				runInBubble(t, s)
				first := uint64(0)
				for first == 0 && s.Version() < 20 {
					addNodes(t, s, testNode(string(rune('a'+s.Version())), 4))
					synctest.Wait()
					if len(journal.snapshot) > 0 {
						first = journal.snapshot[0].Seq
					}
				}
				require.Equal(t, test.want, first)
				if first > 0 {
					require.Zero(t, s.Stats().Checkpoint.Entries)
					require.Zero(t, s.Stats().Checkpoint.Bytes)
					require.Positive(t, s.Stats().Checkpoint.Snapshot)
				}
			})
		})
	}
}

func TestRunTriesACheckpointAgainOnceAsMuchHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &cut{fails: errors.New("disk full")}
		s := open(t, Config{Journal: journal, CheckpointEntries: 10})
		runInBubble(t, s)
		add := func(n int) {
			for range n {
				addNodes(t, s, testNode(string(rune('a'+s.Version())), 4))
				synctest.Wait()
			}
		}
		add(19)
		require.Equal(t, 1, journal.tried)
		require.ErrorIs(t, s.Stats().Checkpoint.Failed, journal.fails)
		require.Equal(t, int64(19), s.Stats().Checkpoint.Entries)
		journal.fails = nil
		add(1)
		require.Equal(t, 2, journal.tried)
		require.NoError(t, s.Stats().Checkpoint.Failed)
		require.Zero(t, s.Stats().Checkpoint.Entries)
	})
}

// A journal that comes with more than that gets a checkpoint at once.
func TestRunCountsWhatWasReadByOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(MemoryJournal)
		s := open(t, Config{Journal: journal})
		for range 10 {
			addNodes(t, s, testNode(string(rune('a'+s.Version())), 4))
		}
		require.NoError(t, s.Checkpoint(t.Context()))
		s = open(t, Config{Journal: journal})
		require.Zero(t, s.Stats().Checkpoint.Entries)
		snapshot := s.Stats().Checkpoint.Snapshot
		require.Positive(t, snapshot)
		for range 10 {
			addNodes(t, s, testNode(string(rune('a'+s.Version())), 4))
		}
		written := s.Stats().Checkpoint
		s = open(t, Config{Journal: journal, CheckpointEntries: 10})
		require.Equal(t, written, s.Stats().Checkpoint)
		runInBubble(t, s)
		synctest.Wait()
		require.Zero(t, s.Stats().Checkpoint.Entries)
		require.Greater(t, s.Stats().Checkpoint.Snapshot, snapshot)
	})
}
