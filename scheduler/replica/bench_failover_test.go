package replica_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// failover is one death of a leader.
type failover struct {
	elected, decided time.Time
}

// trial measures failovers of three replicas on a network in memory.
type trial struct {
	journal *scheduler.MemoryJournal

	mu       sync.Mutex
	measured failover
	decided  chan failover // without a buffer: of the reign that goes on
	replicas map[string]*replica.Replica
}

// timed notes when a node is elected.
type timed struct {
	*raft.Node
	trial *trial
}

func (e timed) WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error {
	return e.Node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
		e.trial.mu.Lock()
		e.trial.measured.elected = time.Now()
		e.trial.mu.Unlock()
		return fn(ctx, token)
	})
}

// run is a replica whose first decision in each reign is measured.
func (t *trial) run(ctx context.Context, node *raft.Node) error {
	r, err := replica.New(replica.Config{
		Elector: timed{node, t}, Journal: t.journal, Leads: raft.Leads,
		Serve: func(ctx context.Context, s *scheduler.Scheduler) error {
			if _, err := s.Place(ctx, request(fmt.Sprint("reign-", s.Token()))); err != nil {
				return err
			}
			t.mu.Lock()
			t.measured.decided = time.Now()
			f := t.measured
			t.mu.Unlock()
			select {
			case t.decided <- f:
			case <-ctx.Done():
			}
			<-ctx.Done()
			return nil
		},
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.replicas[node.Status().ID] = r
	t.mu.Unlock()
	return r.Run(ctx)
}

// current reports whether all replicas show the same.
func (t *trial) current() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := make(map[uint64]bool)
	for _, r := range t.replicas {
		if r.Healthy() != nil {
			return false
		}
		seen[r.View().Version()] = true
	}
	return len(seen) == 1 && len(t.replicas) == 3
}

// fill gives the journal a cluster of nodes with a hundred instances each.
func (t *trial) fill(b *testing.B, instances int) {
	b.Helper()
	s, err := scheduler.Open(b.Context(), scheduler.Config{Journal: t.journal, Token: 1})
	if err != nil {
		b.Fatal(err)
	}
	for i := range instances / 100 {
		n := placement.Node{ID: fmt.Sprint("n", i), Capacity: placement.Resources{CPU: 200 * placement.Core}}
		if err := s.AddNode(b.Context(), n); err != nil {
			b.Fatal(err)
		}
		for k := range 100 {
			if _, err := s.Allocate(b.Context(), n.ID, request(fmt.Sprint(n.ID, "-", k))); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFailover measures how long three replicas take from the death of the
// leader to the first decision of the next one, with 1,000 and with 100,000
// instances on the books, or 1,000,000 with CONSTELLATION_LONG=1: on a network in
// memory, with election timeouts of 150 to 300 ms. election-ms is the median time
// until a replica is elected, and top-ms and top-max-ms what comes on top of it: to
// acquire the journal, to read what is left, and to decide.
func BenchmarkFailover(b *testing.B) {
	sizes := []int{1_000, 100_000}
	if os.Getenv("CONSTELLATION_LONG") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, instances := range sizes {
		b.Run(fmt.Sprint(instances), func(b *testing.B) {
			t := &trial{
				journal: new(scheduler.MemoryJournal), decided: make(chan failover),
				replicas: make(map[string]*replica.Replica),
			}
			t.fill(b, instances)
			c := rafttest.Start(b, rafttest.Config{Service: t.run, Edit: func(cfg *raft.Config) {
				cfg.Start = raft.Bootstrap(1, raft.Member{ID: "a", Voter: true}, raft.Member{ID: "b", Voter: true}, raft.Member{ID: "c", Voter: true})
			}})
			<-t.decided
			var election, top []time.Duration
			for b.Loop() {
				b.StopTimer()
				c.Wait("all replicas to follow", t.current)
				leader := c.WaitLeader()
				b.StartTimer()
				died := time.Now()
				c.Crash(leader)
				f := <-t.decided
				for !f.elected.After(died) { // of a reign before
					f = <-t.decided
				}
				b.StopTimer()
				election, top = append(election, f.elected.Sub(died)), append(top, f.decided.Sub(f.elected))
				t.mu.Lock()
				delete(t.replicas, leader)
				t.mu.Unlock()
				c.Start(leader)
				b.StartTimer()
			}
			milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
			slices.Sort(election)
			slices.Sort(top)
			b.ReportMetric(milliseconds(election[len(election)/2]), "election-ms")
			b.ReportMetric(milliseconds(top[len(top)/2]), "top-ms")
			b.ReportMetric(milliseconds(top[len(top)-1]), "top-max-ms")
		})
	}
}
