package raft

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logHistory is a random history of a cluster that keeps a log: a network that
// loses, doubles and reorders, slow disks and applications, crashes that lose what
// is not durable, cuts, transfers and snapshots. At the end all is well for a while.
type logHistory struct {
	c     *cluster
	seed  uint64
	count int  // of commands
	rots  bool // what was written last may be unreadable to the next process
}

func newLogHistory(t *testing.T, seed uint64, n int, off func(*server)) *logHistory {
	t.Helper()
	c := &cluster{t: t, logs: true, oracle: newOracle(), random: rand.New(rand.NewPCG(seed, 1))}
	c.tolerant = off != nil
	for _, m := range voters(n) {
		cfg := testConfig(m.ID, voters(n)...)
		cfg.MaxAppend = MaxMessageSize
		c.add(cfg, seed)
	}
	for _, s := range c.servers {
		if off != nil {
			s.off = off
			off(s)
		}
	}
	h := &logHistory{c: c, seed: seed}
	c.deliver = h.deliver
	return h
}

// deliver is a bad network.
func (h *logHistory) deliver(m Message) (time.Duration, bool) {
	r := h.c.random
	if r.IntN(12) == 0 {
		h.c.at(h.delay(), func() { h.c.receive(m) })
	}
	return h.delay(), r.IntN(12) > 0
}

// delay is short as a rule, and now and then longer than a round of heartbeats.
func (h *logHistory) delay() time.Duration {
	most := 8 * ms
	if h.c.random.IntN(10) == 0 {
		most = 120 * ms
	}
	return time.Duration(h.c.random.Int64N(int64(most)))
}

// any returns a server that runs, if there is one.
func (h *logHistory) any() *server {
	s := h.c.servers[h.c.random.IntN(len(h.c.servers))]
	if !s.up || s.paused || s.saving {
		return nil
	}
	return s
}

// propose has each server that takes itself for the leader propose something.
func (h *logHistory) propose() {
	for _, s := range h.c.servers {
		if !s.up || s.core.Role() != Leader {
			continue
		}
		for range 1 + h.c.random.IntN(3) {
			h.count++
			_ = s.propose(fmt.Sprintf("%0*d", 1+h.c.random.IntN(600), h.count))
		}
	}
}

// misfortune has something happen to a server.
func (h *logHistory) misfortune() {
	c, r := h.c, h.c.random
	s := h.any()
	switch r.IntN(13) {
	case 0, 1:
		if s != nil {
			s.crash()
		}
	case 2, 3:
		for _, s := range c.servers {
			if !s.up {
				h.rot(s)
				s.start()
				break
			}
		}
	case 4:
		id := string(rune('A' + r.IntN(len(c.servers))))
		c.deliver = func(m Message) (time.Duration, bool) {
			after, ok := h.deliver(m)
			return after, ok && m.From != id && m.To != id
		}
	case 5, 6:
		c.deliver = h.deliver
	case 7:
		if s != nil {
			s.log.takes, s.log.slow = time.Duration(r.Int64N(int64(80*ms))), time.Duration(r.Int64N(int64(20*ms)))
		}
	case 8:
		if s != nil {
			to := string(rune('A' + r.IntN(len(c.servers))))
			_ = s.try(func(now time.Duration) (Effects, error) { return s.core.Transfer(now, to) })
		}
	default:
		if s != nil {
			s.snapshot()
		}
	}
}

// run lets the history go on for so many steps, until an oracle breaks.
func (h *logHistory) run(steps int) {
	for range steps {
		h.c.run(time.Duration(h.c.random.Int64N(int64(60 * ms))))
		if len(h.c.oracle.broken) > 0 {
			return
		}
		if h.c.random.IntN(3) == 0 {
			h.misfortune()
		} else {
			h.propose()
		}
	}
}

// settle has all be well, and requires that everybody has everything then.
func (h *logHistory) settle() {
	c := h.c
	c.t.Helper()
	c.heal()
	for _, s := range c.servers {
		s.log.takes, s.log.slow = ms, 0
		if !s.up {
			s.start()
		}
	}
	c.run(600 * ms) // A lease that was about to lapse has.
	c.runUntil(3*time.Second, func() bool {
		return c.leader() != nil && c.agree() && c.leader().propose("last") == nil
	})
	end := c.leader().core.log.last().Index
	c.runUntil(20*time.Second, func() bool { // Disks may be far behind.
		return !slices.ContainsFunc(c.servers, func(s *server) bool { return uint64(len(s.log.applied)) < end })
	})
	all := c.servers[0].commands()
	require.Equal(c.t, "last", all[len(all)-1])
	for _, s := range c.servers {
		require.Equal(c.t, all, s.commands(), "%s of seed %d", s.cfg.ID, h.seed)
	}
}

// Whatever happens, no two servers apply different entries, who leads has all that
// is committed, and in the end everybody has the same.
func TestAnyLogHistory(t *testing.T) {
	committed, chunks := 0, 0
	seeds := Share(20)
	if long, err := strconv.Atoi(os.Getenv("CONSTELLATION_LONG")); err == nil {
		seeds = long * 1_000
	}
	for seed := range uint64(seeds) {
		h := newLogHistory(t, seed, 3+2*int(seed%2), nil)
		h.run(120)
		h.settle()
		committed += len(h.c.oracle.log.committed)
		chunks += len(h.c.sentSince(0, InstallSnapshot))
	}
	t.Logf("%d entries, %d chunks of snapshots", committed, chunks)
	require.Greater(t, committed, seeds*20)
	if !RaceEnabled { // A few seeds need not have snapshots.
		require.Greater(t, chunks, seeds)
	}
}

// Each rule of the log that random histories can catch is switched off here.
func TestLogHistoryNegativeControls(t *testing.T) {
	tests := []struct {
		rule    string
		off     func(f *faults)
		oracles string
		seed    uint64 // the first that notices, so that the search is short
	}{
		{"rule 25: no vote for a log that lacks something", func(f *faults) { f.voteForShorterLogs = true }, "O13", 0},
		{"rule 27: a reign begins with its start applied", func(f *faults) { f.reignBeforeStart = true }, "O15", 0},
		{"rule 28: the leader counts what it has saved", func(f *faults) { f.countUnsaved = true }, "O12 O13", 62},
		{"rule 28: a follower answers what it has saved", func(f *faults) { f.answerUnsaved = true }, "O12 O13", 53},
		{"rule 28: commit what is known to be the leader's", func(f *faults) { f.commitUnverified = true }, "O12 O13", 10},
		{"rule 29: entries follow what the leader has", func(f *faults) { f.appendUnchecked = true }, "O12 O13 O14", 46},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			for seed := tt.seed; seed < tt.seed+2_000; seed++ {
				h := newLogHistory(t, seed, 3, func(s *server) { tt.off(&s.core.faults) })
				h.run(120)
				if broken := h.c.oracle.broken; len(broken) > 0 {
					t.Logf("seed %d: %s", seed, broken[0])
					require.Contains(t, tt.oracles, strings.SplitN(broken[0], ":", 2)[0])
					return
				}
			}
			t.Fatal("no history has noticed")
		})
	}
}
