package sim

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/rads-project/constellation/raft"
)

// Bounds of a world. Nodes are named A, B, C and so on.
const (
	maxNodes    = 8
	maxDriftPPM = 100_000
)

// Config is what a World is made from.
type Config struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Voters found the cluster; the last Witnesses of them are such. Spares run, too,
	// and wait until they are added. Together there are at most 8.
	Voters, Witnesses, Spares int
	// Network is what every link does to messages, unless a test changes it.
	Network faultnet.Faults
	// SaveMin and SaveMax bound how long a save takes.
	SaveMin, SaveMax time.Duration
	// DriftPPM is by how many parts per million a clock may run faster or slower
	// than true time. Each process draws its own rate, which is often an extreme.
	DriftPPM int64
	// Logs has every node keep a log.
	Logs bool
	// Configure changes the configuration of one node, if not nil. Election
	// timeouts are 150 to 300 ms and heartbeats 50 ms apart otherwise.
	Configure func(node int, cfg *raft.Config)
	// Delay says by how much later a message arrives, if not nil. Others of the
	// same link pass it.
	Delay func(m *raft.Message) time.Duration
	// Prepare is given every core that starts, if not nil.
	Prepare func(c *raft.Core)
	// SendBeforeSave breaks rule 12, to show that the oracles notice.
	SendBeforeSave bool
	// MayOverlap has O6 counted, not broken: for clocks that run worse than the
	// cores allow for.
	MayOverlap bool
	// Transcript keeps what happened in words.
	Transcript bool
}

// World is a cluster in virtual time. Its methods that let time pass stop at
// once when an oracle breaks; see Err.
type World struct {
	cfg        Config
	now        time.Duration // true time
	nodes      []*member
	random     *rand.Rand
	network    *faultnet.Model
	arrivals   []time.Duration                   // of the message being sent, reused
	latest     [maxNodes][maxNodes]time.Duration // arrival on each link
	events     queue
	oracle     oracle
	counts     Counts
	reigns     []Reign
	transcript transcript
	err        error
	ended      func(*member) // told when a process has ended, if not nil
	kept       []raft.Message
}

// New returns a world in which all nodes are about to start.
func New(cfg Config) (*World, error) {
	switch {
	case cfg.Voters < 1 || cfg.Spares < 0 || cfg.Voters+cfg.Spares > maxNodes || cfg.Witnesses < 0 || cfg.Witnesses >= cfg.Voters:
		return nil, errors.New("sim: a world has 1 to 8 nodes, at least one of them a voter that may lead")
	case cfg.SaveMin < 0 || cfg.SaveMax < cfg.SaveMin || cfg.DriftPPM < 0 || cfg.DriftPPM > maxDriftPPM:
		return nil, errors.New("sim: a save takes from SaveMin to SaveMax, and clocks drift by up to 100,000 ppm")
	}
	network, err := faultnet.New(cfg.Seed, cfg.Network)
	if err != nil {
		return nil, err
	}
	w := &World{
		cfg:        cfg,
		random:     rand.New(rand.NewPCG(cfg.Seed, 0)),
		network:    network,
		transcript: transcript{keep: cfg.Transcript},
	}
	members := make([]raft.Member, cfg.Voters)
	for i := range members {
		members[i] = raft.Member{ID: nodeID(i), Voter: true, Witness: i >= cfg.Voters-cfg.Witnesses}
	}
	for i := range cfg.Voters + cfg.Spares {
		start := raft.Bootstrap(0, members...)
		if i >= cfg.Voters {
			start = raft.Join()
		}
		n := newNode(w, i, start)
		n.witness = i < cfg.Voters && members[i].Witness
		w.nodes = append(w.nodes, n)
	}
	w.oracle = newOracle(w)
	for _, n := range w.nodes {
		n.start()
	}
	return w, w.err
}

func nodeID(i int) string { return string(rune('A' + i)) }

// node returns the node of that name, which must exist.
func (w *World) node(id string) *member { return w.nodes[id[0]-'A'] }

// after schedules something.
func (w *World) after(d time.Duration, run func()) { w.events.add(w.now + d).run = run }

// between draws a duration from [least, most].
func (w *World) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)+1))
}

// chance reports true n times in 100.
func (w *World) chance(n int) bool { return w.random.IntN(100) < n }

// rate draws how fast a clock runs.
func (w *World) rate() int64 {
	most := w.cfg.DriftPPM
	switch w.random.IntN(3) {
	case 0:
		return -most
	case 1:
		return most
	default:
		return w.random.Int64N(2*most+1) - most
	}
}

// step does the next thing, if that is not after limit and no oracle is broken.
func (w *World) step(limit time.Duration) bool {
	if w.err != nil {
		return false
	}
	n, at := w.nextTimer()
	if next := w.events.next(); next <= at && next <= limit {
		e := w.events.take()
		w.now = max(w.now, e.at)
		w.counts.Steps++
		if e.run != nil {
			e.run()
			w.events.done(e)
		} else {
			e.node.receive(e)
		}
		return true
	}
	if n == nil || at > limit {
		return false
	}
	w.now = at
	w.counts.Steps++
	n.tick()
	return true
}

// nextTimer returns the node whose deadline comes first, and when that is.
func (w *World) nextTimer() (first *member, at time.Duration) {
	at = raft.Never
	for _, n := range w.nodes {
		if n.due < at && n.free() {
			first, at = n, n.due
		}
	}
	return first, max(at, w.now)
}

// Run lets d of true time pass.
func (w *World) Run(d time.Duration) {
	limit := w.now + d
	for w.step(limit) {
	}
	if w.err == nil {
		w.now = limit
	}
}

// RunUntil lets time pass until done, at most d, and reports whether it is done.
func (w *World) RunUntil(d time.Duration, done func() bool) bool {
	limit := w.now + d
	for !done() {
		if !w.step(limit) {
			return false
		}
	}
	return true
}

// Err returns the first broken oracle, as a *OracleError, or nil.
func (w *World) Err() error { return w.err }

// Now returns the true time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Counts returns what happened so far.
func (w *World) Counts() Counts { return w.counts }

// Hash returns a hash of everything that happened so far.
func (w *World) Hash() uint64 { return w.transcript.hash }

// Transcript returns what happened in words, if Config.Transcript is set.
func (w *World) Transcript() []string { return w.transcript.lines }

// Network returns the network, for a test to change it.
func (w *World) Network() *faultnet.Model { return w.network }

// Reigns returns all reigns in the order in which they began.
func (w *World) Reigns() []Reign {
	for _, n := range w.nodes {
		n.expire()
	}
	return w.reigns
}

// Leader returns the node that reigns, "" if none does.
func (w *World) Leader() string {
	for _, n := range w.nodes {
		if n.reigns() {
			return n.cfg.ID
		}
	}
	return ""
}

// Agreed reports whether a node reigns and all nodes that run follow it.
func (w *World) Agreed() bool { return w.AgreedWithout("") }

// AgreedWithout is Agreed among the nodes but one.
func (w *World) AgreedWithout(id string) bool {
	leader, term := "", uint64(0)
	for _, n := range w.nodes {
		if n.cfg.ID != id && n.reigns() {
			leader, term = n.cfg.ID, n.core.Term()
		}
	}
	for _, n := range w.nodes {
		if n.cfg.ID != id && n.core != nil && (n.core.Leader() != leader || n.core.Term() != term) {
			return false
		}
	}
	return leader != ""
}

// Crash ends a node's process at once.
func (w *World) Crash(id string) { w.node(id).crash() }

// Start begins a process of a node that has none.
func (w *World) Start(id string) { w.node(id).start() }

// Transfer has a leader hand over, as soon as it is free.
func (w *World) Transfer(from, to string) {
	w.node(from).try(func(c *raft.Core, now time.Duration) (raft.Effects, error) { return c.Transfer(now, to) }, nil)
}
