package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsolatedNodeKeepsItsTerm(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	term := l.core.Term()
	c.isolate("C")
	c.run(100 * 300 * ms)
	require.Equal(t, term, c.server("C").core.Term())
	require.Positive(t, c.server("C").core.Counters().PreCampaigns)
	c.heal()
	c.run(2 * 300 * ms)
	require.Same(t, l, c.leader())
	require.True(t, c.agree())
	require.Equal(t, term, l.core.Term())
}

func TestPreVoteChangesNothing(t *testing.T) {
	for _, be := range []func(*solo){
		func(*solo) {}, (*solo).campaignNow, (*solo).win,
		func(s *solo) { s.electionAt = s.now; s.wait(0) },
		func(s *solo) { s.step(s.from("C", Heartbeat, 3)) },
		func(s *solo) { s.asked(s.from("C", VoteRequest, 3)) },
	} {
		for _, term := range []uint64{1, 3, 4, 9} {
			s := newSolo(t, 3)
			be(s)
			s.unchanged(s.from("B", PreVoteRequest, term))
		}
	}
}

func TestRefusedWhileTheLeaderIsHeard(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 1))
	s.electionAt = Never
	s.now += 150*ms - 1
	require.False(t, s.asked(s.from("B", PreVoteRequest, 2)))
	s.now++
	require.True(t, s.asked(s.from("B", PreVoteRequest, 2)))
}

func TestSplitPreVote(t *testing.T) {
	c := newCluster(t, 2)
	for _, s := range c.servers {
		s.core.electionAt = 200 * ms
	}
	c.run(202 * ms)
	for _, s := range c.servers {
		require.Equal(t, Candidate, s.core.Role(), "each got the other's pre-vote")
	}
	c.elect()
	require.Greater(t, c.leader().core.Term(), uint64(1))
}

func TestPreCandidateBehindInLog(t *testing.T) {
	s := newSolo(t, 3)
	s.log = logUpTo(Position{2, 2})
	m := s.from("B", PreVoteRequest, 1)
	m.Last = Position{2, 1}
	s.unchanged(m)
	require.False(t, s.last.Messages[0].Granted)

	// Refused by a majority, it follows and does not raise its term.
	s.electionAt = s.now
	s.wait(0)
	for _, id := range []string{"B", "C"} {
		a := s.from(id, PreVoteAnswer, 0)
		a.Sequence = s.campaign.sequence
		s.step(a)
	}
	require.Equal(t, Follower, s.Role())
	require.Zero(t, s.Term())
}

// Rule 6: stale grants never count, for answers echo the sequence number.
func TestStalePreVotesDoNotCount(t *testing.T) {
	s := newSolo(t, 3)
	s.electionAt = s.now
	s.wait(0)
	stale := s.from("B", PreVoteAnswer, 0)
	stale.Sequence, stale.Granted = s.campaign.sequence, true
	s.electionAt = s.now + 200*ms
	s.wait(200 * ms)
	require.Equal(t, PreCandidate, s.Role())
	s.unchanged(stale)
}

// Rule 6: a refusal carries the higher term, which the pre-candidate adopts.
func TestRefusedPreVoteCarriesTheHigherTerm(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 5))
	s.now += 200 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("B", PreVoteRequest, 5)))
	require.EqualValues(t, 5, s.last.Messages[0].Term)
	require.True(t, s.asked(s.from("B", PreVoteRequest, 6)))
}

// Rule 6: becoming pre-candidate forgets the leader, not the promise.
func TestPreCandidateForgetsTheLeaderNotThePromise(t *testing.T) {
	s := newSolo(t, 3)
	m := s.from("B", Heartbeat, 1)
	m.Promise = 10 * 150 * ms
	s.step(m)
	promised := s.promise
	require.Equal(t, "B", s.Leader())
	s.electionAt = s.now + 200*ms // Before the promise is over.
	s.wait(200 * ms)
	require.Empty(t, s.Leader())
	require.Equal(t, promised, s.promise)
	require.Equal(t, Follower, s.Role(), "bound")
	require.GreaterOrEqual(t, s.electionAt, promised.until)
}

func TestGrantEndsThePreCampaign(t *testing.T) {
	s := newSoloOf(t, testConfig("B", voters(3)...))
	s.step(s.from("A", HeartbeatAnswer, 4)) // Term 4, no vote in it.
	s.electionAt = s.now
	s.wait(0)
	require.Equal(t, PreCandidate, s.Role())
	late := s.from("A", PreVoteAnswer, 4)
	late.Sequence, late.Granted = s.campaign.sequence, true

	require.True(t, s.asked(s.from("C", VoteRequest, 4)))
	require.Equal(t, Follower, s.Role())
	s.now += ms
	s.unchanged(late)
	require.EqualValues(t, 4, s.Term())
	s.now += 148 * ms
	s.wait(0)
	require.Equal(t, Follower, s.Role())
}
