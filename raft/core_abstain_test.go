package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Rule 22: a node that abstains does not begin a campaign, neither of its own nor
// for a leader that hands over, and follows and votes like any other.
func TestAbstainingNodeStandsForNobody(t *testing.T) {
	s := newSolo(t, 3)
	s.abstains = true
	_, err := s.Campaign(s.now)
	require.ErrorIs(t, err, ErrUnfit)
	s.electionAt = s.now
	s.wait(0)
	require.Equal(t, Follower, s.Role())
	require.Len(t, s.sent(PreVoteRequest), 2, "it shows its configuration")
	require.Greater(t, s.electionAt, s.now, "it looks again after another timeout")

	s.step(s.from("B", Heartbeat, 1))
	require.True(t, s.sent(HeartbeatAnswer)[0].Abstains)
	require.True(t, s.sent(HeartbeatAnswer)[0].Granted)
	s.unchanged(s.from("B", TimeoutNow, 1))
	require.Empty(t, s.last.Messages)

	s.wait(s.cfg.ElectionTimeoutMin)
	require.True(t, s.asked(s.from("C", VoteRequest, 2)))
	require.False(t, s.sent(VoteAnswer)[0].Abstains, "it is for leaders only")
	s.abstains = false
	s.step(s.from("C", Heartbeat, 2))
	require.False(t, s.sent(HeartbeatAnswer)[0].Abstains)
}

// Rule 22: who begins to abstain during a pre-campaign does not go on to ask for
// votes.
func TestAbstentionEndsThePreCampaign(t *testing.T) {
	s := newSolo(t, 3)
	s.electionAt = s.now
	s.wait(0)
	require.Equal(t, PreCandidate, s.Role())
	s.abstains = true
	s.answerAll(PreVoteAnswer, s.Term())
	require.Equal(t, Follower, s.Role())
	require.Zero(t, s.Term())
}

// Rule 22: nobody hands over to a voter whose latest answer says that it
// abstains. What it said in an earlier term is forgotten.
func TestResignPassesOverTheAbstaining(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	s.confirm()
	late := s.heartbeatAnswer("B")
	s.wait(s.cfg.HeartbeatInterval)
	s.step(s.heartbeatAnswer("C"))
	abstains := s.heartbeatAnswer("B")
	abstains.Abstains = true
	s.step(abstains)
	s.step(late)
	_, err := s.Transfer(s.now, "B")
	require.ErrorIs(t, err, ErrUnfit)
	to, found := s.successor()
	require.True(t, found)
	require.Equal(t, "C", to)

	abstains = s.heartbeatAnswer("C")
	abstains.Abstains = true
	s.step(abstains)
	require.False(t, s.awaitsSuccessor(""))
	alone := &solo{Core: s.clone(), t: t, now: s.now}
	e, err := alone.Resign(alone.now)
	require.NoError(t, err)
	require.Empty(t, e.Messages)
	require.Equal(t, Follower, alone.Role())

	s.StepDown(s.now)
	s.wait(s.cfg.ElectionTimeoutMin)
	s.win()
	_, found = s.successor()
	require.True(t, found)
}

// A member that abstains does not become worth waiting for by a new configuration
// that it has yet to take in.
func TestAbstainingMemberIsNotAwaited(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	s.confirm()
	for _, id := range []string{"B", "C"} {
		abstains := s.heartbeatAnswer(id)
		abstains.Abstains = true
		s.step(abstains)
	}
	_, err := s.AddMember(s.now, Member{ID: "L"})
	require.NoError(t, err)
	require.False(t, s.awaitsSuccessor(""))
	s.peers[1].abstains = false
	require.True(t, s.awaitsSuccessor(""))
}
