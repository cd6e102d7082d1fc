package scheduler_test

import (
	"context"
	"io"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// hanging is every method that answers from the state and may have to wait for
// the journal.
func hanging() map[string]func(context.Context, *scheduler.Scheduler) error {
	return map[string]func(context.Context, *scheduler.Scheduler) error{
		"Schedule": func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Schedule(ctx, one("b"))) },
		"Explain":  func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Explain(ctx, one("b"))) },
		"ExplainReservation": func(ctx context.Context, s *scheduler.Scheduler) error {
			_, err := s.ExplainReservation(ctx, reservation.Spec{
				Shape: placement.Resources{CPU: 1}, Count: 1, Duration: time.Minute,
			})
			return err
		},
		"ExplainNode": func(ctx context.Context, s *scheduler.Scheduler) error {
			return failed(s.ExplainNode(ctx, one("b"), "n1"))
		},
		"Node":          func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Node(ctx, "n1")) },
		"Nodes":         func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Nodes(ctx)) },
		"Allocation":    func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Allocation(ctx, "a")) },
		"Allocations":   func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Allocations(ctx)) },
		"AllocationsOn": func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.AllocationsOn(ctx, "n1")) },
		"Violations":    func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Violations(ctx)) },
		"Reservation":   func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Reservation(ctx, "r")) },
		"Reservations":  func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Reservations(ctx)) },
		"Quota":         func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Quota(ctx, "")) },
		"Quotas":        func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Quotas(ctx)) },
		"QuotaUsageOver": func(ctx context.Context, s *scheduler.Scheduler) error {
			return failed(s.QuotaUsageOver(ctx, "", time.Time{}, time.Time{}))
		},
		"CheckQuotaOver": func(ctx context.Context, s *scheduler.Scheduler) error {
			return failed(s.CheckQuotaOver(ctx, "", quota.Timed{}))
		},
		"QuotaUsage": func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.QuotaUsage(ctx, "")) },
		"CheckQuota": func(ctx context.Context, s *scheduler.Scheduler) error {
			return failed(s.CheckQuota(ctx, "", placement.Resources{}))
		},
		"VerifyQuota":   func(ctx context.Context, s *scheduler.Scheduler) error { return s.VerifyQuota(ctx) },
		"WriteSnapshot": func(ctx context.Context, s *scheduler.Scheduler) error { return s.WriteSnapshot(ctx, io.Discard) },
		"Checkpoint":    func(ctx context.Context, s *scheduler.Scheduler) error { return s.Checkpoint(ctx) },
		"Fork":          func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Fork(ctx)) },
		"Sweep":         func(ctx context.Context, s *scheduler.Scheduler) error { return failed(s.Sweep(ctx)) },
		"Wait":          func(ctx context.Context, s *scheduler.Scheduler) error { return s.Wait(ctx, s.Version()) },
	}
}

// neverWaiting is every method that answers at once.
func neverWaiting() map[string]func(*scheduler.Scheduler) {
	return map[string]func(*scheduler.Scheduler){
		"Stats":           func(s *scheduler.Scheduler) { s.Stats() },
		"Refused":         func(s *scheduler.Scheduler) { _, _ = s.Refused(context.Background()) },
		"Inventory":       func(s *scheduler.Scheduler) { _, _ = s.Inventory(context.Background()) },
		"Version":         func(s *scheduler.Scheduler) { s.Version() },
		"NextDeadline":    func(s *scheduler.Scheduler) { s.NextDeadline() },
		"DeadlineChanged": func(s *scheduler.Scheduler) { s.DeadlineChanged() },
		"Scale":           func(s *scheduler.Scheduler) { s.Scale() },
		"Token":           func(s *scheduler.Scheduler) { s.Token() },
	}
}

// changing is every other method, but Close, Watch and Run, which does what others do.
func changing() []string {
	return []string{
		"AddNode", "UpdateNode", "RemoveNode", "AdoptNode", "Cordon", "Uncordon", "MarkLost", "MarkReady",
		"SetLabel", "RemoveLabel", "AddTaint", "RemoveTaint", "Place", "PlaceAll", "Prepare", "Allocate", "AllocateIf", "Commit", "Release", "ReleaseGeneration",
		"Resize", "Leave", "Stay", "Move", "KeepGeneration", "Amend", "CreateQuota", "UpdateQuota", "DeleteQuota", "Reserve", "PlaceFromReservation", "Unclaim",
		"Extend", "ResizeReservation", "UpdateReservation", "ReleaseReservation", "SetWorkload",
	}
}

func failed[T any](_ T, err error) error { return err }

// TestReadsReturnWhenTheJournalHangs is of every exported call that only looks,
// as the methods of the type tell. Those that answer at once run in the bubble
// without a clock that moves.
func TestReadsReturnWhenTheJournalHangs(t *testing.T) {
	known := append(slices.Clone(changing()), "Close", "Watch", "Run")
	for name := range hanging() {
		known = append(known, name)
	}
	for name := range neverWaiting() {
		known = append(known, name)
	}
	var methods []string
	for m := range reflect.TypeFor[*scheduler.Scheduler]().Methods() {
		methods = append(methods, m.Name)
	}
	require.ElementsMatch(t, methods, known, "a method that nobody has tried with a journal that hangs")

	synctest.Test(t, func(t *testing.T) {
		journal := new(stored)
		s := opened(t, scheduler.Config{Journal: journal})
		_, err := s.Place(t.Context(), one("a"))
		require.NoError(t, err)
		require.Equal(t, scheduler.Stats{Version: 2, Durable: 2, Nodes: 1, Allocations: 1}, countsOf(s))
		journal.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		_, err = s.Reserve(brief(t), reservation.Spec{ID: "r", Count: 1, Duration: time.Hour, Shape: placement.Resources{CPU: 1}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		since := time.Now().UTC().Add(-time.Second)
		for name, read := range hanging() {
			require.ErrorIs(t, read(brief(t), s), context.DeadlineExceeded, name)
		}
		waits, leave := context.WithCancel(t.Context())
		for range 3 {
			go func() { _ = failed(s.Nodes(waits)) }()
		}
		synctest.Wait()
		start := time.Now()
		for _, answer := range neverWaiting() {
			answer(s)
		}
		require.Equal(t, scheduler.Stats{
			Version: 3, Durable: 2, Nodes: 1, Allocations: 1, Waiting: 3, Appending: since,
		}, countsOf(s))
		require.Zero(t, time.Since(start))
		leave()
		require.NoError(t, s.Close())
		require.Equal(t, scheduler.ErrClosed, s.Stats().Closed)
	})
}

// brief is a context that ends in a second.
func brief(t *testing.T) context.Context {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(end)
	return ctx
}

func countsOf(s *scheduler.Scheduler) scheduler.Stats {
	stats := s.Stats()
	stats.Search, stats.Checkpoint = scheduler.SearchStats{}, scheduler.CheckpointStats{}
	stats.Decisions, stats.Journal = scheduler.DecisionStats{}, scheduler.JournalStats{}
	return stats
}
