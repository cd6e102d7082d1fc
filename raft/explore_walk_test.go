package raft

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scope bounds a world.
type scope struct {
	terms, inFlight    int
	crashes, transfers int
	// electionTimeout is the minimal one, in ticks; lease is how long a lease
	// lasts.
	electionTimeout int
	lease           time.Duration
	// skew is by how many ticks two clocks may differ.
	skew int
	// witness makes C one.
	witness bool
	// states bounds the walk, 0 for none.
	states int
	// litter is how many messages are kept that mean nothing.
	litter int
	// off switches rules off.
	off faults
}

// explorer walks all worlds within a scope, each once up to the names of the
// nodes.
type explorer struct {
	scope
	t     *testing.T
	seen  map[uint64]struct{}
	enc   encoder
	depth int
	trace bool
}

// zeros is a source of timeouts: always the least. Which it is does not matter,
// since the walk itself decides when one runs out.
type zeros struct{}

func (zeros) Uint64() uint64 { return 0 }

func newExplorer(t *testing.T, s scope) *explorer {
	t.Helper()
	return &explorer{scope: s, t: t, seen: make(map[uint64]struct{})}
}

// start returns a cluster that has just begun and whose silence is over.
func (x *explorer) start() *world {
	x.t.Helper()
	w := &world{terms: uint64(x.terms), crashes: x.crashes, transfers: x.transfers}
	members := voters(worldSize)
	for i := range members {
		members[i].StoreID = testStore(members[i].ID)
	}
	members[worldSize-1].Witness = x.witness
	first, err := NewConfiguration(members...)
	require.NoError(x.t, err)
	for i := range worldSize {
		id := worldID(i)
		disk := HardState{
			Identity:       Identity{Cluster: "test", Node: id, StoreID: testStore(id), Incarnation: 1},
			LongestPromise: time.Duration(x.electionTimeout) * worldTick,
			Configuration:  first,
		}
		w.nodes[i] = worldNode{core: x.boot(disk, 0), clock: time.Duration(x.electionTimeout) * worldTick}
	}
	return w
}

// follow takes one way from a new cluster: actions, each with the messages that
// are in flight after it.
func (x *explorer) follow(steps ...[2]string) *world {
	x.t.Helper()
	w := x.start()
	for _, step := range steps {
		var after *world
		x.next(w, func(action string, next *world) bool {
			if strings.HasPrefix(action, step[0]) && next.flying() == step[1] {
				after = next
			}
			return after == nil
		})
		require.NotNil(x.t, after, "%v", step)
		w = after
	}
	return w
}

// flying lists the messages in flight.
func (w *world) flying() string {
	var names []string
	for _, m := range w.messages {
		names = append(names, m.From+">"+m.To)
	}
	return strings.Join(names, " ")
}

// elected returns a cluster in which A has just won by B's vote, and C has heard
// of nothing.
func (x *explorer) elected() *world {
	x.t.Helper()
	w := x.follow([][2]string{
		{"timeout of A", "A>B"},
		{"deliver A->B", "B>A"},
		{"deliver B->A", "A>B"},
		{"deliver A->B", "B>A"},
		{"deliver B->A", "A>B"},
	}...)
	require.True(x.t, w.nodes[0].core.reigns())
	return w
}

// latePreVote returns a world in which C asks B for its vote of term 1, while B
// asks C what it will answer with that term.
func (x *explorer) latePreVote() *world {
	x.t.Helper()
	return x.follow([][2]string{
		{"timeout of B", "B>C"},
		{"tick", "B>C"},
		{"tick", "B>C"},
		{"timeout of C", "B>C C>A"},
		{"deliver C->A", "B>C A>C"},
		{"deliver A->C", "B>C C>B"},
	}...)
}

// lateAnswer returns a cluster in which A leads by B's answer, and C, in a
// higher term, is about to hear a question that B asked before.
func (x *explorer) lateAnswer() *world {
	x.t.Helper()
	return x.follow([][2]string{
		{"timeout of A", "A>B"},
		{"deliver A->B", "B>A"},
		{"deliver B->A", "A>B"}, // A asks B for its vote.
		{"timeout of C", "A>B C>B"},
		{"deliver C->B", "A>B B>C"},
		{"deliver B->C", "A>B"},
		{"tick", "A>B"},
		{"tick", "A>B"},
		{"timeout of C", "A>B C>B"},
		{"deliver C->B", "A>B B>C"},
		{"deliver B->C", "A>B"}, // C is in term 2.
		{"timeout of B", "A>B B>C"},
		{"deliver A->B", "B>C B>A"},
		{"deliver B->A", "B>C A>B"},
		{"deliver A->B", "B>C B>A"},
		{"deliver B->A", "B>C"},
	}...)
}

// boot begins a run.
func (x *explorer) boot(disk HardState, now time.Duration) *Core {
	x.t.Helper()
	cfg := Config{
		ID: disk.Node, Cluster: disk.Cluster, Rand: zeros{}, MaxRetries: -1,
		ElectionTimeoutMin: time.Duration(x.electionTimeout) * worldTick,
		ElectionTimeoutMax: time.Duration(x.electionTimeout+1) * worldTick,
		HeartbeatInterval:  worldTick / 2,
	}
	process := disk.Incarnation | uint64(disk.StoreID[1])<<32 // No two under one name are the same.
	c, err := NewCore(cfg, disk, process, now)
	require.NoError(x.t, err)
	c.cfg.HeartbeatInterval = worldTick // One tick, with a lease as short as it is.
	c.lease = x.lease
	c.faults = x.off
	c.faults.frozenMembership = true
	c.faults.transferToSilent = true // When a member answered last is no part of a world.
	c.electionAt = Never
	if x.off.noBlackout {
		c.promise = promise{}
	}
	return c
}

// isNew reports whether a world is met for the first time, and notes it.
func (x *explorer) isNew(w *world) bool {
	f := w.fingerprint(&x.enc)
	_, found := x.seen[f]
	x.seen[f] = struct{}{}
	return !found
}

// walk visits the worlds that can come after w, breadth first. It returns one in
// which an oracle is broken, or nil.
func (x *explorer) walk(w *world) *world {
	x.isNew(w)
	var bad *world
	layer, following := []*world{w}, []*world{}
	for len(layer) > 0 && bad == nil && (x.states == 0 || len(x.seen) < x.states) {
		for i, w := range layer {
			layer[i] = nil
			more := x.next(w, func(action string, next *world) bool {
				if x.isNew(next) {
					if x.trace {
						next.parent, next.action = w, action
					}
					following = append(following, next)
				}
				if next.broken != "" {
					bad = next
				}
				return bad == nil
			})
			if !more {
				break
			}
		}
		layer, following = following, layer[:0]
		x.depth++
	}
	return bad
}

// retold walks again, to tell the actions that led to a world.
func (x *explorer) retold(bad *world) string {
	again := newExplorer(x.t, x.scope)
	again.trace = true
	var actions []string
	for w := again.walk(again.start()); w != nil; w = w.parent {
		actions = append(actions, w.action)
	}
	slices.Reverse(actions)
	return strings.Join(actions, "\n") + "\n" + bad.broken
}

// visitor takes one action and the world after it. It reports whether to go on.
type visitor func(name string, next *world) bool

// next visits all worlds one action away.
func (x *explorer) next(w *world, visit visitor) bool {
	return x.deliver(w, visit) && x.timeout(w, visit) && x.tick(w, visit) && x.crash(w, visit) && x.order(w, visit) &&
		x.haunt(w, visit)
}

// deliver has one message arrive.
func (x *explorer) deliver(w *world, visit visitor) bool {
	for i, m := range w.messages {
		next := *w
		next.messages = slices.Delete(slices.Clone(w.messages), i, i+1)
		step := func(c *Core, now time.Duration) Effects { return c.Step(now, m) }
		if !x.act(&next, worldIndex(m.To), "deliver "+transcribe(m), step, visit) {
			return false
		}
	}
	return true
}

// timeout has an election timeout run out on a node that is free to campaign,
// which is no different from a campaign by hand. In the last term there is
// nothing to campaign for.
func (x *explorer) timeout(w *world, visit visitor) bool {
	for i := range w.nodes {
		c := *w.nodes[i].core
		c.now = w.nodes[i].clock
		if c.hard.Term >= w.terms || c.mayCampaign() != nil {
			continue
		}
		next := *w
		expire := func(c *Core, now time.Duration) Effects {
			c.electionAt = now
			return c.Tick(now)
		}
		if !x.act(&next, i, "timeout of "+worldID(i), expire, visit) {
			return false
		}
	}
	return true
}

// tick lets time pass: for all nodes at once or, with skew, for one of them.
func (x *explorer) tick(w *world, visit visitor) bool {
	if x.skew == 0 {
		next := *w
		for i := range next.nodes {
			next.nodes[i].clock += worldTick
		}
		next.check()
		return x.wake(&next, 0, "tick", visit)
	}
	for i := range w.nodes {
		next := *w
		next.nodes[i].clock += worldTick
		fits := true
		for j := range next.nodes {
			fits = fits && next.nodes[i].clock-next.nodes[j].clock <= time.Duration(x.skew)*worldTick
		}
		next.check()
		if fits && !x.wake(&next, 0, "tick "+worldID(i), visit) {
			return false
		}
	}
	return true
}

// wake has the leaders from node i on do what is due. A paused leader is one
// whose heartbeats are lost.
func (x *explorer) wake(w *world, i int, action string, visit visitor) bool {
	for ; i < worldSize; i++ {
		n := &w.nodes[i]
		if n.core.role != Leader || n.core.Deadline() > n.clock {
			continue
		}
		next := *w
		return x.act(&next, i, action, (*Core).Tick, func(_ string, after *world) bool {
			return x.wake(after, i+1, action, visit)
		})
	}
	return visit(action, w)
}

// crash restarts a node with what it has on disk. A crash inside a save is one
// before it, or one after it with all messages lost.
func (x *explorer) crash(w *world, visit visitor) bool {
	for i := range w.nodes {
		if w.crashes == 0 {
			return true
		}
		next := *w
		next.crashes--
		n := &next.nodes[i]
		disk := n.core.hard
		disk.Incarnation++
		n.core = x.boot(disk, n.clock)
		if !visit("crash "+worldID(i), &next) {
			return false
		}
	}
	return true
}

// order has somebody ask for a transfer.
func (x *explorer) order(w *world, visit visitor) bool {
	for i := range w.nodes {
		if w.transfers > 0 && w.nodes[i].core.reigns() {
			for j := range w.nodes {
				next := *w
				next.transfers--
				transfer := func(c *Core, now time.Duration) Effects {
					e, _ := c.Transfer(now, worldID(j))
					return e
				}
				if i != j && !x.act(&next, i, "transfer to "+worldID(j), transfer, visit) {
					return false
				}
			}
		}
	}
	return true
}

// act calls one core of next, which is a copy already, and visits what may
// become of its messages: any may be lost, and there is room for few.
func (x *explorer) act(next *world, i int, name string, call func(*Core, time.Duration) Effects, visit visitor) bool {
	n := &next.nodes[i]
	disk := n.core.hard
	n.core = n.core.clone()
	e := call(n.core, n.clock)
	if n.core.hard.Term > next.terms {
		return true
	}
	n.core.forget()
	next.perform(i, disk, e)
	next.check()
	return x.lose(next, name, slices.Clone(e.Messages), visit)
}

// forget drops what is not part of a world.
func (c *Core) forget() {
	c.electionAt = Never
	for i := range c.peers {
		c.peers[i].process = process{}
	}
}

// lose visits the worlds in which some of the messages have been sent.
func (x *explorer) lose(w *world, name string, messages []Message, visit visitor) bool {
	for sent := range 1 << len(messages) {
		next := *w
		next.messages = slices.Clone(w.messages)
		for i, m := range messages {
			if sent>>i&1 != 0 {
				next.messages = append(next.messages, m)
			}
		}
		next.sweep(x.litter)
		if len(next.messages) <= x.inFlight+x.litter && next.meant() <= x.inFlight && !visit(name, &next) {
			return false
		}
	}
	return true
}

// sweep removes the messages that mean nothing, but for the latest few.
func (w *world) sweep(keep int) {
	litter := len(w.messages) - w.meant() - keep
	w.messages = slices.DeleteFunc(w.messages, func(m Message) bool {
		if litter <= 0 || w.meaning(&m) != meansNothing {
			return false
		}
		litter--
		return true
	})
}

// meant returns how many messages mean something.
func (w *world) meant() int {
	n := 0
	for i := range w.messages {
		if w.meaning(&w.messages[i]) != meansNothing {
			n++
		}
	}
	return n
}

// perform checks and notes what a call asks for. disk is what was saved before.
func (w *world) perform(i int, disk HardState, e Effects) {
	n := &w.nodes[i]
	if e.Save {
		if e.State.Term < disk.Term {
			w.breaks("O2: %s goes back to term %d", worldID(i), e.State.Term)
		}
		if e.State.Term == disk.Term && disk.Vote != "" && e.State.Vote != disk.Vote {
			w.breaks("O3: %s votes for %q after %q", worldID(i), e.State.Vote, disk.Vote)
		}
		disk = e.State
	}
	if !disk.Equal(n.core.hard) {
		w.breaks("O4: %s has not saved its state", worldID(i))
	}
	if e.Led != 0 {
		if e.Led <= w.token {
			w.breaks("O7: %s leads %d after token %d", worldID(i), e.Led, w.token)
		}
		w.token = max(w.token, e.Led)
	}
	if n.core.role != Follower && !n.core.isElectable() {
		w.breaks("O11: %s stands", worldID(i))
	}
	if term := n.core.Term(); n.core.Role() == Leader {
		if w.leaders[term] != "" && w.leaders[term] != worldID(i) {
			w.breaks("O1: %s leads term %d after %s", worldID(i), term, w.leaders[term])
		}
		w.leaders[term] = worldID(i)
	}
}

// check looks for two reigns at once.
func (w *world) check() {
	reigns := 0
	for i := range w.nodes {
		if end, running := w.nodes[i].core.Reign(); running && w.nodes[i].clock < end {
			reigns++
		}
	}
	if reigns > 1 {
		w.breaks("O6: two reigns at once")
	}
}

func (w *world) breaks(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}
