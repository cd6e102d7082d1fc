package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
	"github.com/rads-project/constellation/scheduler/raftjournal"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/transport"
)

// cluster is three replicas and the network between them. There is nothing else: each
// keeps the journal of the scheduler in its log.
type cluster struct {
	network *transport.Memory
	members []raft.Member
	log     *slog.Logger
	running sync.WaitGroup

	mu        sync.Mutex
	disks     map[string]*disk    // by ID, of the members; they outlive the processes
	processes map[string]*process // those that run
	counts    counts
}

// disk is what a member finds when it starts again.
type disk struct {
	store raft.MemoryStore
	log   raft.MemoryLog
}

// counts are how often things have happened.
type counts struct {
	Lost                               int // nodes
	Deaths, Cut, Wiped, Guests         int // members: the first two of leaders
	Placed, Refused, Released, Unheard int // requests; the last found no leader
}

func (n counts) String() string {
	return fmt.Sprintf("%d placed, %d refused, %d released, %d found no leader; %d nodes were lost; "+
		"%d leaders have died, %d were cut off; %d members have lost their disk, %d came and went",
		n.Placed, n.Refused, n.Released, n.Unheard, n.Lost, n.Deaths, n.Cut, n.Wiped, n.Guests)
}

// process is a replica that runs.
type process struct {
	node    *raft.Node
	replica *replica.Replica
	page    *debugpage.Page
	end     context.CancelFunc
	ended   chan struct{} // closed when nothing of it runs any more
}

func newCluster(log *slog.Logger) (*cluster, error) {
	network, err := transport.NewMemory(transport.MemoryConfig{
		Faults: transport.Faults{LatencyMin: 150 * time.Microsecond, LatencyMax: 350 * time.Microsecond},
	})
	c := &cluster{
		network: network, log: log, disks: make(map[string]*disk), processes: make(map[string]*process),
	}
	for _, id := range []string{"a", "b", "c"} {
		c.disks[id] = new(disk)
		c.members = append(c.members, member(id))
	}
	return c, err
}

// member returns a member whose page is below its ID.
func member(id string) raft.Member { return raft.Member{ID: id, Voter: true, Data: "/" + id + "/"} }

// start starts the process of a member that does not run. What its disk has goes before
// the beginning.
func (c *cluster) start(ctx context.Context, m raft.Member, beginning raft.Start) error {
	c.mu.Lock()
	d := c.disks[m.ID]
	c.mu.Unlock()
	endpoint, err := c.network.Join(m.ID)
	if err != nil {
		return err
	}
	log := c.log.With("member", m.ID)
	origin := time.Now()
	machine := new(raftjournal.Machine)
	// A service calls raft.New, whose clock goes on while the machine sleeps.
	node, err := raft.NewWithClock(raft.Config{
		Cluster: "cluster", ID: m.ID, Start: beginning, Store: &d.store, Log: &d.log, Machine: machine, Transport: endpoint,
		ElectionTimeoutMin: 300 * time.Millisecond, Logger: log, // of machines that are shared
	}, func() time.Duration { return time.Since(origin) })
	if err != nil {
		return err
	}
	p := &process{node: node, ended: make(chan struct{})}
	if p.replica, err = replica.New(replica.Config{
		Elector: node, Journal: raftjournal.New(node, machine), Leads: raft.Leads, Logger: log, Scheduler: scheduler.Config{Logger: log},
	}); err != nil {
		return err
	}
	if p.page, err = debugpage.New(debugpage.Config{
		Replica: p.replica, Election: node.Status, Transport: endpoint.Stats, Prefix: m.Data,
		// Whoever reaches the address may cordon nodes: they are made up.
		Authorize: func(*http.Request) bool { return true }, Changes: true,
	}); err != nil {
		return err
	}
	ctx, p.end = context.WithCancel(ctx)
	c.mu.Lock()
	c.processes[m.ID] = p
	c.mu.Unlock()
	c.running.Go(func() {
		defer close(p.ended)
		var parts sync.WaitGroup
		parts.Go(func() { _ = node.Run(ctx) })      // it fails only where its store or network does
		parts.Go(func() { _ = p.replica.Run(ctx) }) // and then this does
		parts.Wait()
	})
	return nil
}

// leader returns who leads, and its scheduler; nil if nobody does.
func (c *cluster) leader() (id string, s *scheduler.Scheduler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.processes {
		if s, leads := p.replica.Leader(); leads {
			return id, s
		}
	}
	return "", nil
}

// kill ends the process of a member, which has no time for a last word.
func (c *cluster) kill(id string) {
	c.mu.Lock()
	p := c.processes[id]
	delete(c.processes, id)
	c.mu.Unlock()
	c.network.Partition([]string{id})
	p.page.Close()
	p.end()
	<-p.ended
	c.network.Heal()
}

// ServeHTTP shows the page of a replica that runs, or sends a viewer to that of the
// leader.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c.mu.Lock()
	p := c.processes[id]
	c.mu.Unlock()
	switch leader, s := c.leader(); {
	case p != nil:
		p.page.ServeHTTP(w, r)
	case s != nil && r.URL.Path == "/":
		http.Redirect(w, r, "/"+leader+"/", http.StatusFound)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "there is nobody", http.StatusServiceUnavailable)
	}
}

func (c *cluster) closePages() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.processes {
		p.page.Close()
	}
}
