package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSplitTwoThree(t *testing.T) {
	c := newCluster(t, 5)
	l := c.electThat("A")
	term := l.core.Term()
	c.cut("AB", "CDE", false)
	c.run(10 * 300 * ms)
	next := c.leader()
	require.NotNil(t, next)
	require.Contains(t, "CDE", next.cfg.ID)
	require.Greater(t, next.core.Term(), term)
	c.heal()
	c.run(2 * 300 * ms)
	require.True(t, c.agree())
	require.Same(t, next, c.leader())
}

func TestSplitTwoTwo(t *testing.T) {
	c := newCluster(t, 4)
	l := c.electThat("A")
	term := l.core.Term()
	c.cut("AB", "CD", false)
	c.run(100 * 300 * ms)
	require.Nil(t, c.leader())
	require.Len(t, c.oracle.leaders, 1)
	for _, s := range c.servers {
		require.Equal(t, term, s.core.Term())
	}
	c.heal()
	c.elect()
}

func TestOneWayCut(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.cut("A", "C", true)
	c.run(100 * 300 * ms)
	require.Same(t, l, c.leader())
	require.EqualValues(t, 1, l.core.Term())
	require.Positive(t, c.server("C").core.Counters().PreCampaigns)
}

func TestTerribleNetwork(t *testing.T) {
	for seed := range uint64(2) {
		c := newClusterOf(t, seed, voters(5)...)
		c.deliver = func(m Message) (time.Duration, bool) {
			delay := func() time.Duration {
				if c.random.IntN(4) > 0 {
					return ms
				}
				return time.Duration(c.random.Int64N(int64(600 * ms)))
			}
			if c.random.IntN(10) < 3 {
				c.at(delay(), func() { c.receive(m) })
			}
			return delay(), c.random.IntN(10) >= 3
		}
		c.run(time.Duration(Share(1000)) * 300 * ms)
		c.heal()
		c.run(600 * ms) // Until what is in flight has arrived.
		l := c.elect()
		c.run(20 * 300 * ms)
		require.Same(t, l, c.leader())
	}
}

func TestSlowVotes(t *testing.T) {
	for seed := range uint64(5) {
		c := newClusterOf(t, seed, voters(5)...)
		c.deliver = func(m Message) (time.Duration, bool) {
			slowRequest := m.Kind == VoteRequest && (m.To == "D" || m.To == "E")
			slowAnswer := m.Kind == VoteAnswer && m.From <= "C"
			if seed%2 == 0 && slowRequest || seed%2 == 1 && slowAnswer {
				return 300*ms + time.Duration(c.random.Int64N(int64(300*ms))), true
			}
			return ms, true
		}
		c.runUntil(200*300*ms, func() bool { return c.leader() != nil })
	}
}

func TestRepeatedPartitions(t *testing.T) {
	c := newCluster(t, 5)
	for range 10 {
		l := c.elect()
		lost := l.cfg.ID
		if c.random.IntN(2) > 0 {
			lost += c.servers[c.random.IntN(5)].cfg.ID
		}
		c.cut(lost, "ABCDE", false)
		c.run(10 * 300 * ms)
		c.heal()
	}
	l := c.elect()
	c.run(20 * 300 * ms)
	require.Same(t, l, c.leader())
}

func TestCandidateConcedes(t *testing.T) {
	c := newCluster(t, 3)
	c.isolate("A")
	a := c.server("A").core
	a.electionAt = 151 * ms
	c.runUntil(10*300*ms, func() bool { return c.leader() != nil })
	require.Equal(t, PreCandidate, a.Role())
	l := c.leader()
	c.heal()
	c.run(100 * ms)
	require.Equal(t, Follower, a.Role())
	require.Equal(t, l.cfg.ID, a.Leader())
	require.Equal(t, l.core.Term(), a.Term())

	// So does a candidate of the same term.
	s := newSolo(t, 3)
	s.campaignNow()
	require.True(t, s.asked(s.from("B", Heartbeat, s.Term())))
	require.Equal(t, Follower, s.Role())
	require.Equal(t, "A", s.hard.Vote)
}
