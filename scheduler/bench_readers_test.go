package scheduler

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkReaders has callers look at nodes, instances and counters, alone and
// beside one that places and releases without a pause. Run it with -cpu 1,2: the
// quotient of the two rates says what a second core is worth.
func BenchmarkReaders(b *testing.B) {
	calls := map[string]func(*Scheduler, int) error{
		"Node": func(s *Scheduler, i int) error {
			_, err := s.Node(context.Background(), benchmarkNode(i%5000).ID)
			return err
		},
		"Allocation": func(s *Scheduler, i int) error {
			_, err := s.Allocation(context.Background(), fmt.Sprintf("base-%d-0", i%5000))
			return err
		},
		"Stats": func(s *Scheduler, _ int) error { s.Stats(); return nil },
		"Schedule": func(s *Scheduler, i int) error {
			_, err := s.Schedule(context.Background(), benchmarkRequest([]string{"new"}, i, "distinct", "none"))
			return err
		},
	}
	for _, name := range []string{"Node", "Allocation", "Stats", "Schedule"} {
		for _, writer := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/writer=%v", name, writer), func(b *testing.B) {
				s := benchmarkCluster(b, 5000, Config{})
				ctx, end := context.WithCancel(b.Context())
				var running sync.WaitGroup
				pairs := 0
				if writer {
					running.Go(func() {
						w := watched{s: s, ids: benchmarkNames()}
						for ; ctx.Err() == nil; pairs++ {
							w.pair(b)
						}
					})
				}
				b.ReportAllocs()
				b.ResetTimer()
				start := time.Now()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						if err := calls[name](s, i); err != nil {
							b.Error(err)
						}
					}
				})
				took := time.Since(start).Seconds()
				end()
				running.Wait()
				b.ReportMetric(float64(b.N)/took, "reads/s")
				if writer {
					b.ReportMetric(float64(pairs)/took, "pairs/s")
				}
			})
		}
	}
}

// TestReadersBesideWriters is for the race detector, and holds what readers see to
// a model: what a writer has been told is there, of its own instance and node, until
// it takes it away.
func TestReadersBesideWriters(t *testing.T) {
	for _, durable := range []bool{false, true} {
		cfg, s := Config{Journal: new(MemoryJournal)}, newTestScheduler(t, Config{})
		if durable {
			s = open(t, cfg)
		}
		var writers, readers sync.WaitGroup
		stop := make(chan struct{})
		for i := range 3 {
			id := fmt.Sprint("w", i)
			addNodes(t, s, testNode(id, 8))
			writers.Go(func() { writeAndLook(t, s, id) })
			readers.Go(func() {
				for version := uint64(0); ; {
					select {
					case <-stop:
						return
					default:
					}
					stats := s.Stats()
					if stats.Version < version {
						t.Error("it goes back")
					}
					version = stats.Version
					s.NextDeadline()
					n, err := s.Node(context.Background(), id)
					if err != nil || n.Allocated.CPU+n.Available.CPU != n.Total.CPU || n.Allocated.CPU != n.Instances*1000 {
						t.Error(n, err)
					}
					if a, err := s.Allocation(context.Background(), id); err == nil && a.NodeID != id {
						t.Error(a)
					}
				}
			})
		}
		writers.Wait()
		close(stop)
		readers.Wait()
	}
}

// writeAndLook makes changes on a node of its own, and looks at each.
func writeAndLook(t *testing.T, s *Scheduler, id string) {
	t.Helper()
	ctx := context.Background()
	for k := range 100 {
		req := testRequest(id, 1)
		req.Duration = time.Hour
		if _, err := s.Allocate(ctx, id, req); err != nil {
			t.Error(err)
		}
		if a, err := s.Allocation(ctx, id); err != nil || a.NodeID != id {
			t.Error(a, err)
		}
		if err := s.SetLabel(ctx, id, "round", fmt.Sprint(k)); err != nil {
			t.Error(err)
		}
		if n, err := s.Node(ctx, id); err != nil || n.Labels["round"] != fmt.Sprint(k) || n.Instances != 1 {
			t.Error(n, err)
		}
		if err := s.Release(ctx, id); err != nil {
			t.Error(err)
		}
		if _, err := s.Allocation(ctx, id); err == nil {
			t.Error("it is still there")
		}
	}
}

// TestReadersDoNotWaitForReaders while another one looks.
func TestReadersDoNotWaitForReaders(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, testRequest("a", 1))
	ctx := context.Background()
	readers := map[string]func() error{
		"Node":          func() error { _, err := s.Node(ctx, "n1"); return err },
		"Allocation":    func() error { _, err := s.Allocation(ctx, "a"); return err },
		"AllocationsOn": func() error { _, err := s.AllocationsOn(ctx, "n1"); return err },
		"Stats":         func() error { s.Stats(); return nil },
		"Version":       func() error { s.Version(); return nil },
		"NextDeadline":  func() error { s.NextDeadline(); return nil },
		"Scale":         func() error { s.Scale(); return nil },
	}
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			s.mu.RLock()
			defer s.mu.RUnlock()
			done := make(chan error, 1)
			go func() { done <- read() }()
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(time.Minute):
				t.Fatal("it waits")
			}
		})
	}
}

// TestReadersSeeWhatFallsDue though they look side by side.
func TestReadersSeeWhatFallsDue(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	req := testRequest("a", 1)
	req.Duration = time.Minute
	place(t, s, req)
	overstayed := func() bool {
		a, err := s.Allocation(t.Context(), "a")
		require.NoError(t, err)
		return a.Overstayed
	}
	version := s.Version()
	require.False(t, overstayed())
	c.advance(time.Minute - 1)
	require.False(t, overstayed())
	require.Equal(t, version, s.Version())
	c.advance(1)
	require.True(t, overstayed())
	require.Equal(t, version+1, s.Version())
}
