package boltjournal

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// syncsPerCommit: bbolt syncs the pages, then the meta page.
const syncsPerCommit = 2

// counted opens a scheduler with nodes for n instances of a core, and counts
// the commits of its journal from then on.
func counted(tb testing.TB, n int) (*scheduler.Scheduler, *atomic.Int64) {
	tb.Helper()
	commits := new(atomic.Int64)
	j := openJournal(tb, tb.TempDir(), Config{commit: func(tx *bolt.Tx) error {
		commits.Add(1)
		return tx.Commit()
	}})
	s, err := scheduler.Open(tb.Context(), scheduler.Config{Journal: j})
	require.NoError(tb, err)
	const perNode = 1000
	for i := range n/perNode + 1 {
		require.NoError(tb, s.AddNode(tb.Context(), placement.Node{
			ID: fmt.Sprint("node-", i), Capacity: placement.Resources{CPU: perNode * placement.Core},
		}))
	}
	commits.Store(0)
	return s, commits
}

// placeAll places n instances from a number of callers.
func placeAll(tb testing.TB, s *scheduler.Scheduler, n, callers int) {
	tb.Helper()
	var (
		next atomic.Int64
		all  sync.WaitGroup
	)
	for range callers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				_, err := s.Place(tb.Context(), placement.Request{
					ID: fmt.Sprint("i-", i), Resources: placement.Resources{CPU: placement.Core},
				})
				if err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestCallersShareSyncs(t *testing.T) {
	s, commits := counted(t, 4000)
	placeAll(t, s, 4000, 64)
	require.LessOrEqual(t, commits.Load()*syncsPerCommit, int64(4*100), "syncs")

	commits.Store(0)
	s, commits = counted(t, 100)
	placeAll(t, s, 100, 1)
	require.Equal(t, int64(100), commits.Load(), "one caller has nobody to share with")
}

// BenchmarkJournal places with a durable journal: the time of one placement,
// the syncs of a thousand, and how many times the rate of one caller that is.
func BenchmarkJournal(b *testing.B) {
	var alone float64
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s, commits := counted(b, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			placeAll(b, s, b.N, callers)
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			if callers == 1 {
				alone = rate
			}
			b.ReportMetric(rate, "placements/s")
			b.ReportMetric(rate/alone, "times-one-caller")
			b.ReportMetric(float64(commits.Load()*syncsPerCommit)*1000/float64(b.N), "syncs/1000")
		})
	}
}

// BenchmarkRestore opens a journal with a snapshot, from the file to a
// scheduler that answers.
func BenchmarkRestore(b *testing.B) {
	nodes, instances := 2_000, 20_000
	if long() {
		nodes, instances = 100_000, 1_000_000
	}
	dir := b.TempDir()
	snapshotted(b, dir, nodes, instances)
	for b.Loop() {
		start := time.Now()
		j, err := Open(dir, Config{})
		require.NoError(b, err)
		verified := time.Since(start)
		s, err := scheduler.Open(b.Context(), scheduler.Config{Journal: j})
		require.NoError(b, err)
		b.ReportMetric(verified.Seconds(), "s/verify")
		require.NoError(b, s.Close())
		require.NoError(b, j.Close())
	}
}

// snapshotted makes a journal that holds a snapshot.
func snapshotted(tb testing.TB, dir string, nodes, instances int) {
	tb.Helper()
	fast, err := scheduler.New(scheduler.Config{})
	require.NoError(tb, err)
	for i := range nodes {
		require.NoError(tb, fast.AddNode(tb.Context(), placement.Node{
			ID:       fmt.Sprint("node-", i),
			Capacity: placement.Resources{CPU: 64 * placement.Core, Memory: 256 * placement.GiB},
			Labels:   map[string]string{"zone": fmt.Sprint("z", i%3), "rack": fmt.Sprint("r", i%500)},
		}))
	}
	for i := range instances {
		_, err := fast.Place(tb.Context(), placement.Request{
			ID: fmt.Sprint("instance-", i), Namespace: fmt.Sprint("team-", i%50), Group: fmt.Sprint("group-", i%1000),
			Resources: placement.Resources{CPU: int64(1+i%4) * placement.Core, Memory: placement.GiB},
		})
		require.NoError(tb, err)
	}
	var books bytes.Buffer
	require.NoError(tb, fast.WriteSnapshot(tb.Context(), &books))
	j := openJournal(tb, dir, Config{})
	s, err := scheduler.Restore(tb.Context(), scheduler.Config{Journal: j}, &books)
	require.NoError(tb, err)
	require.NoError(tb, s.Close())
	require.NoError(tb, j.Close())
}
