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
// full of them: 100,000 onto 10,000 nodes of six labels, and with CONSTELLATION_LONG=1
// a million onto 100,000. It reports the rate, and how much memory stays in use per
// node and per instance, with the ID of each and all structures of the search.
func BenchmarkFill(b *testing.B) {
	nodes, tasks := 10_000, 100_000
	if os.Getenv("CONSTELLATION_LONG") != "" {
		nodes, tasks = 100_000, 1_000_000
	}
	var (
		took               time.Duration
		empty, ready, heap uint64
	)
	for b.Loop() {
		empty = liveHeap()
		s := newTestScheduler(b, Config{})
		for i := range nodes {
			n := benchmarkNode(i)
			n.Labels["pool"] = fmt.Sprint("p", i%100)
			if err := s.AddNode(b.Context(), n); err != nil {
				b.Fatal(err)
			}
		}
		ready = liveHeap()
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
		heap = liveHeap()
		runtime.KeepAlive(s)
	}
	b.ReportMetric(float64(b.N)*float64(tasks)/took.Seconds(), "decisions/s")
	b.ReportMetric(float64(ready-empty)/float64(nodes), "B/node")
	b.ReportMetric(float64(heap-ready)/float64(tasks), "B/instance")
}
