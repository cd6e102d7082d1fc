package scheduler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// TestRefusedAgainAsWithoutMemory runs histories on two schedulers, one of which looks
// at every node for every answer: few requests ask again and again, and get the same.
func TestRefusedAgainAsWithoutMemory(t *testing.T) {
	recalls := uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		p := pair{c, newTestScheduler(t, Config{Now: c.Now}), newTestScheduler(t, Config{Now: c.Now, engine: index.Columns})}
		for i := range 3 {
			p.do(t, func(s *Scheduler) error { return s.AddNode(t.Context(), pairNode(fmt.Sprint("n", i+1), 2)) })
		}
		var requests []placement.Request
		for i := range 4 {
			req := drawRequest(t)
			req.ID = fmt.Sprint("r", i)
			requests = append(requests, req)
		}
		for range 40 {
			p.step(t, rapid.SampledFrom(requests).Draw(t, "request"))
			for _, req := range requests {
				p.schedule(t, req)
			}
		}
		recalls += p.remembers.Stats().Search.Recalls
	})
	require.Positive(t, recalls)
}

// pair is two schedulers with the same history.
type pair struct {
	clock            *clock
	remembers, looks *Scheduler
}

func pairNode(id string, cores int64) placement.Node {
	n := testNode(id, cores)
	n.Labels = map[string]string{"zone": string('a' + rune(id[1]-'1')%2), "load": "300"}
	return n
}

func (p *pair) do(t *rapid.T, call func(*Scheduler) error) {
	err := call(p.remembers)
	require.Equal(t, call(p.looks), err)
}

func (p *pair) schedule(t *rapid.T, req placement.Request) {
	req.ID += "-again"
	got, err := p.remembers.Schedule(t.Context(), req)
	want, refused := p.looks.Schedule(t.Context(), req)
	require.Equal(t, want, got)
	require.Equal(t, refused, err)
}

// step draws something that may make or cure a refusal.
func (p *pair) step(t *rapid.T, req placement.Request) {
	ctx, node := t.Context(), drawNode(t)
	steps := map[string]func(*Scheduler) error{
		"place":    func(s *Scheduler) error { _, err := s.Place(ctx, req); return err },
		"allocate": func(s *Scheduler) error { _, err := s.Allocate(ctx, node, req); return err },
		"release":  func(s *Scheduler) error { return s.Release(ctx, req.ID) },
		"resize": func(s *Scheduler) error {
			_, err := s.Resize(ctx, req.ID, placement.Resources{CPU: 500})
			return err
		},
		"cordon":   func(s *Scheduler) error { return s.Cordon(ctx, node) },
		"uncordon": func(s *Scheduler) error { return s.Uncordon(ctx, node) },
		"lose":     func(s *Scheduler) error { return s.MarkLost(ctx, node) },
		"find":     func(s *Scheduler) error { return s.MarkReady(ctx, node) },
		"label":    func(s *Scheduler) error { return s.SetLabel(ctx, node, "zone", "b") },
		"add":      func(s *Scheduler) error { return s.AddNode(ctx, pairNode("n4", 1)) },
		"remove":   func(s *Scheduler) error { _, err := s.RemoveNode(ctx, "n4"); return err },
		"quota":    func(s *Scheduler) error { return setPairQuota(ctx, s, req.Namespace, req.Resources.CPU) },
		"reserve": func(s *Scheduler) error {
			spec := holding("hold-"+req.ID, 1, 1)
			spec.Duration = time.Hour
			_, err := s.Reserve(ctx, spec)
			return err
		},
		"unreserve": func(s *Scheduler) error { return s.ReleaseReservation(ctx, "hold-"+req.ID, false) },
	}
	name := rapid.SampledFrom(append(slices.Sorted(maps.Keys(steps)), "place", "place", "time")).Draw(t, "step")
	if name == "time" {
		p.clock.advance(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(t, "time"))
		return
	}
	p.do(t, steps[name])
}

// setPairQuota bounds a namespace to some CPU, or takes that away for none.
func setPairQuota(ctx context.Context, s *Scheduler, namespace string, cpu int64) error {
	if cpu == 0 {
		return s.DeleteQuota(ctx, namespace)
	}
	spec := quota.Spec{Namespace: namespace, Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: cpu}}}
	_, err := s.CreateQuota(ctx, spec)
	return err
}

// TestRefusedAgainLooksAtNoNode: a request that waits costs what has changed since
// it was refused.
func TestRefusedAgainLooksAtNoNode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for i := range 1000 {
		addNodes(t, s, testNode(fmt.Sprint("n", i), 4))
		allocate(t, s, fmt.Sprint("n", i), testRequest(fmt.Sprint("base-", i), 2))
	}
	refuse := func() SearchStats {
		before := s.Stats().Search
		_, err := s.Place(t.Context(), testRequest("waits", 3))
		require.ErrorIs(t, err, ErrUnschedulable)
		after := s.Stats().Search
		return SearchStats{
			Scans: after.Scans - before.Scans, Walks: after.Walks - before.Walks,
			Counts: after.Counts - before.Counts, Recalls: after.Recalls - before.Recalls, Rechecked: after.Rechecked - before.Rechecked,
		}
	}
	require.Equal(t, uint64(1), refuse().Counts)
	require.Equal(t, SearchStats{Recalls: 1}, refuse())
	for i := range 10 {
		allocate(t, s, fmt.Sprint("n", i), testRequest(fmt.Sprint("more-", i), 1))
	}
	require.Equal(t, SearchStats{Recalls: 1, Rechecked: 10}, refuse())
	require.NoError(t, s.Release(t.Context(), "base-500"))
	require.Equal(t, "n500", place(t, s, testRequest("waits", 3)).NodeID)
}

// BenchmarkRefusedAgain compares the first refusal of a request with the next, after
// nothing and after a release that does not help.
func BenchmarkRefusedAgain(b *testing.B) {
	for _, nodes := range []int{5000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := benchmarkCluster(b, nodes, Config{})
			ctx := b.Context()
			refused := func(cores int64) time.Duration {
				req := testRequest("waits", cores)
				start := time.Now()
				if _, err := s.Place(ctx, req); err == nil {
					b.Fatal("it fits")
				}
				return time.Since(start)
			}
			var first, again, changed time.Duration
			i := int64(0)
			for b.Loop() {
				i++
				first += refused(96 + i)
				again += refused(96 + i)
				if _, err := s.Place(ctx, testRequest("other", 1)); err != nil {
					b.Fatal(err)
				}
				if err := s.Release(ctx, "other"); err != nil {
					b.Fatal(err)
				}
				changed += refused(96 + i)
			}
			b.ReportMetric(float64(first.Nanoseconds())/float64(i), "ns/first")
			b.ReportMetric(float64(again.Nanoseconds())/float64(i), "ns/again")
			b.ReportMetric(float64(changed.Nanoseconds())/float64(i), "ns/changed")
		})
	}
}
