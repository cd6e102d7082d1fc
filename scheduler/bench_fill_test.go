package scheduler

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
)

// BenchmarkFill places distinct requests onto an empty cluster until it is
// full of them, and reports the rate and the live heap at the end: 100,000
// onto 10,000 nodes, and with CONSTELLATION_LONG=1 a million onto 100,000.
func BenchmarkFill(b *testing.B) {
	nodes, tasks := 10_000, 100_000
	if os.Getenv("CONSTELLATION_LONG") != "" {
		nodes, tasks = 100_000, 1_000_000
	}
	var (
		took time.Duration
		heap uint64
	)
	for b.Loop() {
		s := newTestScheduler(b, Config{})
		for i := range nodes {
			if err := s.AddNode(b.Context(), benchmarkNode(i)); err != nil {
				b.Fatal(err)
			}
		}
		start := time.Now()
		for i := range tasks {
			req := placement.Request{
				ID: fmt.Sprintf("task-%d", i), Namespace: "bench",
				Resources: placement.Resources{
					CPU: 100 + int64(i*7919)%4000, Memory: placement.GiB/4 + int64(i*104729)%(6*placement.GiB),
				},
			}
			if _, err := s.Place(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
		took += time.Since(start)
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		heap = memory.HeapAlloc
		runtime.KeepAlive(s)
	}
	b.ReportMetric(float64(b.N)*float64(tasks)/took.Seconds(), "decisions/s")
	b.ReportMetric(float64(heap)/float64(placement.MiB), "live-MiB")
}
