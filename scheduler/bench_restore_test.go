package scheduler

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/rads-project/constellation/placement"
)

// restoreRequest is the i-th instance of services of fifty alike, with the rules
// that such have.
func restoreRequest(i int) placement.Request {
	service := i / 50
	req := placement.Request{
		ID: fmt.Sprintf("svc-%05d-%d", service, i%50), Namespace: fmt.Sprintf("team-%d", service%40),
		Group: fmt.Sprintf("svc-%05d", service), Labels: map[string]string{"app": fmt.Sprintf("svc-%05d", service), "tier": "web"},
		Resources: placement.Resources{CPU: int64(1+service%4) * 250, Memory: int64(1+service%7) * placement.GiB / 2},
	}
	switch service % 3 {
	case 1:
		req.Preferences = placement.Use(placement.BinPack).Require(placement.In("arch", "amd64", "arm64")).
			Prefer(placement.Equal("disk", "ssd"), 50)
	case 2:
		req.Preferences = placement.Use(placement.Spread).TolerateExists("dedicated")
	}
	return req
}

func restoreSizes() (nodes, perNode int) {
	if os.Getenv("CONSTELLATION_LONG") != "" {
		return 100_000, 10
	}
	return 2_000, 10
}

// filledFor adds the nodes and instances, of which node and k place an instance.
func filledFor(b *testing.B, s *Scheduler, nodes, perNode int) {
	b.Helper()
	for i := range nodes {
		if err := s.AddNode(b.Context(), benchmarkNode(i)); err != nil {
			b.Fatal(err)
		}
	}
	for i := range nodes * perNode {
		if _, err := s.Allocate(b.Context(), benchmarkNode(i/perNode).ID, restoreRequest(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRestore brings a scheduler to a state of 2,000 nodes with ten instances
// each, or of 100,000 with CONSTELLATION_LONG=1: from a snapshot, and by entries.
// It reports what an instance or an entry costs of CPU, nodes and all, how long the
// record of one is, and the most that the heap had beside what was there before, as
// a multiple of what stays.
func BenchmarkRestore(b *testing.B) {
	nodes, perNode := restoreSizes()
	b.Run("snapshot", func(b *testing.B) {
		s := newTestScheduler(b, Config{})
		filledFor(b, s, nodes, perNode)
		var books bytes.Buffer
		if err := s.WriteSnapshot(b.Context(), &books); err != nil {
			b.Fatal(err)
		}
		s = nil
		restoring{"instance", nodes * perNode, books.Len()}.measure(b, func(sample func()) (*Scheduler, error) {
			return Restore(b.Context(), Config{}, sampledReader{bytes.NewReader(books.Bytes()), sample})
		})
	})
	b.Run("entries", func(b *testing.B) {
		journal := new(MemoryJournal)
		filledFor(b, open(b, Config{Journal: journal}), nodes, perNode)
		length := 0
		for _, r := range journal.entries {
			length += len(r.Data)
		}
		restoring{"entry", len(journal.entries), length}.measure(b, func(func()) (*Scheduler, error) {
			return Open(b.Context(), Config{Journal: journal})
		})
	})
}

// restoring is what a benchmark restores: so many things, of so many bytes in all.
type restoring struct {
	thing         string
	count, length int
}

func (r restoring) measure(b *testing.B, restore func(sample func()) (*Scheduler, error)) {
	b.Helper()
	b.ReportAllocs()
	var took cost
	var peak, stays float64
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		before, most := heapBytes(), 0.0
		sample := func() { most = max(most, heapBytes()) }
		b.StartTimer()
		var s *Scheduler
		took.add(func() {
			var err error
			if s, err = restore(sample); err != nil {
				b.Fatal(err)
			}
		})
		b.StopTimer()
		sample()
		runtime.GC()
		peak, stays = most-before, heapBytes()-before
		runtime.KeepAlive(s)
		b.StartTimer()
	}
	each := float64(b.N * r.count)
	b.ReportMetric(float64(took.cpu.Microseconds())/each, "us/"+r.thing)
	b.ReportMetric(float64(r.length)/float64(r.count), "B/"+r.thing)
	b.ReportMetric(stays/float64(r.count), "stays-B/"+r.thing)
	b.ReportMetric(peak/stays, "peak/stays")
}

// sampledReader calls sample now and then.
type sampledReader struct {
	io.Reader
	sample func()
}

func (r sampledReader) Read(p []byte) (int, error) {
	r.sample()
	return r.Reader.Read(p)
}

func heapBytes() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64())
}

// BenchmarkJournal places and releases with the journal in memory and without one,
// in turn, and reports what the journal costs of CPU for each entry.
func BenchmarkJournal(b *testing.B) {
	const nodes, pairs = 1000, 2000
	journal := new(MemoryJournal)
	schedulers := []*Scheduler{newTestScheduler(b, Config{}), open(b, Config{Journal: journal})}
	for _, s := range schedulers {
		filledFor(b, s, nodes, 1)
	}
	took := make([]cost, len(schedulers))
	for b.Loop() {
		for i, s := range schedulers {
			took[i].add(func() {
				for k := range pairs {
					req := restoreRequest(nodes + k)
					if _, err := s.Place(context.Background(), req); err != nil {
						b.Fatal(err)
					}
					if err := s.Release(context.Background(), req.ID); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.StopTimer()
		if err := schedulers[1].Checkpoint(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	each := float64(b.N * pairs * 2)
	without, with := float64(took[0].cpu.Nanoseconds())/1000/each, float64(took[1].cpu.Nanoseconds())/1000/each
	b.ReportMetric(without, "us/entry-without")
	b.ReportMetric(with, "us/entry-with")
	b.ReportMetric(with-without, "us/entry-more")
}
