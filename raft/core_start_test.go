package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneVoterLeads(t *testing.T) {
	c := newCluster(t, 1)
	c.run(2 * 300 * ms)
	require.Same(t, c.server("A"), c.leader())
	require.EqualValues(t, 1, c.server("A").led)
	require.EqualValues(t, 1, c.server("A").disk.State.Term)
	require.Equal(t, "A", c.server("A").disk.State.Vote)
	require.Empty(t, c.sent)
	c.run(10 * 300 * ms)
	require.EqualValues(t, 1, c.server("A").led, "the reign goes on")
}

func TestFreshNodeFollows(t *testing.T) {
	c := newCluster(t, 3)
	for _, s := range c.servers {
		require.Equal(t, Follower, s.core.Role())
		require.Empty(t, s.core.Leader())
		require.Zero(t, s.core.Term())
	}
	require.Empty(t, c.sent)
}

func TestExactlyOneLeader(t *testing.T) {
	for _, n := range []int{3, 5, 7} {
		c := newCluster(t, n)
		c.run(10 * 300 * ms)
		require.True(t, c.agree(), "n=%d", n)
	}
}

func TestMajorityOfThree(t *testing.T) {
	c := newCluster(t, 3)
	c.server("C").crash()
	c.elect()
	c = newCluster(t, 3)
	c.server("B").crash()
	c.server("C").crash()
	c.run(100 * 300 * ms)
	require.Empty(t, c.oracle.leaders)
}

func TestMajorityOfFourAndFive(t *testing.T) {
	c := newCluster(t, 4)
	c.server("C").crash()
	c.server("D").crash()
	c.run(100 * 300 * ms)
	require.Empty(t, c.oracle.leaders)
	c = newCluster(t, 5)
	c.server("D").crash()
	c.server("E").crash()
	c.elect()
}

func TestEachInTurnCampaigns(t *testing.T) {
	c := newCluster(t, 3)
	term := c.elect().core.Term()
	for _, id := range []string{"A", "B", "C", "A"} {
		s := c.server(id)
		if s == c.leader() {
			continue
		}
		err := s.try(s.core.Campaign)
		require.ErrorIs(t, err, ErrLeaderAlive)
		var bound *MemberError
		require.ErrorAs(t, err, &bound)
		require.Equal(t, c.leader().cfg.ID, bound.ID)

		// Silence for the minimal election timeout frees them all.
		c.deliver = loseAll
		for _, o := range c.servers {
			o.core.electionAt = Never
			if o.core.Role() == Leader {
				o.perform(o.core.StepDown(o.local()))
				o.core.electionAt = Never
			}
		}
		c.run(151 * ms)
		c.heal()
		require.NoError(t, s.try(s.core.Campaign))
		c.runUntil(10*ms, func() bool { return s.reigns() && c.agree() })
		require.Greater(t, s.core.Term(), term)
		term = s.core.Term()
	}
}

func TestLeaderCrashes(t *testing.T) {
	c := newCluster(t, 5)
	old := c.elect()
	term := old.core.Term()
	old.crash()
	next := c.elect()
	require.NotSame(t, old, next)
	require.Greater(t, next.core.Term(), term)
}

func TestHeartbeatsLeaveInTheWinningStep(t *testing.T) {
	c := newCluster(t, 3)
	before := 0
	c.runUntil(10*300*ms, func() bool {
		if c.leader() != nil {
			return true
		}
		before = len(c.sent)
		return false
	})
	require.Len(t, c.sentSince(before, Heartbeat), 2)
	require.Len(t, c.sent[before:], 2)
}

func TestHeartbeatToEachMemberEachInterval(t *testing.T) {
	c := newClusterOf(t, 1, append(voters(3), Member{ID: "D"})...)
	l := c.elect()
	c.run(50 * ms)
	before := len(c.sent)
	c.run(500 * ms)
	to := map[string]int{}
	for _, m := range c.sentSince(before, Heartbeat) {
		require.Equal(t, l.cfg.ID, m.From)
		to[m.To]++
	}
	require.Len(t, to, 3)
	require.NotContains(t, to, l.cfg.ID)
	for id, n := range to {
		require.Equal(t, 10, n, id)
	}
}
