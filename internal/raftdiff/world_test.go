package raftdiff

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/faultnet"
)

// world is a cluster in virtual time.
type world struct {
	engine  engine
	now     time.Duration
	nodes   []*node // in ID order
	network *faultnet.Model
	events  events
	order   int
	err     error // the first rule that was broken

	winners    map[uint64]string
	overlapped bool          // two nodes have led at one instant
	overlap    time.Duration // for how long
}

// node is a server with its process.
type node struct {
	id     string
	world  *world
	server server
	up     bool
	boot   int // counts the processes
	saving bool
	inbox  []func() error // what waits for the save
	term   uint64         // highest seen
}

type event struct {
	at    time.Duration
	order int
	run   func()
}

// events is a heap.
type events []event

func (h events) Len() int      { return len(h) }
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h events) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h *events) Push(x any) { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// newWorld starts nodes A, B, C and so on, all voters.
func newWorld(tb testing.TB, e engine, seed uint64, nodes int) *world {
	tb.Helper()
	network, err := faultnet.New(seed, calm())
	require.NoError(tb, err)
	w := &world{engine: e, network: network, winners: map[uint64]string{}}
	ids := make([]string, nodes)
	for i := range ids {
		ids[i] = string(rune('A' + i))
	}
	for _, id := range ids {
		w.nodes = append(w.nodes, &node{id: id, world: w, server: e.newServer(id, ids, seed)})
		w.start(id)
	}
	require.NoError(tb, w.err)
	return w
}

func (w *world) node(id string) *node { return w.nodes[id[0]-'A'] }

func (w *world) ids() []string {
	var ids []string
	for _, n := range w.nodes {
		ids = append(ids, n.id)
	}
	return ids
}

// fail notes the first thing that went wrong. The world then stands still.
func (w *world) fail(err error) {
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("at %v: %w", w.now, err)
	}
}

func (w *world) start(id string) {
	n := w.node(id)
	n.up = true
	w.fail(n.server.start(w.now))
}

func (w *world) crash(id string) {
	n := w.node(id)
	n.up, n.saving, n.inbox = false, false, nil
	n.boot++
}

func (w *world) campaign(id string) {
	n := w.node(id)
	n.call(func() error { n.server.campaign(w.now); return nil })
}

func (w *world) transfer(from, to string) {
	n := w.node(from)
	n.call(func() error { n.server.transfer(w.now, to); return nil })
}

// isolate cuts a node off from all others.
func (w *world) isolate(id string) {
	for _, other := range w.ids() {
		if other != id {
			w.network.Cut(id, other)
			w.network.Cut(other, id)
		}
	}
}

// after schedules something.
func (w *world) after(d time.Duration, run func()) {
	w.order++
	heap.Push(&w.events, event{w.now + d, w.order, run})
}

// call calls the server, now or when it has saved.
func (n *node) call(f func() error) {
	switch {
	case !n.up:
	case n.saving:
		n.inbox = append(n.inbox, f)
	default:
		n.world.fail(f())
		n.settle()
	}
}

// settle carries out effects until there are none, or a save is under way.
func (n *node) settle() {
	for !n.saving && n.world.err == nil {
		e, ok, err := n.server.ready()
		n.world.fail(err)
		if !ok || err != nil {
			return
		}
		if e.save == nil {
			n.finish(e)
			continue
		}
		n.saving = true
		boot := n.boot
		n.world.after(saveTime, func() {
			if n.boot == boot {
				e.save()
				n.saving = false
				n.finish(e)
				n.settle()
				n.drain()
			}
		})
	}
}

// finish does what had to wait for the save.
func (n *node) finish(e effects) {
	w := n.world
	for _, f := range e.frames {
		for _, at := range w.network.Send(nil, w.now, n.id, f.to, len(f.data)) {
			to := w.node(f.to)
			w.after(at-w.now, func() { to.call(func() error { return to.server.receive(w.now, f.data) }) })
		}
	}
	e.done()
}

// drain makes the calls that had to wait for a save.
func (n *node) drain() {
	for !n.saving && len(n.inbox) > 0 {
		f := n.inbox[0]
		n.inbox = n.inbox[1:]
		n.call(f)
	}
}

// nextTick returns the node whose deadline comes first, and when that is.
func (w *world) nextTick() (first *node, at time.Duration) {
	at = math.MaxInt64
	for _, n := range w.nodes {
		if n.up && !n.saving {
			if due := n.server.deadline(); due < at {
				first, at = n, due
			}
		}
	}
	return first, max(at, w.now)
}

// step does the next thing, if that is not after limit and nothing is wrong.
func (w *world) step(limit time.Duration) bool {
	n, due := w.nextTick()
	switch {
	case w.err != nil:
		return false
	case len(w.events) > 0 && w.events[0].at <= min(due, limit):
		e := heap.Pop(&w.events).(event)
		w.advance(e.at)
		e.run()
	case n != nil && due <= limit:
		w.advance(due)
		n.server.tick(w.now)
		n.settle()
	default:
		return false
	}
	w.check()
	return true
}

// advance sets the time. Nothing happens in between but that leases end, and
// the end of a lease is a deadline.
func (w *world) advance(to time.Duration) {
	if len(w.leading()) > 1 {
		w.overlap += to - w.now
	}
	w.now = to
}

// check looks for what must never be.
func (w *world) check() {
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		v := n.server.view(w.now)
		if v.term < n.term {
			w.fail(fmt.Errorf("%s is in term %d after %d", n.id, v.term, n.term))
		}
		n.term = v.term
		if !v.won {
			continue
		}
		if winner, found := w.winners[v.term]; found && winner != n.id {
			w.fail(fmt.Errorf("%s leads term %d after %s", n.id, v.term, winner))
		}
		w.winners[v.term] = n.id
	}
	w.overlapped = w.overlapped || len(w.leading()) > 1
}

// leading returns the nodes that believe to lead.
func (w *world) leading() []string {
	var ids []string
	for _, n := range w.nodes {
		if n.up && n.server.view(w.now).leads {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// leaderOf returns which of these nodes leads them all, "" if they do not agree.
func (w *world) leaderOf(ids []string) (leader string, term uint64) {
	first := w.node(ids[0]).server.view(w.now)
	for _, id := range ids {
		v := w.node(id).server.view(w.now)
		if v.leader != first.leader || v.term != first.term {
			return "", 0
		}
	}
	if !slices.Contains(ids, first.leader) || !w.node(first.leader).server.view(w.now).leads {
		return "", 0
	}
	return first.leader, first.term
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	limit := w.now + d
	for w.step(limit) {
	}
	w.advance(limit)
}

// await lets time pass until these nodes agree on a leader of that term or a
// later one, at most d, and reports whether they do.
func (w *world) await(d time.Duration, ids []string, least uint64) bool {
	limit := w.now + d
	for {
		if leader, term := w.leaderOf(ids); leader != "" && term >= least {
			return true
		}
		if !w.step(limit) {
			return false
		}
	}
}

// settled is newWorld and elect, up to an instant drawn from the seed, so that
// what comes next comes anywhere between two heartbeats.
func settled(tb testing.TB, e engine, seed uint64, nodes int) (w *world, leader string, followers []string) {
	tb.Helper()
	w = newWorld(tb, e, seed, nodes)
	leader, followers = w.elect(tb)
	random := rand.New(rand.NewPCG(seed, math.MaxUint64))
	w.run(time.Duration(random.Int64N(int64(500 * ms))))
	return w, leader, followers
}

// elect lets everybody agree on a first leader, and settle for half a second. It
// returns the leader and the others in ID order.
func (w *world) elect(tb testing.TB) (leader string, followers []string) {
	tb.Helper()
	require.True(tb, w.await(10*etMax, w.ids(), 1), "no first leader")
	w.run(500 * ms)
	require.NoError(tb, w.err)
	leader, _ = w.leaderOf(w.ids())
	require.NotEmpty(tb, leader)
	followers = slices.DeleteFunc(w.ids(), func(id string) bool { return id == leader })
	return leader, followers
}
