//go:build unix

package debugpage

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// The cluster of BenchmarkPage: in each of its groups of nodes something changes twice a
// second.
const (
	benchNodes   = 10_000
	benchGroups  = 100
	benchViewers = 20
)

func benchNode(i int) string { return fmt.Sprintf("node-%05d", i) }

// benchCluster has two instances on each node.
func benchCluster(b *testing.B) *scheduler.Scheduler {
	b.Helper()
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s.Watch(b.Context(), 0)
	for i := range benchNodes {
		if err := s.AddNode(b.Context(), placement.Node{
			ID: benchNode(i), Capacity: placement.Resources{CPU: 64 * placement.Core, Memory: 256 * placement.GiB},
			Labels: map[string]string{"zone": string("abc"[i%3]), "rack": fmt.Sprint("r", i%benchGroups)},
		}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 2 * benchNodes {
		benchPlace(b, s, fmt.Sprint("old-", i), benchNode(i/2))
	}
	return s
}

// benchPlace places an instance on a node.
func benchPlace(b *testing.B, s *scheduler.Scheduler, id, node string) {
	b.Helper()
	req := placement.Request{ID: id, Namespace: "team", Resources: placement.Resources{CPU: 2 * placement.Core, Memory: 4 * placement.GiB}}
	if _, err := s.Allocate(b.Context(), node, req); err != nil {
		b.Fatal(err)
	}
}

// sink counts what a viewer is sent.
type sink struct {
	header http.Header
	bytes  int64
}

func (s *sink) Header() http.Header            { return s.header }
func (*sink) WriteHeader(int)                  {}
func (*sink) Flush()                           {}
func (*sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) Write(data []byte) (int, error) { s.bytes += int64(len(data)); return len(data), nil }

// cpuTime is what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkPage tells twenty viewers of a cluster of 10,000 nodes. An operation is what
// they are told at once; the lists are read as seldom as they are while the page is
// served. %core is the share of one core that this
// takes, garbage collection in it, and B/s what one viewer gets.
func BenchmarkPage(b *testing.B) {
	s := benchCluster(b)
	now := time.Now()
	p, err := New(Config{State: s, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	viewers := make([]*viewer, benchViewers)
	for i := range viewers {
		w := &sink{header: make(http.Header)}
		viewers[i] = &viewer{
			page: p, w: w, control: http.NewResponseController(w), shows: true,
			parts: make(map[string]string), keys: make(map[string]map[string]bool),
		}
		if _, err := viewers[i].tell(b.Context(), now, true); err != nil {
			b.Fatal(err)
		}
		w.bytes = 0
	}
	changes, begin, used := 0, now, time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		pause := p.latest.maxAge()
		now = now.Add(pause)
		for range int64(benchGroups * 2 * pause.Seconds()) {
			benchPlace(b, s, fmt.Sprint("new-", changes), benchNode(changes*97%benchNodes))
			changes++
		}
		b.StartTimer()
		start := cpuTime(b)
		for _, v := range viewers {
			if _, err := v.tell(b.Context(), now, false); err != nil {
				b.Fatal(err)
			}
		}
		used += cpuTime(b) - start
	}
	seconds := now.Sub(begin).Seconds()
	b.ReportMetric(100*used.Seconds()/seconds, "%core")
	b.ReportMetric(float64(viewers[0].w.(*sink).bytes)/seconds, "B/s")
}

// BenchmarkPlacementBesideViewers places and releases, while nobody looks and while
// twenty viewers do.
func BenchmarkPlacementBesideViewers(b *testing.B) {
	for _, count := range []int{0, benchViewers} {
		b.Run(fmt.Sprint("viewers=", count), func(b *testing.B) {
			s := benchCluster(b)
			p, err := New(Config{State: s})
			if err != nil {
				b.Fatal(err)
			}
			ctx, end := context.WithCancel(b.Context())
			var watching sync.WaitGroup
			for range count {
				watching.Go(func() {
					p.ServeHTTP(&sink{header: make(http.Header)}, httptest.NewRequestWithContext(ctx, http.MethodGet, DefaultPrefix+"stream?page", nil))
				})
			}
			req := placement.Request{ID: "x", Resources: placement.Resources{CPU: placement.Core}}
			for b.Loop() {
				if _, err := s.Place(ctx, req); err != nil {
					b.Fatal(err)
				}
				if err := s.Release(ctx, req.ID); err != nil {
					b.Fatal(err)
				}
			}
			end()
			watching.Wait()
		})
	}
}
