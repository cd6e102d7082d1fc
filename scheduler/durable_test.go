package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// The durable path as a host sees it: by the public API alone.

func one(id string) placement.Request {
	return placement.Request{ID: id, Resources: placement.Resources{CPU: placement.Core}}
}

func nodeOf(id string, n int64) placement.Node {
	return placement.Node{ID: id, Capacity: placement.Resources{CPU: n * placement.Core}}
}

// snapshot returns what WriteSnapshot writes.
func snapshot(t *testing.T, s *scheduler.Scheduler) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, s.WriteSnapshot(t.Context(), &b))
	return b.String()
}

// shown returns a snapshot as JSON.
func shown(t *testing.T, snapshot string) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, scheduler.WriteJSON(&b, scheduler.ReadSnapshot(strings.NewReader(snapshot))))
	return b.String()
}

// seqOf returns the Seq of a snapshot.
func seqOf(t *testing.T, snapshot string) uint64 {
	t.Helper()
	var seq uint64
	for r, err := range scheduler.ReadSnapshot(strings.NewReader(snapshot)) {
		require.NoError(t, err)
		seq = r.Seq
	}
	return seq
}

// stored is a journal in memory with a step before each append, which may let
// it fail, and one after.
type stored struct {
	scheduler.MemoryJournal
	before, after func(context.Context) error
}

func (j *stored) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	if j.before != nil {
		if err := j.before(ctx); err != nil {
			return err
		}
	}
	if err := j.MemoryJournal.Append(ctx, token, records); err != nil || j.after == nil {
		return err
	}
	return j.after(ctx)
}

// opened returns a scheduler with one node.
func opened(t *testing.T, cfg scheduler.Config) *scheduler.Scheduler {
	t.Helper()
	s, err := scheduler.Open(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, s.AddNode(t.Context(), nodeOf("n1", 1000)))
	return s
}

func TestOutcomeOfAFailedAppend(t *testing.T) {
	broken := func(context.Context) error { return errors.New("connection lost") }
	fenced := func(context.Context) error {
		return fmt.Errorf("sql: %w", &scheduler.FencedError{Token: 1, Highest: 2})
	}
	tests := []struct {
		name          string
		before, after func(context.Context) error
		unknown, kept bool
	}{
		{"before it was written", broken, nil, true, false},
		{"after it was written", nil, broken, true, true},
		{"fenced", fenced, nil, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			journal := new(stored)
			var told []uint64
			s := opened(t, scheduler.Config{Journal: journal, Hooks: scheduler.Hooks{
				Event: func(e scheduler.Event) { told = append(told, e.Seq) },
			}})
			durable := s.Version()
			journal.before, journal.after = test.before, test.after
			_, err := s.Place(t.Context(), one("a"))
			var failed *scheduler.JournalError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, test.unknown, failed.Unknown)
			require.Equal(t, durable, s.Version(), "what is not durable does not count")
			stats := s.Stats()
			require.ErrorIs(t, stats.Closed, scheduler.ErrJournal)
			require.Equal(t, []uint64{durable + 1, durable}, []uint64{stats.Version, stats.Durable}, "and says so")
			require.Equal(t, []uint64{1}, told)
			requireClosed(t, s, scheduler.ErrJournal)

			journal.before, journal.after = nil, nil
			next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
			require.NoError(t, err)
			_, err = next.Allocation(t.Context(), "a")
			require.Equal(t, test.kept, err == nil)
			d, err := next.Place(t.Context(), one("a"))
			require.NoError(t, err, "repeating the ID tells")
			require.Equal(t, test.kept, d.Token == s.Token())
		})
	}
}

// requireClosed asserts that no call gives an answer.
func requireClosed(t *testing.T, s *scheduler.Scheduler, want error) {
	t.Helper()
	ctx := t.Context()
	calls := []func() error{
		func() error { _, err := s.Place(ctx, one("x")); return err },
		func() error { _, err := s.Schedule(ctx, one("x")); return err },
		func() error { _, err := s.Node(ctx, "n1"); return err },
		func() error { _, err := s.Explain(ctx, one("x")); return err },
		func() error { return s.WriteSnapshot(ctx, io.Discard) },
		func() error { _, err := s.Sweep(ctx); return err },
		func() error { _, err := s.QuotaUsage(ctx, ""); return err },
		func() error { return s.Release(ctx, "x") },
		func() error { return s.Wait(ctx, s.Version()) },
		func() error { return s.VerifyQuota(ctx) },
		func() error { _, err := s.Nodes(ctx); return err },
		func() error { _, err := s.Allocations(ctx); return err },
		func() error { _, err := s.Quotas(ctx); return err },
		func() error { _, err := s.Reservations(ctx); return err },
	}
	for i, call := range calls {
		require.ErrorIs(t, call(), want, "call %d", i)
	}
	for range s.Watch(ctx, s.Version()) {
		require.Fail(t, "an event of a closed scheduler")
	}
}

// TestFailedAppendReachesEverybodyAboveIt queues callers behind an append and
// lets the next one fail: the first caller has its answer, no other has.
func TestFailedAppendReachesEverybodyAboveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate, appends := make(chan struct{}), 0
		journal.before = func(context.Context) error {
			<-gate
			if appends++; appends > 1 {
				return errors.New("disk full")
			}
			return nil
		}
		outcomes := make([]error, 6)
		var calls sync.WaitGroup
		for i := range outcomes {
			calls.Go(func() {
				if i == 5 {
					_, outcomes[i] = s.Node(t.Context(), "n1") // shows what the others changed
					return
				}
				_, outcomes[i] = s.Place(context.Background(), one(fmt.Sprint("i", i)))
			})
			synctest.Wait()
		}
		close(gate)
		calls.Wait()
		require.NoError(t, outcomes[0])
		for _, err := range outcomes[1:] {
			var failed *scheduler.JournalError
			require.ErrorAs(t, err, &failed)
			require.True(t, failed.Unknown)
			require.ErrorContains(t, err, "disk full")
		}
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		journal.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } // a store out of reach
		outcomes := make(chan error, 4)
		go func() { _, err := s.Place(context.Background(), one("a")); outcomes <- err }()
		synctest.Wait()
		go func() { _, err := s.Place(context.Background(), one("b")); outcomes <- err }()
		go func() { outcomes <- s.Wait(context.Background(), 99) }()
		go func() {
			for range s.Watch(context.Background(), s.Version()) {
				continue
			}
			outcomes <- scheduler.ErrClosed
		}()
		synctest.Wait()
		require.Empty(t, outcomes)

		require.NoError(t, s.Close())
		for range cap(outcomes) {
			err := <-outcomes
			require.ErrorIs(t, err, scheduler.ErrClosed)
			var failed *scheduler.JournalError
			require.True(t, !errors.As(err, &failed) || failed.Unknown)
		}
		requireClosed(t, s, scheduler.ErrClosed)
		require.NoError(t, s.Close())
	})
}

func TestCloseWaitsForTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate := make(chan struct{})
		journal.before = func(context.Context) error { <-gate; return nil } // and does not look at its context
		journal.after = journal.before
		placed := make(chan error, 1)
		go func() { _, err := s.Place(context.Background(), one("a")); placed <- err }()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		require.Empty(t, closed, "something may still be written")
		close(gate)
		require.NoError(t, <-closed)
		require.ErrorIs(t, <-placed, scheduler.ErrClosed)
	})
}

// TestCloseGivesUpOnAJournalThatIgnoresItsContext, and so do those who wait for
// it; what it writes after that nobody is told.
func TestCloseGivesUpOnAJournalThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal, told := new(stored), 0
		s := opened(t, scheduler.Config{Journal: journal, Hooks: hookOn(func(scheduler.Event, *scheduler.Placed) { told++ })})
		gate, hangs := make(chan struct{}), true
		journal.after = func(context.Context) error {
			if hangs {
				<-gate
			}
			return nil
		}
		mayLeave, leave := context.WithCancel(context.Background())
		defer leave()
		placed, watched := make(chan error, 2), make(chan struct{})
		for _, id := range []string{"a", "b"} {
			go func() { _, err := s.Place(mayLeave, one(id)); placed <- err }()
		}
		go func() {
			defer close(watched)
			for range s.Watch(context.Background(), s.Version()) {
				t.Error("an event that nobody knows to be durable")
			}
		}()
		synctest.Wait()
		start := time.Now()
		err := s.Close()
		require.Equal(t, 10*time.Second, time.Since(start))
		var failed *scheduler.JournalError
		require.ErrorAs(t, err, &failed)
		require.True(t, failed.Unknown)
		for range cap(placed) {
			err := <-placed
			require.ErrorIs(t, err, scheduler.ErrClosed)
			require.ErrorAs(t, err, &failed)
			require.True(t, failed.Unknown)
		}
		<-watched
		close(gate)
		synctest.Wait()
		require.NoError(t, s.Close())
		require.Zero(t, told)
		hangs = false
		next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
		require.NoError(t, err)
		require.NotEmpty(t, listed(t, next.Allocations), "it did get through")
	})
}

// TestPanickingJournalClosesTheScheduler whether the caller writes itself or
// may leave meanwhile. One that panics at a snapshot has lost nothing.
func TestPanickingJournalClosesTheScheduler(t *testing.T) {
	for name, ctx := range map[string]context.Context{"may leave": t.Context(), "stays": context.Background()} {
		t.Run(name, func(t *testing.T) {
			journal := new(stored)
			s := opened(t, scheduler.Config{Journal: journal})
			journal.after = func(context.Context) error { panic("out of range") }
			var failed *scheduler.JournalError
			require.ErrorAs(t, s.Checkpoint(ctx), &failed)
			require.True(t, failed.Unknown)
			_, err := s.Node(ctx, "n1")
			require.NoError(t, err)

			_, err = s.Place(ctx, one("a"))
			require.ErrorAs(t, err, &failed)
			require.True(t, failed.Unknown)
			require.ErrorContains(t, err, "it panicked: out of range")
			requireClosed(t, s, scheduler.ErrJournal)
			require.NoError(t, s.Close())
		})
	}
}

func TestPanickingHookCostsNoOtherEvent(t *testing.T) {
	ends := []struct {
		name string
		end  func()
	}{
		{"panic", func() { panic("hook") }},
		{"goexit", runtime.Goexit},
	}
	for _, test := range ends {
		t.Run(test.name, func(t *testing.T) {
			var told []string
			var ending atomic.Bool
			s := opened(t, scheduler.Config{Journal: new(scheduler.MemoryJournal), Hooks: hookOn(func(_ scheduler.Event, c *scheduler.InstanceMarked) {
				told = append(told, c.ID)
				if c.ID != "c" && ending.Load() {
					test.end()
				}
			})})
			for _, id := range []string{"a", "b", "c"} {
				_, err := s.Place(t.Context(), one(id))
				require.NoError(t, err)
			}
			ending.Store(true)
			var caller sync.WaitGroup
			caller.Go(func() {
				defer func() { _ = recover() }()
				_ = s.MarkLost(context.Background(), "n1")
				t.Error("MarkLost returned")
			})
			caller.Wait()
			require.Equal(t, []string{"a", "b", "c"}, told)
			ending.Store(false)
			require.NoError(t, s.MarkReady(t.Context(), "n1"))
			require.Len(t, told, 6, "and the next call is told as ever")
		})
	}
}

// TestHookMayDoAnything calls everything from a hook, also from one that runs
// while a snapshot waits for an entry to be durable.
func TestHookMayDoAnything(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var s *scheduler.Scheduler
	calls := 0
	journal := new(scheduler.MemoryJournal)
	s = opened(t, scheduler.Config{Journal: journal, Now: func() time.Time { return now }, Hooks: hookOn(func(e scheduler.Event, _ *scheduler.Overstayed) {
		calls++
		require.GreaterOrEqual(t, seqOf(t, snapshot(t, s)), e.Seq)
		require.NoError(t, s.Checkpoint(t.Context()))
		_, err := s.Place(t.Context(), one("from a hook"))
		require.NoError(t, err)
		_, err = s.Sweep(t.Context())
		require.NoError(t, err)
	})})
	brief := one("brief")
	brief.Duration = time.Minute
	_, err := s.Place(t.Context(), brief)
	require.NoError(t, err)
	now = now.Add(time.Hour)
	snapshot(t, s)
	require.Equal(t, 1, calls)
	_, err = s.Allocation(t.Context(), "from a hook")
	require.NoError(t, err)
}

func TestClockIsReadWithoutTheLock(t *testing.T) {
	var s *scheduler.Scheduler
	var err error
	s, err = scheduler.New(scheduler.Config{Now: func() time.Time {
		if s != nil {
			_ = s.Version()
		}
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}})
	require.NoError(t, err)
	require.NoError(t, s.AddNode(t.Context(), nodeOf("n1", 1)))
}

func TestVersionIsOfWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		gate := make(chan struct{})
		journal.before = func(context.Context) error { <-gate; return nil }
		done := make(chan error, 1)
		go func() { _, err := s.Place(context.Background(), one("a")); done <- err }()
		synctest.Wait()
		version := s.Version()
		require.Equal(t, uint64(1), version)
		woken := make(chan error, 1)
		go func() { woken <- s.Wait(context.Background(), version) }()
		synctest.Wait()
		require.Empty(t, woken, "a change that may be lost wakes nobody")
		close(gate)
		require.NoError(t, <-done)
		require.NoError(t, <-woken)
		require.Equal(t, uint64(2), s.Version())
	})
}

// TestWatchGoesOnAfterARestart: with what the journal has of before.
func TestWatchGoesOnAfterARestart(t *testing.T) {
	journal := new(scheduler.MemoryJournal)
	s := opened(t, scheduler.Config{Journal: journal})
	place := func(s *scheduler.Scheduler, id string) {
		_, err := s.Place(t.Context(), one(id))
		require.NoError(t, err)
	}
	place(s, "a")
	require.NoError(t, s.Checkpoint(t.Context()))
	place(s, "b")
	next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
	require.NoError(t, err)
	place(next, "c")
	events := next.Watch(t.Context(), 2)
	place(next, "d")
	require.NoError(t, next.Close())
	seqs := func(events iter.Seq[scheduler.Event]) (seen []uint64) {
		for e := range events {
			seen = append(seen, e.Seq)
		}
		return seen
	}
	require.Equal(t, []uint64{3, 4, 5}, seqs(events))
	require.Equal(t, []uint64{5}, seqs(next.Watch(t.Context(), 4)))
	require.Equal(t, []uint64{3, 4, 5}, seqs(next.Watch(t.Context(), 0)), "1 and 2 went with the snapshot")
}

// TestReignsFollowOneAnother lets four schedulers contend for one journal,
// each with callers of its own: whatever any of them acknowledged is there
// once, and nothing else.
func TestReignsFollowOneAnother(t *testing.T) {
	journal := new(scheduler.MemoryJournal)
	opened(t, scheduler.Config{Journal: journal})
	var (
		mu           sync.Mutex
		acknowledged = make(map[string]scheduler.Decision)
		unknown      = make(map[string]bool)
		hosts        sync.WaitGroup
	)
	call := func(s *scheduler.Scheduler, id string) bool {
		d, err := s.Place(context.Background(), one(id))
		mu.Lock()
		defer mu.Unlock()
		var failed *scheduler.JournalError
		switch {
		case err == nil:
			acknowledged[id] = d
		case !errors.Is(err, scheduler.ErrFenced):
			t.Errorf("%s: %v", id, err)
		case errors.As(err, &failed) && failed.Unknown:
			unknown[id] = true
		}
		return err == nil
	}
	for host := range 4 {
		hosts.Go(func() {
			for reign := range 5 {
				s, err := scheduler.Open(context.Background(), scheduler.Config{Journal: journal})
				if err != nil {
					t.Errorf("host %d: %v", host, err)
					return
				}
				var callers sync.WaitGroup
				for caller := range 3 {
					callers.Go(func() {
						for i := 0; i < 5 && call(s, fmt.Sprintf("%d-%d-%d-%d", host, reign, caller, i)); i++ {
							runtime.Gosched()
						}
					})
				}
				callers.Wait()
			}
		})
	}
	hosts.Wait()
	last, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
	require.NoError(t, err)
	for _, a := range listed(t, last.Allocations) {
		d, ok := acknowledged[a.Request.ID]
		require.True(t, ok || unknown[a.Request.ID], "%s was refused, and is there", a.Request.ID)
		require.Equal(t, d.Token, a.Token)
		delete(acknowledged, a.Request.ID)
	}
	require.Empty(t, acknowledged, "acknowledged, and lost")
	require.NoError(t, last.VerifyQuota(t.Context()))
}

// TestPausedLeader is one that believes in its reign until it wants to write.
func TestPausedLeader(t *testing.T) {
	journal := new(scheduler.MemoryJournal)
	paused := opened(t, scheduler.Config{Journal: journal, Token: 7})
	next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal, Token: 8})
	require.NoError(t, err)
	_, err = next.Place(t.Context(), one("a"))
	require.NoError(t, err)

	_, err = paused.Schedule(t.Context(), one("a"))
	require.NoError(t, err, "it decides on what it knows")
	err = paused.Cordon(t.Context(), "n1")
	var fenced *scheduler.FencedError
	require.ErrorAs(t, err, &fenced)
	require.Equal(t, scheduler.FencedError{Token: 7, Highest: 8}, *fenced)
	requireClosed(t, paused, scheduler.ErrFenced)
	info, err := next.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, scheduler.NodeReady, info.State)
	for _, token := range []uint64{7, 8} {
		_, err = scheduler.Open(t.Context(), scheduler.Config{Journal: journal, Token: token})
		require.ErrorIs(t, err, scheduler.ErrFenced)
	}
	taken, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
	require.NoError(t, err)
	require.Equal(t, uint64(9), taken.Token(), "none given: the highest plus one")
}

// TestCallersShareAppendsOfAFastJournal has nothing to wait for while a journal
// in memory appends: callers share all the same.
func TestCallersShareAppendsOfAFastJournal(t *testing.T) {
	journal := new(stored)
	s := opened(t, scheduler.Config{Journal: journal})
	var appends atomic.Int64
	journal.before = func(context.Context) error { appends.Add(1); return nil }
	const callers, each = 64, 15
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				if _, err := s.Place(context.Background(), one(fmt.Sprint(caller, "-", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, appends.Load(), int64(callers*each/3))
}

// TestMixOfTheJournal is what a scheduler began with, or set since, whether a
// snapshot holds it or not, and whatever the next is configured with.
func TestMixOfTheJournal(t *testing.T) {
	mix := func(gpu int64) []scheduler.WorkloadClass {
		return []scheduler.WorkloadClass{{Resources: placement.Resources{GPU: gpu * placement.Device}, Count: 1}}
	}
	for _, checkpoint := range []bool{false, true} {
		journal := new(scheduler.MemoryJournal)
		s := opened(t, scheduler.Config{Journal: journal, Workload: mix(2)})
		before := snapshot(t, s)
		require.Contains(t, shown(t, before), `"workload":`)
		if checkpoint {
			require.NoError(t, s.Checkpoint(t.Context()))
		}
		for _, configured := range [][]scheduler.WorkloadClass{nil, mix(4)} {
			next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal, Workload: configured})
			require.NoError(t, err)
			require.Equal(t, before, snapshot(t, next))
		}
	}
}

// hookOn returns hooks that call fn for each event of one kind of change.
func hookOn[C scheduler.Change](fn func(scheduler.Event, C)) scheduler.Hooks {
	return scheduler.Hooks{Event: func(e scheduler.Event) {
		if c, ok := e.Change.(C); ok {
			fn(e, c)
		}
	}}
}
