package scheduler

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// growing adds the i-th of the things that a host may have many of.
func growing() map[string]func(ctx context.Context, s *Scheduler, i int) error {
	return map[string]func(ctx context.Context, s *Scheduler, i int) error{
		"nodes": func(ctx context.Context, s *Scheduler, i int) error {
			return s.AddNode(ctx, growthNode(fmt.Sprint("more-", i)))
		},
		"instances": func(ctx context.Context, s *Scheduler, i int) error {
			return grow(ctx, s, growthRequest(fmt.Sprint("more-", i)))
		},
		"services": func(ctx context.Context, s *Scheduler, i int) error {
			req := growthRequest(fmt.Sprint("more-", i))
			req.Group = req.ID
			req.Preferences = req.Preferences.Across(placement.EvenlyOver("zone", 1_000_000))
			return grow(ctx, s, req)
		},
		"rulesets": func(ctx context.Context, s *Scheduler, i int) error {
			req := growthRequest(fmt.Sprint("more-", i))
			req.Preferences = req.Preferences.Require(placement.NotEqual("host", req.ID)).
				Near(placement.Repel(placement.Equal("app", req.ID)))
			return grow(ctx, s, req)
		},
		"namespaces": func(ctx context.Context, s *Scheduler, i int) error {
			_, err := s.CreateQuota(ctx, quota.Spec{
				Namespace: fmt.Sprint("more-", i), Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 1}},
			})
			return err
		},
		"reservations": func(ctx context.Context, s *Scheduler, i int) error {
			_, err := s.Reserve(ctx, growthSpec(fmt.Sprint("more-", i)))
			return err
		},
		"yielders": func(ctx context.Context, s *Scheduler, i int) error {
			req := growthRequest(fmt.Sprint("more-", i))
			req.Yield = true
			_, err := s.Allocate(ctx, "base", req)
			return err
		},
		"windows": func(ctx context.Context, s *Scheduler, i int) error {
			_, err := s.Reserve(ctx, growthWindow(fmt.Sprint("more-", i), s.state.now.Add(time.Duration(5000+i)*time.Hour)))
			return err
		},
		"watchers": func(ctx context.Context, s *Scheduler, _ int) error {
			events := s.Watch(ctx, s.Version())
			go func() {
				for range events {
					continue
				}
			}()
			return nil
		},
		"dimensions": func(ctx context.Context, s *Scheduler, i int) error {
			n := growthNode(fmt.Sprint("more-", i))
			n.Capacity = n.Capacity.With(placement.ResourceName(fmt.Sprint("custom-", i)), 1000)
			return s.AddNode(ctx, n)
		},
	}
}

// growthCall is one call, and what undoes it.
type growthCall struct {
	name     string
	do, undo func(ctx context.Context, s *Scheduler) error
}

func growthCalls() []growthCall {
	return []growthCall{
		{"AddNode", addGrowthNode, removeGrowthNode},
		{"RemoveNode", removeGrowthNode, addGrowthNode},
		{"SetLabel", func(ctx context.Context, s *Scheduler) error { return s.SetLabel(ctx, "n1", "zone", "z9") }, func(ctx context.Context, s *Scheduler) error {
			return s.SetLabel(ctx, "n1", "zone", "z1")
		}},
		{"Place", placeGrowth, releaseGrowth},
		{"Release", releaseGrowth, placeGrowth},
		{"Explain", func(ctx context.Context, s *Scheduler) error {
			_, err := s.Explain(ctx, growthRequest("x"))
			return err
		}, nil},
		{"Node", func(ctx context.Context, s *Scheduler) error { _, err := s.Node(ctx, "n1"); return err }, nil},
		{"Nodes", func(ctx context.Context, s *Scheduler) error { _, err := s.Nodes(ctx); return err }, nil},
		{"Allocations", func(ctx context.Context, s *Scheduler) error { _, err := s.Allocations(ctx); return err }, nil},
		{"CheckQuota", func(ctx context.Context, s *Scheduler) error {
			_, err := s.CheckQuota(ctx, "ns", placement.Resources{CPU: 1})
			return err
		}, nil},
		{"Reserve", func(ctx context.Context, s *Scheduler) error { _, err := s.Reserve(ctx, growthSpec("x")); return err }, func(ctx context.Context, s *Scheduler) error {
			return s.ReleaseReservation(ctx, "x", true)
		}},
		{"Watch", func(ctx context.Context, s *Scheduler) error {
			ended, end := context.WithCancel(ctx)
			end()
			for range s.Watch(ended, s.Version()) {
				continue
			}
			return nil
		}, nil},
		{"WriteSnapshot", func(ctx context.Context, s *Scheduler) error { return s.WriteSnapshot(ctx, io.Discard) }, nil},
		{"Sweep", func(ctx context.Context, s *Scheduler) error { _, err := s.Sweep(ctx); return err }, nil},
	}
}

// BenchmarkGrowth is a table of calls by what a host may have many of. With
// -benchtime=100x it takes a few minutes:
//
//	go test ./scheduler -run '^$' -bench Growth -benchtime 100x
func BenchmarkGrowth(b *testing.B) {
	clusters := make(map[string]*Scheduler)
	ctx := b.Context() // of watchers: ends with the benchmark
	for _, call := range growthCalls() {
		for _, thing := range []string{
			"nodes", "instances", "services", "rulesets", "namespaces", "reservations", "watchers", "dimensions",
		} {
			sizes := []int{1_000, 4_000, 16_000}
			if thing == "dimensions" {
				sizes = []int{2, 4, 8} // of at most 16
			}
			for _, size := range sizes {
				name := fmt.Sprintf("%s=%d", thing, size)
				b.Run(call.name+"/"+name, func(b *testing.B) {
					if clusters[name] == nil {
						clusters[name] = growthCluster(ctx, b, thing, size)
					}
					measureGrowth(b, clusters[name], call)
				})
			}
		}
	}
}

func measureGrowth(b *testing.B, s *Scheduler, call growthCall) {
	b.Helper()
	if call.name == "RemoveNode" || call.name == "Release" {
		call = growthCall{do: call.do, undo: call.undo}
		if err := call.undo(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = call.do(context.Background(), s) }()
	}
	var took time.Duration
	for b.Loop() {
		start := time.Now()
		err := call.do(b.Context(), s)
		took += time.Since(start)
		if err == nil && call.undo != nil {
			err = call.undo(b.Context(), s)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/op")
}

func growthCluster(ctx context.Context, b *testing.B, thing string, size int) *Scheduler {
	b.Helper()
	s := newTestScheduler(b, Config{})
	for i := range 16 {
		n := growthNode(fmt.Sprint("n", i))
		n.Labels["zone"] = fmt.Sprint("z", i%3)
		if err := s.AddNode(ctx, n); err != nil {
			b.Fatal(err)
		}
		if err := grow(ctx, s, growthRequest(fmt.Sprint("base-", i))); err != nil {
			b.Fatal(err)
		}
	}
	for i := range size {
		if err := growing()[thing](ctx, s, i); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func growthNode(id string) placement.Node {
	n := testNode(id, 1<<20)
	n.Labels = map[string]string{"zone": "z1", "host": id}
	return n
}

func growthRequest(id string) placement.Request {
	return placement.Request{ID: id, Namespace: "ns", Group: "base", Resources: placement.Resources{CPU: 100}}
}

func growthSpec(id string) reservation.Spec {
	return reservation.Spec{
		ID: id, Namespace: "ns", Shape: placement.Resources{CPU: 100}, Count: 1, Duration: 1000 * time.Hour,
	}
}

// growthWindow is maintenance of node base.
func growthWindow(id string, start time.Time) reservation.Spec {
	return reservation.Spec{ID: id, Node: "base", Maintenance: true, Start: start, Duration: time.Minute}
}

func grow(ctx context.Context, s *Scheduler, req placement.Request) error {
	_, err := s.Place(ctx, req)
	return err
}

func addGrowthNode(ctx context.Context, s *Scheduler) error { return s.AddNode(ctx, growthNode("x")) }

func removeGrowthNode(ctx context.Context, s *Scheduler) error {
	_, err := s.RemoveNode(ctx, "x")
	return err
}

func placeGrowth(ctx context.Context, s *Scheduler) error { return grow(ctx, s, growthRequest("x")) }

func releaseGrowth(ctx context.Context, s *Scheduler) error { return s.Release(ctx, "x") }
