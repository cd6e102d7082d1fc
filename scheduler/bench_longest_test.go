package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// BenchmarkLongest reports how long the longest decision took beside each kind of call
// that takes longer than a decision, on 10,000 nodes with ten instances each, or on
// 100,000 with CONSTELLATION_LONG=1. A decision is a placement or a release. Each
// round is at least one call and 1000 decisions; what is reported is the least of
// the longest of all rounds, since whatever else the machine does only adds to them.
func BenchmarkLongest(b *testing.B) {
	s := longestCluster(b, newTestScheduler(b, Config{}))
	for _, beside := range besides() {
		b.Run("beside="+beside.name, func(b *testing.B) { benchmarkLongest(b, s, beside.call) })
	}
	b.Run("beside=Checkpoint", func(b *testing.B) {
		benchmarkLongest(b, longestCluster(b, open(b, Config{Journal: new(MemoryJournal)})), func(ctx context.Context, s *Scheduler, _ int) error {
			return s.Checkpoint(ctx)
		})
	})
}

func longestCluster(b *testing.B, s *Scheduler) *Scheduler {
	b.Helper()
	nodes := 10_000
	if os.Getenv("CONSTELLATION_LONG") != "" {
		nodes = 100_000
	}
	const perNode = 10
	for i := range nodes {
		addNodes(b, s, benchmarkNode(i))
		for k := range perNode {
			_, err := s.Allocate(b.Context(), benchmarkNode(i).ID, benchmarkBase(i, k, perNode))
			require.NoError(b, err)
		}
	}
	return s
}

func benchmarkLongest(b *testing.B, s *Scheduler, call func(ctx context.Context, s *Scheduler, i int) error) {
	b.Helper()
	ids := benchmarkNames()
	decided, calls := 0, 0
	least := time.Duration(math.MaxInt64)
	for b.Loop() {
		done := make(chan error, 1)
		go func() { done <- call(b.Context(), s, calls) }()
		calls++
		var longest time.Duration
		for round := 0; round < 1000 || len(done) == 0; round++ {
			req := benchmarkRequest(ids, decided, "distinct", "none")
			decided++
			start := time.Now()
			_, err := s.Place(b.Context(), req)
			placed := time.Now()
			require.NoError(b, err)
			require.NoError(b, s.Release(b.Context(), req.ID))
			longest = max(longest, placed.Sub(start), time.Since(placed))
		}
		require.NoError(b, <-done)
		least = min(least, longest)
	}
	b.ReportMetric(float64(least)/1e6, "ms/longest")
	b.ReportMetric(float64(decided)/float64(calls), "decisions/call")
}

type besideCall struct {
	name string
	call func(ctx context.Context, s *Scheduler, i int) error
}

func besides() []besideCall {
	large := testRequest("none fits", 1000)
	return []besideCall{
		{"nothing", func(context.Context, *Scheduler, int) error { return nil }},
		{"Explain", func(ctx context.Context, s *Scheduler, _ int) error { _, err := s.Explain(ctx, large); return err }},
		{"Nodes", func(ctx context.Context, s *Scheduler, _ int) error { _, err := s.Nodes(ctx); return err }},
		{"Allocations", func(ctx context.Context, s *Scheduler, _ int) error { _, err := s.Allocations(ctx); return err }},
		{"Snapshot", func(ctx context.Context, s *Scheduler, _ int) error { return s.WriteSnapshot(ctx, io.Discard) }},
		{"Watch", func(ctx context.Context, s *Scheduler, _ int) error {
			from := s.Version()
			for e := range s.Watch(ctx, from) {
				if e.Seq > from+1000 {
					break
				}
			}
			return nil
		}},
		{"Refusals", func(ctx context.Context, s *Scheduler, i int) error {
			if _, err := s.Schedule(ctx, testRequest("none fits", 1000+int64(i))); !errors.Is(err, ErrUnschedulable) {
				return err
			}
			return nil
		}},
		{"RuleSets", buildGrids},
	}
}

// buildGrids asks for rule sets that nobody has asked for, each until it has a grid.
func buildGrids(ctx context.Context, s *Scheduler, i int) error {
	req := testRequest("ruled", 1)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.NotEqual("rack", fmt.Sprint("r", i)))
	for range 200 {
		if _, err := s.Schedule(ctx, req); err != nil {
			return err
		}
	}
	return nil
}
