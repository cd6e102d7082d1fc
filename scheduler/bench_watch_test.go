package scheduler

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkWatch compares placing and releasing beside watchers that read
// everything with doing so beside none, in turns, so that a busy machine is the
// same for both. A turn ends when all watchers have read it. It reports
// throughput as a share of that without watchers, by time and by CPU time, and
// how many events a watcher has missed.
func BenchmarkWatch(b *testing.B) {
	for _, watchers := range []int{0, 1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			without := watched{s: benchmarkCluster(b, 5000, Config{}), ids: benchmarkNames()}
			with := watched{s: benchmarkCluster(b, 5000, Config{}), ids: benchmarkNames()}
			without.start(b, 0)
			with.start(b, watchers)
			for range 2 * historySize / watchTurn / 2 {
				with.turn(b) // until the ring has its size
			}
			b.ReportAllocs()
			var plain, told cost
			for b.Loop() {
				plain.add(func() { without.turn(b) })
				told.add(func() { with.turn(b) })
			}
			b.ReportMetric(float64(plain.cpu)/float64(told.cpu), "cpu-ratio")
			b.ReportMetric(float64(plain.wall)/float64(told.wall), "ratio")
			pairs := float64(b.N * watchTurn)
			b.ReportMetric(pairs/told.wall.Seconds(), "pairs/s")
			b.ReportMetric(float64(told.cpu)/pairs, "cpu-ns/pair")
			if watchers > 0 {
				b.ReportMetric(float64(with.missed.Load())/float64(watchers), "missed")
			}
		})
	}
}

// watchTurn is how many pairs of a placement and a release a turn has.
const watchTurn = 4096

// watched is a scheduler with watchers.
type watched struct {
	s       *Scheduler
	watched int
	read    sync.WaitGroup // of a turn
	until   atomic.Uint64  // its last Seq
	missed  atomic.Int64
	ids     []string
	i       int
}

func (w *watched) start(b *testing.B, watchers int) {
	b.Helper()
	standing := benchmarkRequest(w.ids, 0, "distinct", "none")
	standing.ID = "standing" // so that the group always has an instance
	place(b, w.s, standing)
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.Cleanup(func() { end(); running.Wait() })
	w.watched = watchers
	w.until.Store(w.s.Version())
	for range watchers {
		events, seq := w.s.Watch(ctx, w.s.Version()), w.s.Version()
		running.Go(func() {
			for e := range events {
				if e.Seq != seq+1 {
					w.missed.Add(int64(e.Seq - seq - 1))
				}
				if seq = e.Seq; seq == w.until.Load() {
					w.read.Done()
				}
			}
		})
	}
}

func (w *watched) turn(b *testing.B) {
	b.Helper()
	w.read.Add(w.watched)
	w.until.Store(w.s.Version() + 2*watchTurn)
	for range watchTurn {
		w.pair(b)
	}
	w.read.Wait()
}

func (w *watched) pair(b *testing.B) {
	b.Helper()
	req := benchmarkRequest(w.ids, w.i, "distinct", "none")
	w.i++
	if _, err := w.s.Place(context.Background(), req); err != nil {
		b.Error(err)
	}
	if err := w.s.Release(context.Background(), req.ID); err != nil {
		b.Error(err)
	}
}

type cost struct{ wall, cpu time.Duration }

func (c *cost) add(f func()) {
	start, before := time.Now(), cpuTime()
	f()
	c.wall += time.Since(start)
	c.cpu += cpuTime() - before
}
