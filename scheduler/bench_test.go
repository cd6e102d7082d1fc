package scheduler

import (
	"fmt"
	"testing"

	"github.com/rads-project/constellation/placement"
)

// benchmarkNode is the i-th of a mixed cluster.
func benchmarkNode(i int) placement.Node {
	sizes := []int64{16, 32, 64, 96}
	cores := sizes[i%len(sizes)]
	return placement.Node{
		ID:       fmt.Sprintf("node-%06d", i),
		Capacity: placement.Resources{CPU: cores * placement.Core, Memory: cores * 4 * placement.GiB, Disk: placement.TB},
		Labels: map[string]string{
			"zone": fmt.Sprintf("z%d", i%8), "rack": fmt.Sprintf("r%d", i/40), "disk": []string{"ssd", "hdd"}[i%2],
			"arch": "amd64", "host": fmt.Sprintf("h%d", i),
		},
	}
}

// benchmarkCluster has n nodes, a part of each used.
func benchmarkCluster(b *testing.B, n int) *Scheduler {
	b.Helper()
	s := newTestScheduler(b, Config{})
	for i := range n {
		if err := s.AddNode(b.Context(), benchmarkNode(i)); err != nil {
			b.Fatal(err)
		}
	}
	for i := range n {
		req := benchmarkRequest(i)
		req.ID = fmt.Sprintf("base-%d", i)
		if _, err := s.Allocate(b.Context(), fmt.Sprintf("node-%06d", i), req); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// benchmarkRequest is the i-th of a stream in which no two shapes are alike.
func benchmarkRequest(i int) placement.Request {
	return placement.Request{
		Namespace: "bench", Group: "g",
		Resources: placement.Resources{
			CPU:    100 + int64(i*7919)%7900,
			Memory: placement.GiB + int64(i*104729)%(15*placement.GiB),
			Disk:   placement.GiB,
		},
	}
}

func BenchmarkSchedule(b *testing.B) {
	for _, nodes := range []int{100, 5000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := benchmarkCluster(b, nodes)
			ids := make([]string, 10_000)
			for i := range ids {
				ids[i] = fmt.Sprintf("req-%d", i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				req := benchmarkRequest(i)
				req.ID = ids[i%len(ids)]
				if _, err := s.Schedule(req); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
