package scheduler

import (
	"io"
	"os"
	"testing"
	"time"
)

// BenchmarkSnapshotPause takes a snapshot of 10,000 nodes with ten instances
// each, or of 100,000 with CONSTELLATION_LONG=1, and reports the longest that
// a decision took meanwhile.
func BenchmarkSnapshotPause(b *testing.B) {
	nodes, perNode := 10_000, 10
	if os.Getenv("CONSTELLATION_LONG") != "" {
		nodes = 100_000
	}
	s := newTestScheduler(b, Config{})
	for i := range nodes {
		n := benchmarkNode(i)
		addNodes(b, s, n)
		for k := range perNode {
			if _, err := s.Allocate(b.Context(), n.ID, benchmarkBase(i, k, perNode)); err != nil {
				b.Fatal(err)
			}
		}
	}
	ids := benchmarkNames()
	for i := range 2000 { // the index builds what these requests need
		req := benchmarkRequest(ids, i, "distinct", "none")
		if _, err := s.Place(b.Context(), req); err != nil {
			b.Fatal(err)
		}
		if err := s.Release(b.Context(), req.ID); err != nil {
			b.Fatal(err)
		}
	}
	var longest, took time.Duration
	for b.Loop() {
		done := make(chan error, 1)
		start := time.Now()
		go func() {
			err := s.WriteSnapshot(b.Context(), io.Discard)
			took = time.Since(start)
			done <- err
		}()
		for i := 0; len(done) == 0; i++ {
			begin := time.Now()
			req := benchmarkRequest(ids, i, "distinct", "none")
			if _, err := s.Place(b.Context(), req); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(begin))
			if err := s.Release(b.Context(), req.ID); err != nil {
				b.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(longest)/1e6, "longest-ms")
	b.ReportMetric(float64(took)/1e6, "snapshot-ms")
}
