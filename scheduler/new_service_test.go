package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// serviceRequest is one of a service: its group and its label are its own, what it asks
// of nodes is what other services ask.
func serviceRequest(service int, rules string) placement.Request {
	app := fmt.Sprint("app-", service)
	req := placement.Request{
		ID: app, Namespace: "bench", Group: app, Labels: map[string]string{"app": app},
		Resources: placement.Resources{CPU: 100, Memory: placement.GiB},
	}
	switch rules {
	case "label":
		req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("disk", "ssd"))
	case "spread":
		req.Preferences = placement.Use(placement.BinPack).Across(placement.EvenlyOver("zone", 1))
	case "anti":
		req.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", app)))
	}
	return req
}

// BenchmarkNewService compares the first request of a service with the next one, in
// turns. The service before it is forgotten.
func BenchmarkNewService(b *testing.B) {
	for _, rules := range []string{"none", "label", "spread", "anti"} {
		b.Run("rules="+rules, func(b *testing.B) {
			s := benchmarkCluster(b, 5000, Config{})
			ctx := b.Context()
			once := func(req placement.Request) time.Duration {
				start := time.Now()
				_, err := s.Place(ctx, req)
				took := time.Since(start)
				require.NoError(b, err)
				require.NoError(b, s.Release(ctx, req.ID))
				return took
			}
			for i := range 1000 {
				once(serviceRequest(-i, rules))
			}
			var first, next []time.Duration
			for i := 0; b.Loop(); i++ {
				req := serviceRequest(i, rules)
				first = append(first, once(req))
				next = append(next, once(req))
			}
			b.ReportMetric(float64(median(first)), "first-ns")
			b.ReportMetric(float64(median(next)), "next-ns")
			b.ReportMetric(float64(median(first))/float64(median(next)), "ratio")
		})
	}
}

// TestNewServiceCostsWhatKnownOnesCost: the first request of a service whose rules on
// nodes are those of others walks the grid that is there, builds nothing, and allocates
// for its own rules alone, however many nodes there are.
func TestNewServiceCostsWhatKnownOnesCost(t *testing.T) {
	for _, rules := range []string{"none", "label", "spread", "anti"} {
		var allocations []float64
		for _, nodes := range []int{1000, 4000} {
			s, service := newTestScheduler(t, Config{}), 0
			for i := range nodes {
				addNodes(t, s, benchmarkNode(i))
			}
			first := func() {
				service++
				req := serviceRequest(service, rules)
				place(t, s, req)
				require.NoError(t, s.Release(t.Context(), req.ID))
			}
			for range 300 {
				first()
			}
			before := s.Stats().Search
			allocations = append(allocations, testing.AllocsPerRun(50, first))
			after := s.Stats().Search
			require.Equal(t, before.Walks+51, after.Walks, rules)
			require.Equal(t, before.Slices, after.Slices, rules)
			require.Equal(t, before.Grids, after.Grids, rules)
		}
		require.InDelta(t, allocations[0], allocations[1], 1, rules)
		require.Less(t, allocations[1], 60.0, rules)
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
