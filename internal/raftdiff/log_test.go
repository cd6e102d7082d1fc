package raftdiff

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// entryBytes is the length of an entry of the log benchmark.
const entryBytes = 256

// logCluster is three nodes that keep a log in memory, in this process, as a program
// runs them: with goroutines and by the clock.
type logCluster interface {
	// propose appends an entry at the leader and waits until that has applied it.
	propose(ctx context.Context, data []byte) error
	// applied returns how many entries each node has applied.
	applied() [3]uint64
	stop()
}

// BenchmarkLog commits entries of 256 bytes, with so many callers that wait for theirs.
// An operation is one entry; entries/s is by the clock, and us-cpu what the whole
// process takes for one.
//
//	go test -run '^$' -bench 'Log/' -benchtime 200000x -count 3 .
func BenchmarkLog(b *testing.B) {
	engines := []struct {
		name  string
		start func(testing.TB) logCluster
	}{{"constellation", startNodes}, {"etcd", startEtcd}, {"hashicorp", startHashicorp}}
	for _, callers := range []int{64, 1024} {
		for _, e := range engines {
			b.Run(fmt.Sprintf("callers=%d/engine=%s", callers, e.name), func(b *testing.B) {
				c := e.start(b)
				defer c.stop()
				b.ReportAllocs()
				b.ResetTimer()
				before := processTime(b)
				load(b, c, callers, b.N)
				b.ReportMetric(float64(processTime(b)-before)/float64(time.Microsecond)/float64(b.N), "us-cpu")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}

// load has callers propose so many entries in all.
func load(tb testing.TB, c logCluster, callers, entries int) {
	tb.Helper()
	var running sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(entries))
	for range callers {
		running.Go(func() {
			data := make([]byte, entryBytes)
			for left.Add(-1) >= 0 {
				if err := c.propose(tb.Context(), data); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}

// TestLogsOfAllEngines: each engine applies what was proposed, on every node.
func TestLogsOfAllEngines(t *testing.T) {
	t.Parallel()
	for _, start := range []func(testing.TB) logCluster{startNodes, startEtcd, startHashicorp} {
		c := start(t)
		load(t, c, 8, 100)
		require.Eventually(t, func() bool { return c.applied() == [3]uint64{100, 100, 100} }, 10*time.Second, time.Millisecond)
		c.stop()
	}
}
