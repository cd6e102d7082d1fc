package scheduler

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// fleet has so many hosts with ten instances on each, as they were placed, and a
// hundred spare ones.
func fleet(tb testing.TB, hosts int) *Scheduler {
	tb.Helper()
	s := newTestScheduler(tb, Config{})
	for i := range hosts + 100 {
		addNodes(tb, s, testNode(fmt.Sprint("host-", i), 16))
	}
	for i := range 10 * hosts {
		place(tb, s, session(i))
	}
	return s
}

func session(i int) placement.Request {
	req := testRequest(fmt.Sprint("session-", i), 1)
	req.Resources.CPU += 500 + int64(i%100)
	return req
}

func cordonHosts(tb testing.TB, s *Scheduler, hosts int) {
	tb.Helper()
	for i := range hosts {
		require.NoError(tb, s.Cordon(tb.Context(), fmt.Sprint("host-", i)))
	}
}

// drainHost moves what a host has, and returns it.
func drainHost(tb testing.TB, s *Scheduler, host int) []Allocation {
	tb.Helper()
	on, err := s.AllocationsOn(tb.Context(), fmt.Sprint("host-", host))
	require.NoError(tb, err)
	for i := range on {
		_, err := s.Move(tb.Context(), on[i].Request.ID, "")
		require.NoError(tb, err)
	}
	return on
}

// BenchmarkDrain drains 40 of 2,000 hosts with ten instances each, and after each host
// places what ran there once more, as if it came now. It reports the least that an
// instance of a host costs both ways, the one in relation to the other, and the drain
// to placing all that runs.
func BenchmarkDrain(b *testing.B) {
	const hosts, drained = 2000, 40
	move, again := time.Hour, time.Hour
	for b.Loop() {
		s := fleet(b, hosts)
		cordonHosts(b, s, drained)
		for host := range drained {
			start := time.Now()
			moved := drainHost(b, s, host)
			move = min(move, time.Since(start)/10)
			for i := range moved {
				moved[i].Request.ID = fmt.Sprint("again-", moved[i].Request.ID)
			}
			start = time.Now()
			for i := range moved {
				place(b, s, moved[i].Request)
			}
			again = min(again, time.Since(start)/10)
		}
	}
	b.ReportMetric(float64(move), "moved-ns")
	b.ReportMetric(float64(again), "placed-ns")
	b.ReportMetric(float64(move)/float64(again), "moved/placed")
	b.ReportMetric(float64(move)*drained/(float64(again)*hosts), "drain/placing-all")
}

// TestDrainLooksAtWhatItMoves counts the nodes that its moves look at one by one, on a
// small cluster and on a large one.
func TestDrainLooksAtWhatItMoves(t *testing.T) {
	for _, hosts := range []int{200, 800} {
		s := fleet(t, hosts)
		around := s.state.around
		cordonHosts(t, s, 8)
		for host := range 8 {
			require.Len(t, drainHost(t, s, host), 10)
		}
		require.Equal(t, around, s.state.around, "of %d", hosts)
		for i := range 8 {
			on, err := s.AllocationsOn(t.Context(), fmt.Sprint("host-", i))
			require.NoError(t, err)
			require.Len(t, on, 10)
			for _, a := range on {
				require.Equal(t, Leaving, a.State)
			}
		}
		require.NoError(t, s.VerifyQuota(t.Context()))
	}
}

// TestAllocationsOnIsLinearInWhatItReturns counts the bytes that it takes: as many per
// instance however many there are on the node, and elsewhere.
func TestAllocationsOnIsLinearInWhatItReturns(t *testing.T) {
	bytes := func(elsewhere, there int) uint64 {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("there", 4096), testNode("elsewhere", 4096))
		for i := range elsewhere {
			allocate(t, s, "elsewhere", session(i))
		}
		for i := range there {
			allocate(t, s, "there", session(elsewhere+i))
		}
		least := uint64(math.MaxUint64)
		for range 5 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			on, err := s.AllocationsOn(t.Context(), "there")
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Len(t, on, there)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		return least
	}
	few := bytes(10, 64)
	require.InDelta(t, few, bytes(2000, 64), float64(few)/10, "whatever runs elsewhere")
	require.InDelta(t, 16*few, bytes(10, 1024), float64(16*few)/2, "in proportion")
}
