package rafttest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
)

// TB is what a Cluster needs of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Config says what Cluster to start. The zero value is a good one.
type Config struct {
	// Nodes is how many voters there are, "a", "b" and so on. Zero: 3. At most 26.
	Nodes int
	// Latency is how long each frame is under way. Zero: 250 µs.
	Latency time.Duration
	// Seed is what election timeouts are drawn from.
	Seed uint64
	// Edit, if not nil, may change a node's Config each time the node is started,
	// for instance its timeouts, give it another Store, or begin with members that
	// have Data: cfg.Start = raft.Bootstrap(0, members...).
	Edit func(cfg *raft.Config)
	// Clock, if not nil, returns the clock of a node that is about to start, for
	// instance one that drifts from or jumps ahead of the clock given to it.
	Clock func(id string, clock func() time.Duration) func() time.Duration
	// Service, if not nil, runs beside each node, for instance one that calls
	// node.WhileLeader. Its ctx ends when the node is told to stop or has
	// crashed; both wait for it to return. A node whose service has returned
	// before goes on, and may lead.
	Service func(ctx context.Context, node *raft.Node) error
}

// Cluster is a cluster of nodes in this process, with stores in memory.
type Cluster struct {
	tb      TB
	cfg     Config
	start   time.Time
	network *network
	ids     []string

	mu      sync.Mutex
	members map[string]*member
	runs    uint64 // how many nodes were started
}

// member is a node and what surrounds it. A member that is down keeps its store.
type member struct {
	store    *raft.MemoryStore
	node     *raft.Node
	endpoint *endpoint
	cancel   context.CancelFunc
	ended    chan struct{} // closed when node and service have ended
	err      error         // of Run and the service, once ended is closed
}

// Start starts a cluster, which runs until Close.
func Start(tb TB, cfg Config) *Cluster {
	tb.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Latency == 0 {
		cfg.Latency = 250 * time.Microsecond
	}
	if cfg.Nodes < 0 || cfg.Nodes > 26 {
		tb.Fatalf("rafttest: %d nodes, not 1 to 26", cfg.Nodes)
	}
	c := &Cluster{
		tb: tb, cfg: cfg, start: time.Now(),
		network: newNetwork(cfg.Latency), members: make(map[string]*member),
	}
	for i := range cfg.Nodes {
		c.ids = append(c.ids, string(rune('a'+i)))
	}
	tb.Cleanup(c.Close)
	for _, id := range c.ids {
		c.network.attach(id)
		c.members[id] = &member{store: new(raft.MemoryStore)}
	}
	for _, id := range c.ids {
		c.Start(id)
	}
	return c
}

// IDs returns the names of all members, in order.
func (c *Cluster) IDs() []string { return slices.Clone(c.ids) }

// Add starts a further node that is no member yet: it joins, and the leader's
// AddMember names it.
func (c *Cluster) Add(id string) {
	c.tb.Helper()
	c.mu.Lock()
	_, known := c.members[id]
	if !known {
		c.members[id] = &member{store: new(raft.MemoryStore)}
		c.ids = append(c.ids, id)
	}
	c.mu.Unlock()
	if known {
		c.tb.Fatalf("rafttest: there is a node %q", id)
	}
	c.Start(id)
}

// Start starts a node that is down, with the store it had.
func (c *Cluster) Start(id string) {
	c.tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[id]
	if m == nil || m.node != nil {
		c.tb.Fatalf("rafttest: node %q is not down", id)
	}
	m.endpoint = c.network.attach(id)
	node, err := c.newNode(id, m)
	if err != nil {
		c.tb.Fatalf("rafttest: node %q: %v", id, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.node, m.cancel, m.ended = node, cancel, make(chan struct{})
	var service sync.WaitGroup
	var failed error // of the service, but for having to end
	if c.cfg.Service != nil {
		service.Go(func() {
			if err := c.cfg.Service(ctx, node); !errors.Is(err, context.Canceled) && !errors.Is(err, raft.ErrStopped) {
				failed = err
			}
		})
	}
	go func() {
		defer close(m.ended)
		err := node.Run(ctx)
		cancel()
		service.Wait()
		m.err = errors.Join(err, failed)
	}()
}

// newNode returns the node that is about to start.
func (c *Cluster) newNode(id string, m *member) (*raft.Node, error) {
	c.runs++
	cfg := raft.Config{
		ID: id, Cluster: "rafttest",
		Start: raft.Join(), Store: m.store, Transport: m.endpoint,
		Rand: rand.NewPCG(c.cfg.Seed, c.runs),
	}
	if founders := c.founders(); slices.ContainsFunc(founders, func(f raft.Member) bool { return f.ID == id }) {
		cfg.Start = raft.Bootstrap(0, founders...)
	}
	if c.cfg.Edit != nil {
		c.cfg.Edit(&cfg)
	}
	clock := func() time.Duration { return time.Since(c.start) }
	if c.cfg.Clock != nil {
		clock = c.cfg.Clock(id, clock)
	}
	return raft.NewWithClock(cfg, clock)
}

func (c *Cluster) founders() []raft.Member {
	members := make([]raft.Member, c.cfg.Nodes)
	for i := range members {
		members[i] = raft.Member{ID: c.ids[i], Voter: true}
	}
	return members
}

// Node returns a node, nil while it is down.
func (c *Cluster) Node(id string) *raft.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.members[id]; m != nil {
		return m.node
	}
	return nil
}

// Crash stops a node at once, without a hand-over: it sends nothing any more,
// and the contexts of its leaderships end.
func (c *Cluster) Crash(id string) {
	c.tb.Helper()
	_ = c.takeDown(id, func(m *member) { m.endpoint.crash() })
}

// Stop ends a node as the end of its process would, with a hand-over if it
// leads, waits for that, and returns what Run returned, joined with the error of
// Config.Service unless that only says that it had to end.
func (c *Cluster) Stop(id string) error {
	c.tb.Helper()
	return c.takeDown(id, func(m *member) { m.cancel() })
}

// takeDown ends a node and waits until it has ended.
func (c *Cluster) takeDown(id string, end func(*member)) error {
	c.tb.Helper()
	c.mu.Lock()
	m := c.members[id]
	if m == nil || m.node == nil {
		c.mu.Unlock()
		c.tb.Fatalf("rafttest: node %q is not running", id)
	}
	ended := m.ended
	end(m)
	c.mu.Unlock()
	<-ended

	c.mu.Lock()
	defer c.mu.Unlock()
	m.node = nil
	return m.err
}

// Wipe makes a node that is down lose its disk: at its next Start it joins with
// an empty store, as a new disk under the old name would.
func (c *Cluster) Wipe(id string) {
	c.tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[id]
	if m == nil || m.node != nil {
		c.tb.Fatalf("rafttest: node %q is not down", id)
	}
	m.store = new(raft.MemoryStore)
}

// Cut lets no frame from one node reach the other; the way back stays open.
// Frames under way are lost, too.
func (c *Cluster) Cut(from, to string) { c.network.setCut(true, ends{from, to}) }

// Isolate cuts a node off from all others, both ways.
func (c *Cluster) Isolate(id string) { c.Partition([]string{id}) }

// Partition cuts the nodes of each group off from all nodes outside the group.
// Nodes in no group stay together. Cuts made before stay.
func (c *Cluster) Partition(groups ...[]string) {
	c.mu.Lock()
	ids := slices.Clone(c.ids)
	c.mu.Unlock()
	side := make(map[string]int)
	for i, group := range groups {
		for _, id := range group {
			side[id] = i + 1
		}
	}
	var links []ends
	for _, from := range ids {
		for _, to := range ids {
			if side[from] != side[to] {
				links = append(links, ends{from, to})
			}
		}
	}
	c.network.setCut(true, links...)
}

// Heal mends all cuts.
func (c *Cluster) Heal() { c.network.heal() }

// WaitLeader waits until one of the nodes leads, or any if none is named, and
// returns its name. The test fails if that takes more than a minute.
func (c *Cluster) WaitLeader(among ...string) string {
	c.tb.Helper()
	var leader string
	c.Wait("a leader", func() bool {
		leader = c.leader(among)
		return leader != ""
	})
	return leader
}

// leader returns a node that leads, "" if there is none.
func (c *Cluster) leader(among []string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(among) == 0 {
		among = slices.Sorted(maps.Keys(c.members))
	}
	for _, id := range among {
		if m := c.members[id]; m != nil && m.node != nil && m.node.IsLeader() {
			return id
		}
	}
	return ""
}

// Wait waits until a condition holds, asking every millisecond. The test fails
// if that takes more than a minute; what says what it waits for.
func (c *Cluster) Wait(what string, condition func() bool) {
	c.tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			c.tb.Fatalf("rafttest: waited for a minute for %s", what)
		}
	}
}

// Close crashes what still runs and waits until all of it has ended. The end of
// the test does the same.
func (c *Cluster) Close() {
	c.mu.Lock()
	var running []*member
	for _, m := range c.members {
		if m.node != nil {
			m.endpoint.crash()
			running = append(running, m)
			m.node = nil
		}
	}
	c.mu.Unlock()
	for _, m := range running {
		<-m.ended
	}
}
