package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// One test for each sentence of figure 2 of "In Search of an Understandable
// Consensus Algorithm" (Ongaro and Ousterhout, 2014) that is about elections.
// Where the rules of this package ask for more, the test says which.

// "currentTerm: latest term server has seen (initialized to 0 on first boot,
// increases monotonically)".
func TestFigure2_CurrentTermStartsAtZeroAndIncreases(t *testing.T) {
	s := newSolo(t, 3)
	require.Zero(t, s.Term())
	for _, term := range []uint64{3, 2, 7, 1, 7} {
		before := s.Term()
		s.step(s.from("B", Heartbeat, term))
		require.Equal(t, max(before, term), s.Term())
	}
}

// "votedFor: candidateId that received vote in current term (or null if none)".
func TestFigure2_VotedForIsOfTheCurrentTerm(t *testing.T) {
	s := newSolo(t, 3)
	require.Empty(t, s.State().Vote)
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
	require.Equal(t, "B", s.State().Vote)
	s.step(s.from("C", Heartbeat, 2))
	require.Empty(t, s.State().Vote)
}

// "(Updated on stable storage before responding to RPCs)". Effects are carried
// out in order; rule 12.
func TestFigure2_StableStorageBeforeResponding(t *testing.T) {
	s := newSolo(t, 3)
	for _, m := range []Message{s.from("B", VoteRequest, 1), s.from("C", Heartbeat, 2)} {
		s.step(m)
		require.True(t, s.last.Save)
		require.Equal(t, m.Term, s.last.State.Term)
		require.True(t, s.last.State.Equal(s.State()))
		require.Len(t, s.last.Messages, 1)
	}
}

// AppendEntries, "Reply false if term < currentTerm".
func TestFigure2_AppendEntriesOfALowerTermIsRefused(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 2))
	require.False(t, s.asked(s.from("C", Heartbeat, 1)))
}

// RequestVote, "Reply false if term < currentTerm".
func TestFigure2_RequestVoteOfALowerTermIsRefused(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 2))
	require.False(t, s.asked(s.from("C", VoteRequest, 1)))
}

// RequestVote, "If votedFor is null or candidateId, and candidate's log is at
// least as up-to-date as receiver's log, grant vote". Rule 1: if it is free.
func TestFigure2_VoteIsGrantedOnceAndToAnUpToDateLog(t *testing.T) {
	tests := []struct {
		vote    string
		mine    Position
		granted bool
	}{
		{"", Position{}, true},
		{"B", Position{}, true},
		{"C", Position{}, false},
		{"", Position{1, 1}, false},
	}
	for _, tt := range tests {
		s := newSolo(t, 3)
		s.hard.Term, s.hard.Vote, s.log = 1, tt.vote, logUpTo(tt.mine)
		require.Equal(t, tt.granted, s.asked(s.from("B", VoteRequest, 1)))
	}
}

// All servers, "If RPC request or response contains term T > currentTerm: set
// currentTerm = T, convert to follower". Rule 1: a vote request does so only
// while no promise runs; rule 6: a pre-vote request never does.
func TestFigure2_HigherTermConvertsToFollower(t *testing.T) {
	for _, kind := range []MessageKind{VoteRequest, VoteAnswer, PreVoteAnswer, Heartbeat, HeartbeatAnswer} {
		s := newSolo(t, 3)
		s.campaignNow()
		if kind == VoteRequest {
			s.electionAt = Never
			s.now += 150 * ms
		}
		s.step(s.from("B", kind, 9))
		require.Equal(t, Follower, s.Role(), kind)
		require.EqualValues(t, 9, s.Term())
	}
}

// Followers, "Respond to RPCs from candidates and leaders".
func TestFigure2_FollowersRespond(t *testing.T) {
	s := newSolo(t, 3)
	for _, kind := range []MessageKind{PreVoteRequest, VoteRequest, Heartbeat} {
		s.step(s.from("B", kind, 1))
		require.Len(t, s.sent(kind+1), 1)
	}
}

// Followers, "If election timeout elapses without receiving AppendEntries RPC
// from current leader or granting vote to candidate: convert to candidate".
// Rule 6: after a pre-vote.
func TestFigure2_ElectionTimeoutConvertsToCandidate(t *testing.T) {
	for _, kind := range []MessageKind{Heartbeat, VoteRequest} {
		s := newSolo(t, 3)
		s.electionAt = s.now + ms
		s.step(s.from("B", kind, 1))
		require.GreaterOrEqual(t, s.electionAt, s.now+150*ms)
		require.Less(t, s.electionAt, s.now+300*ms)
		s.now = s.electionAt - 1
		s.wait(0)
		require.Equal(t, Follower, s.Role())
		s.wait(1)
		require.Equal(t, PreCandidate, s.Role())
		s.answerAll(PreVoteAnswer, 1)
		require.Equal(t, Candidate, s.Role())
	}
}

// Candidates, "On conversion to candidate, start election: increment
// currentTerm, vote for self, reset election timer, send RequestVote RPCs to all
// other servers".
func TestFigure2_CandidateStartsAnElection(t *testing.T) {
	s := newSolo(t, 5)
	s.campaignNow()
	require.EqualValues(t, 1, s.Term())
	require.Equal(t, "A", s.last.State.Vote)
	require.True(t, s.campaign.granted.has(s.self))
	require.GreaterOrEqual(t, s.electionAt, s.now+150*ms)
	require.Len(t, s.sent(VoteRequest), 4)
}

// Candidates, "If votes received from majority of servers: become leader".
func TestFigure2_MajorityMakesALeader(t *testing.T) {
	for n, needed := range map[int]int{1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3} {
		s := newSolo(t, n)
		s.electionAt = s.now
		s.wait(0)
		s.answerAll(PreVoteAnswer, 0)
		for i := range n - 1 {
			require.Equal(t, i >= needed, s.Role() == Leader, "%d of %d", i, n)
			a := s.from(voters(n)[i+1].ID, VoteAnswer, 1)
			a.Sequence, a.Granted = s.campaign.sequence, true
			s.step(a)
		}
		require.Equal(t, Leader, s.Role())
	}
}

// Candidates, "If AppendEntries RPC received from new leader: convert to
// follower".
func TestFigure2_CandidateYieldsToTheLeader(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	s.step(s.from("B", Heartbeat, s.Term()))
	require.Equal(t, Follower, s.Role())
	require.Equal(t, "B", s.Leader())
}

// Candidates, "If election timeout elapses: start new election".
func TestFigure2_CandidateStartsAnew(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	first := s.campaign.sequence
	s.now = s.electionAt
	s.wait(0)
	require.Equal(t, PreCandidate, s.Role())
	require.Greater(t, s.campaign.sequence, first)
	s.answerAll(PreVoteAnswer, 1)
	require.Equal(t, Candidate, s.Role())
	require.EqualValues(t, 2, s.Term())
}

// Leaders, "Upon election: send initial empty AppendEntries RPCs (heartbeat) to
// each server; repeat during idle periods to prevent election timeouts".
func TestFigure2_LeaderSendsHeartbeats(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(3), Member{ID: "L"})...))
	s.win()
	require.Len(t, s.sent(Heartbeat), 3)
	require.Equal(t, s.now+50*ms, s.Deadline())
	s.wait(50*ms - 1)
	require.Empty(t, s.last.Messages)
	s.wait(1)
	require.Len(t, s.sent(Heartbeat), 3)
}
