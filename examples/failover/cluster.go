package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/transport"
)

// errUnreachable is the answer of nobody.
var errUnreachable = errors.New("unreachable")

// cluster is three processes, the network between them, and the journal.
type cluster struct {
	*printer
	journal  scheduler.Journal
	network  *transport.Memory
	members  []raft.Member
	stores   map[string]*raft.MemoryStore // of the members; they outlive the processes
	minTerm  uint64
	stopping <-chan struct{}
	running  sync.WaitGroup
	struck   chan reign // gets whom a fault has struck

	mu        sync.Mutex
	processes map[string]*process // by address
	isolated  string              // who is cut off from the others
	forwarded int                 // requests between replicas
	fault     fault
	writes    int // until the fault strikes
}

// fault is something that happens to a process at a write.
type fault int

const (
	none fault = iota
	killAfterWrite
	pauseBeforeWrite
)

// reign is a process that leads, and its token.
type reign struct {
	*process
	token uint64
}

// newCluster prepares the journal and starts the replicas. They run until ctx
// ends, after which wait must be called, also after an error.
func newCluster(ctx context.Context, p *printer, journal scheduler.Journal) (*cluster, error) {
	c := &cluster{
		printer: p, journal: journal, stopping: ctx.Done(), struck: make(chan reign, 1),
		stores: make(map[string]*raft.MemoryStore), processes: make(map[string]*process),
	}
	var err error
	c.network, err = transport.NewMemory(transport.MemoryConfig{
		Faults: transport.Faults{LatencyMin: 150 * time.Microsecond, LatencyMax: 350 * time.Microsecond},
	})
	if err != nil {
		return c, err
	}
	if err := c.prepare(ctx); err != nil {
		return c, err
	}
	for _, id := range []string{"a", "b", "c"} {
		c.stores[id] = new(raft.MemoryStore)
		c.members = append(c.members, raft.Member{ID: id, Voter: true, Data: "http://" + id + ".example"})
	}
	for _, m := range c.members {
		if err := c.start(ctx, m); err != nil {
			return c, err
		}
	}
	return c, nil
}

// wait waits until nothing runs any more.
func (c *cluster) wait() { c.running.Wait() }

func (c *cluster) stopped() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// prepare tells the journal which nodes there are and what may be used.
func (c *cluster) prepare(ctx context.Context) error {
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: c.journal})
	if err != nil {
		return err
	}
	const nodes = 12
	for i := range nodes {
		err = errors.Join(err, s.AddNode(ctx, placement.Node{
			ID:       fmt.Sprintf("node-%d", i+1),
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
		}))
	}
	_, quotaErr := s.CreateQuota(ctx, quota.Spec{
		Namespace: namespace,
		Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 12 * 32 * placement.Core}},
	})
	c.minTerm = s.Token() // the first leader's token must be higher
	c.printf("the journal holds %d nodes and a quota, under token %d", nodes, s.Token())
	return errors.Join(err, quotaErr, s.Close())
}

// start starts the process of a member that does not run.
func (c *cluster) start(ctx context.Context, m raft.Member) error {
	endpoint, err := c.network.Join(m.ID)
	if err != nil {
		return err
	}
	p := newProcess(c)
	p.replica = &replica{id: m.ID, journal: processJournal{c.journal, p}, forward: c.forwarder(p), printf: p.printf}
	// The clock is the process's, so that it can be paused. A service calls
	// raft.New.
	p.node, err = raft.NewWithClock(raft.Config{
		Cluster: "failover", ID: m.ID,
		Start:     raft.Bootstrap(c.minTerm, c.members...),
		Store:     c.stores[m.ID],
		Transport: processTransport{endpoint, p},
	}, p.now)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.processes[m.Data] = p
	c.mu.Unlock()
	c.running.Go(func() {
		defer close(p.ended)
		if err := p.run(ctx); err != nil {
			p.printf("%s has ended: %v", p.id, err)
		}
	})
	return nil
}

func (c *cluster) process(address string) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[address]
}

// isolate cuts a replica off from the others, though not from the clients and
// the journal.
func (c *cluster) isolate(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isolated = id
	c.network.Partition([]string{id})
}

func (c *cluster) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isolated = ""
	c.network.Heal()
}

// arm lets a fault strike the leader at one of the next writes.
func (c *cluster) arm(f fault, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault, c.writes = f, writes
}

// due counts a write and returns the fault that strikes at it.
func (c *cluster) due() fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes--
	if c.fault == none || c.writes > 0 {
		return none
	}
	f := c.fault
	c.fault = none
	return f
}

// handedOn returns how many requests followers have handed to a leader.
func (c *cluster) handedOn() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forwarded
}

// forwarder returns how a process reaches the others.
func (c *cluster) forwarder(from *process) func(context.Context, string, placement.Request) (scheduler.Decision, error) {
	return func(ctx context.Context, address string, req placement.Request) (scheduler.Decision, error) {
		to := c.process(address)
		c.mu.Lock()
		cut := c.isolated == from.id || c.isolated == to.id
		c.forwarded++
		c.mu.Unlock()
		if cut {
			return scheduler.Decision{}, errUnreachable
		}
		return c.call(ctx, to, func() (scheduler.Decision, error) { return to.decide(ctx, req) })
	}
}

// call lets a process answer. As with any remote call, the caller may give up
// or get no answer while the other side goes on.
func (c *cluster) call(ctx context.Context, to *process, answer func() (scheduler.Decision, error)) (scheduler.Decision, error) {
	type result struct {
		decision scheduler.Decision
		err      error
	}
	results := make(chan result, 1)
	c.running.Go(func() {
		to.awake()
		d, err := answer()
		to.awake()
		results <- result{d, err}
	})
	select {
	case r := <-results:
		if to.alive() {
			return r.decision, r.err
		}
		return scheduler.Decision{}, errUnreachable
	case <-to.killed:
		return scheduler.Decision{}, errUnreachable
	case <-ctx.Done():
		return scheduler.Decision{}, ctx.Err()
	}
}
