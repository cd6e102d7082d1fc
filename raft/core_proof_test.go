package raft

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rot has the end of a log be unreadable, perhaps: it was torn and never answered for,
// or it was durable and is lost, which happens to one server at a time.
func (h *logHistory) rot(s *server) {
	if !h.rots || h.c.random.IntN(2) == 0 {
		return
	}
	behind := slices.IndexFunc(s.log.entries, func(e Entry) bool { return e.Index > s.log.snapshot.Last.Index })
	lose := 0
	if behind >= 0 {
		lose = min(h.c.random.IntN(4), len(s.log.entries)-behind)
	}
	for _, other := range h.c.servers {
		if other.log.unproven || other.up && other.core.log.unproven {
			lose = 0
		}
	}
	s.log.unproven = true
	s.log.entries = s.log.entries[:len(s.log.entries)-lose]
}

func newRottenHistory(t *testing.T, seed uint64, n int, off func(*server)) *logHistory {
	t.Helper()
	h := newLogHistory(t, seed, n, off)
	h.rots = true
	return h
}

// Whatever end of its log a member has lost, what is committed stays.
func TestAnyRottenHistory(t *testing.T) {
	for seed := range uint64(Share(20)) {
		h := newRottenHistory(t, seed, 3+2*int(seed%2), nil)
		h.run(120)
		h.settle()
		for _, s := range h.c.servers {
			require.False(t, s.core.log.unproven, "seed %d: %s", seed, s.cfg.ID)
		}
	}
}

func TestRottenHistoryNegativeControl(t *testing.T) {
	for seed := range uint64(1_000) {
		h := newRottenHistory(t, seed, 3, func(s *server) { s.core.faults.trustUnproven = true })
		h.run(120)
		if broken := h.c.oracle.broken; len(broken) > 0 {
			t.Logf("seed %d: %s", seed, broken[0])
			require.Contains(t, "O12 O13", strings.SplitN(broken[0], ":", 2)[0])
			return
		}
	}
	t.Fatal("no history has noticed")
}

// A log is proven by a leader that knows the process. What was sent to the one before
// may be older than what that has answered for: B has answered A for entry 3 and lost
// it, and hears what A has sent before that.
func TestRottenLogIsProvenByWhatIsNew(t *testing.T) {
	schedule := func(off func(*server)) *cluster {
		c := newClusterWithLogs(t, 1, off, []uint64{1}, []uint64{1}, []uint64{1})
		a, b := c.standsUntilWon("A"), c.server("B")
		c.run(100 * ms)
		c.deliver = func(m Message) (time.Duration, bool) {
			return ms, m.From != "C" && m.To != "C" && m.From != "B"
		}
		require.NoError(t, a.propose("x"))
		c.run(20 * ms)
		require.Len(t, b.log.entries, 3)
		b.crash()
		b.log.entries, b.log.unproven = b.log.entries[:2], true
		b.start()
		late := func(to string, is func(m Message) bool) {
			for _, m := range c.sent {
				if m.To == to && is(m) {
					c.receive(m)
					return
				}
			}
			t.Fatal("it was not sent")
		}
		late("B", func(m Message) bool { return m.Kind == Append && len(m.Entries) > 0 && m.Entries[0].Index == 2 })
		late("B", func(m Message) bool { return m.Kind == Heartbeat && m.Commit == 2 })
		late("A", func(m Message) bool { return m.From == "B" && m.Match == 3 })
		require.EqualValues(t, 3, a.core.log.commit)
		a.crash()
		c.deliver = nil
		c.run(2 * time.Second)
		return c
	}
	on := schedule(nil)
	require.Empty(t, on.oracle.broken)
	require.Nil(t, on.leader())
	off := schedule(func(s *server) { s.core.faults.proveByAnyAppend = true })
	require.Contains(t, strings.Join(off.oracle.broken, "\n"), "O13")
}

// B has lost what A and B had on disk, and A is away: B's vote elects nobody who lacks
// it. When A is back B is brought it, and then its vote counts as any.
func TestVoteOfARottenLog(t *testing.T) {
	c := newClusterWithLogs(t, 1, nil, []uint64{1, 1}, []uint64{1, 1}, []uint64{1})
	a, b := c.server("A"), c.server("B")
	a.crash()
	b.crash()
	b.log.entries, b.log.unproven = b.log.entries[:1], true
	b.start()
	c.run(2 * time.Second)
	require.Nil(t, c.leader(), "neither B nor C has all of it")
	require.Greater(t, c.server("B").core.Counters().PreCampaigns+c.server("C").core.Counters().PreCampaigns, uint64(2))

	a.start()
	c.runUntil(3*time.Second, func() bool { return c.leader() != nil })
	c.run(500 * ms)
	require.Equal(t, "A", c.leader().cfg.ID, "it has the longest log, and all have voted")
	require.False(t, b.core.log.unproven, "heartbeats alone have proven it")
	require.True(t, b.log.unproven, "but nothing was written since")
	require.NoError(t, a.propose("x"))
	c.run(100 * ms)
	require.False(t, b.log.unproven)
	a.crash()
	c.runUntil(3*time.Second, func() bool { return c.leader() != nil })
	require.Equal(t, c.server("B").core.log.last(), c.server("C").core.log.last())
}

// When all lose their power while they write, nobody's log is known to be whole. All
// together they have a leader all the same.
func TestTornLogsOfAllMembers(t *testing.T) {
	c := newClusterWithLogs(t, 1, nil, []uint64{1, 1}, []uint64{1}, []uint64{1})
	for _, s := range c.servers {
		s.crash()
		s.log.unproven = true
	}
	for _, s := range c.servers {
		s.start()
	}
	c.runUntil(3*time.Second, func() bool { return c.leader() != nil })
	require.Equal(t, "A", c.leader().cfg.ID)
	c.run(500 * ms)
	for _, s := range c.servers {
		require.False(t, s.core.log.unproven, s.cfg.ID)
	}
}
