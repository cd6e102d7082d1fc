package raftdiff

import (
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/faultnet"
)

// who leads in the end.
type who int

const (
	anyone who = iota
	same       // as before
	another
	target // the first of the followers before
	nobody
)

// termIs is what becomes of the term.
type termIs int

const (
	unchanged termIs = iota
	greater
	notLess
)

// script does something to a cluster with leader l and followers f, and returns
// the nodes that are to agree on the outcome.
type script func(w *world, l string, f []string) (agree []string)

// schedule is what is done to a cluster, and what is expected then.
type schedule struct {
	name  string
	nodes int
	// fresh schedules begin when the nodes do, the others under a leader l that
	// everybody, the followers f included, has known for half a second.
	fresh bool
	play  script

	leader who
	term   termIs
	within time.Duration // after play
}

// schedules is the table. It holds for every seed.
func schedules() []schedule {
	const long = 100 * etMax
	return []schedule{
		{"one node starts", 1, true, begin, anyone, greater, 2 * etMax},
		{"three nodes start", 3, true, begin, anyone, greater, 10 * etMax},
		{"five nodes start", 5, true, begin, anyone, greater, 10 * etMax},
		{"two candidates duel", 4, true, duel, anyone, greater, 10 * etMax},

		{"nothing happens", 5, false, wait(long), same, unchanged, 0},
		{"a follower campaigns under a living leader", 3, false, disturb, same, unchanged, etMin},
		{"a voter restarts at once", 3, false, restartVoter, same, unchanged, etMin},
		{"a follower is isolated and returns", 3, false, isolateFollower(long), same, unchanged, etMin},

		{"the leader crashes", 5, false, crash(1), another, greater, 5 * etMax},
		{"two of five crash", 5, false, crash(2), another, greater, 5 * etMax},
		{"three of five crash", 5, false, crash(3), nobody, unchanged, long},
		{"the leader restarts at once", 5, false, restartLeader, anyone, greater, 5 * etMax},
		{"everybody restarts at once", 5, false, restartAll, anyone, greater, 10 * etMax},

		{"the leader is isolated", 5, false, isolateLeader, another, greater, 5 * etMax},
		{"an isolated leader returns", 5, false, isolateLeaderFor(10 * etMax), another, greater, etMin},
		{"a voter restarts as the leader is isolated", 3, false, forgetAndIsolate, another, greater, 5 * etMax},
		{"the leader is in the part of two of five", 5, false, split(2), another, greater, 5 * etMax},
		{"those parts meet again", 5, false, splitFor(2, 10*etMax), another, greater, etMin},
		{"the leader is in the part of three of five", 5, false, split(3), same, unchanged, 0},
		{"those parts meet again, too", 5, false, splitFor(3, long), same, unchanged, etMin},
		{"four are split in halves", 4, false, split(2), nobody, unchanged, long},
		{"the halves meet again", 4, false, splitFor(2, 10*etMax), anyone, greater, 5 * etMax},

		{"one follower cannot hear the leader", 3, false, cutFor(long, false), same, unchanged, etMin},
		{"the leader cannot hear one follower", 3, false, cutFor(long, true), same, unchanged, etMin},
		{"the leader hears nobody", 5, false, deafen, another, greater, 5 * etMax},

		{"the leader transfers", 5, false, transfer, target, greater, heartbeat},
		{"the leader transfers to a dead node", 5, false, transferInVain, same, notLess, 2 * etMax},

		{"a terrible network calms down", 5, false, storm, anyone, notLess, 10 * etMax},
		{"nodes start in a terrible network that calms down", 5, true, storm, anyone, greater, 10 * etMax},
	}
}

func begin(w *world, _ string, _ []string) []string { return w.ids() }

func duel(w *world, _ string, _ []string) []string {
	w.run(etMin)
	w.campaign("A")
	w.campaign("B")
	return w.ids()
}

func wait(d time.Duration) script {
	return func(w *world, _ string, _ []string) []string {
		w.run(d)
		return w.ids()
	}
}

func disturb(w *world, _ string, f []string) []string {
	for range 100 {
		w.campaign(f[0])
		w.run(7 * ms)
	}
	return w.ids()
}

func restartVoter(w *world, _ string, f []string) []string {
	w.crash(f[0])
	w.start(f[0])
	return w.ids()
}

func restartLeader(w *world, l string, _ []string) []string {
	w.crash(l)
	w.start(l)
	return w.ids()
}

func restartAll(w *world, _ string, _ []string) []string {
	for _, id := range w.ids() {
		w.crash(id)
		w.start(id)
	}
	return w.ids()
}

func isolateFollower(d time.Duration) script {
	return func(w *world, _ string, f []string) []string {
		w.isolate(f[0])
		w.run(d)
		w.network.Heal()
		return w.ids()
	}
}

// crash ends the leader and some followers, n nodes in all.
func crash(n int) script {
	return func(w *world, l string, f []string) []string {
		w.crash(l)
		for _, id := range f[:n-1] {
			w.crash(id)
		}
		return f[n-1:]
	}
}

func isolateLeader(w *world, l string, f []string) []string {
	w.isolate(l)
	return f
}

func isolateLeaderFor(d time.Duration) script {
	return func(w *world, l string, _ []string) []string {
		w.isolate(l)
		w.run(d)
		w.network.Heal()
		return w.ids()
	}
}

// forgetAndIsolate isolates the leader from a voter that no longer knows it.
func forgetAndIsolate(w *world, l string, f []string) []string {
	restartVoter(w, l, f)
	return isolateLeader(w, l, f)
}

// split leaves the leader with some followers, n nodes in all. The greater part
// is to agree.
func split(n int) script {
	return func(w *world, l string, f []string) []string {
		with, without := append([]string{l}, f[:n-1]...), f[n-1:]
		w.network.Partition(with, without)
		if len(with) > len(without) {
			return with
		}
		return without
	}
}

func splitFor(n int, d time.Duration) script {
	return func(w *world, l string, f []string) []string {
		split(n)(w, l, f)
		w.run(d)
		w.network.Heal()
		return w.ids()
	}
}

// cutFor cuts one way between the leader and one follower.
func cutFor(d time.Duration, toLeader bool) script {
	return func(w *world, l string, f []string) []string {
		from, to := l, f[0]
		if toLeader {
			from, to = to, from
		}
		w.network.Cut(from, to)
		w.run(d)
		w.network.Heal()
		return w.ids()
	}
}

func deafen(w *world, l string, f []string) []string {
	for _, id := range f {
		w.network.Cut(id, l)
	}
	return f
}

func transfer(w *world, l string, f []string) []string {
	w.transfer(l, f[0])
	return w.ids()
}

func transferInVain(w *world, l string, f []string) []string {
	w.crash(f[0])
	w.transfer(l, f[0])
	return append([]string{l}, f[1:]...)
}

// storm loses, doubles and reorders messages, and ends when the last of them
// must have arrived.
func storm(w *world, _ string, _ []string) []string {
	w.fail(w.network.SetFaults(faultnet.Faults{LatencyMax: etMax, Loss: 300, Duplication: 300, Reordering: 300}))
	w.run(50 * etMax)
	w.fail(w.network.SetFaults(calm()))
	w.run(2 * etMax)
	return w.ids()
}

// TestSchedules runs every line of the table on both.
func TestSchedules(t *testing.T) {
	for _, tt := range schedules() {
		for _, e := range engines() {
			for seed := range uint64(5) {
				t.Run(fmt.Sprintf("%s/%s/%d", tt.name, e.name, seed), func(t *testing.T) {
					cryptotest.SetGlobalRandom(t, seed) // The peer draws its timeouts there.
					w := newWorld(t, e, seed, tt.nodes)
					tt.check(t, w)
					require.False(t, e.exclusive && w.overlapped, "two have led at once")
				})
			}
		}
	}
}

// check runs the schedule in a new world.
func (s *schedule) check(t *testing.T, w *world) {
	t.Helper()
	var old string
	var followers []string
	before := uint64(0)
	if !s.fresh {
		old, followers = w.elect(t)
		_, before = w.leaderOf(w.ids())
	}
	agree := s.play(w, old, followers)
	if s.leader == nobody {
		w.run(s.within)
		require.NoError(t, w.err)
		require.Empty(t, w.leading())
		for _, id := range agree {
			s.checkTerm(t, before, w.node(id).server.view(w.now).term)
		}
		return
	}
	least := before
	if s.term == greater {
		least++
	}
	found := w.await(s.within, agree, least)
	require.NoError(t, w.err)
	require.True(t, found, "no leader in time")
	leader, term := w.leaderOf(agree)
	switch s.leader {
	case same:
		require.Equal(t, old, leader)
	case another:
		require.NotEqual(t, old, leader)
	case target:
		require.Equal(t, followers[0], leader)
	default:
	}
	s.checkTerm(t, before, term)

	w.run(10 * etMax)
	require.NoError(t, w.err)
	later, laterTerm := w.leaderOf(agree)
	require.Equal(t, leader, later, "it does not stay")
	require.Equal(t, term, laterTerm, "it does not stay")
	require.Equal(t, []string{leader}, w.leading())
}

func (s *schedule) checkTerm(t *testing.T, before, after uint64) {
	t.Helper()
	switch s.term {
	case unchanged:
		require.Equal(t, before, after)
	case greater:
		require.Greater(t, after, before)
	default:
		require.GreaterOrEqual(t, after, before)
	}
}
