package scheduler

import (
	"fmt"
	"testing"

	"github.com/rads-project/constellation/placement"
)

// BenchmarkFork is of 2,000 nodes with ten instances each, or of 100,000 with
// CONSTELLATION_LONG=1. fork is reported for each instance, nodes and all; place and
// rollback for each placement, beside Place on the scheduler itself.
func BenchmarkFork(b *testing.B) {
	nodes, perNode := restoreSizes()
	s, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	filledFor(b, s, nodes, perNode)
	b.Run(fmt.Sprintf("nodes=%d/fork", nodes), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Fork(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*nodes*perNode), "ns/instance")
	})
	b.Run(fmt.Sprintf("nodes=%d/scheduler/place", nodes), func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			placeInTurn(b, &s.calls, i)
		}
	})
	f, err := s.Fork(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("nodes=%d/place", nodes), func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			placeInTurn(b, f.calls, i)
		}
	})
	b.Run(fmt.Sprintf("nodes=%d/rollback", nodes), func(b *testing.B) {
		const changes = 1000
		for b.Loop() {
			b.StopTimer()
			mark := f.Mark()
			for i := range changes {
				placeOne(b, f.calls, i)
			}
			b.StartTimer()
			if err := f.Rollback(mark); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*changes), "ns/change")
	})
}

// placeInTurn places an instance and releases it again, so that there is room forever.
func placeInTurn(b *testing.B, s *calls, i int) {
	b.Helper()
	placeOne(b, s, i)
	if err := s.Release(b.Context(), fmt.Sprint("b-", i)); err != nil {
		b.Fatal(err)
	}
}

func placeOne(b *testing.B, s *calls, i int) {
	b.Helper()
	req := placement.Request{ID: fmt.Sprint("b-", i), Resources: placement.Resources{CPU: int64(100 + i%900), Memory: int64(1+i%64) * placement.MiB}}
	if _, err := s.Place(b.Context(), req); err != nil {
		b.Fatal(err)
	}
}
