package raft

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOneVotePerTerm(t *testing.T) {
	s := newSolo(t, 3)
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
	require.True(t, s.last.Save)
	require.Equal(t, "B", s.last.State.Vote)
	require.False(t, s.asked(s.from("C", VoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 1)), "the same answer again")
	require.False(t, s.last.Save)

	// Nor does the second candidate get the vote once the promise is over.
	s.now += 500 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("C", VoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
}

func TestLowerTermIsRefused(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 5))
	s.now += 200 * ms
	s.electionAt = Never
	s.unchanged(s.from("C", VoteRequest, 4))
	require.Equal(t, VoteAnswer, s.last.Messages[0].Kind)
	require.False(t, s.last.Messages[0].Granted)
	require.EqualValues(t, 5, s.last.Messages[0].Term)
}

func TestHigherTermFromAnyRole(t *testing.T) {
	tests := []struct {
		name string
		be   func(s *solo)
	}{
		{"follower", func(s *solo) { s.step(s.from("C", Heartbeat, 1)) }},
		{"pre-candidate", func(s *solo) { s.electionAt = s.now; s.wait(0) }},
		{"candidate", func(s *solo) { s.campaignNow() }},
		{"leader without a reign", func(s *solo) {
			s.campaignNow()
			s.electionAt = Never
			s.now += 149 * ms // The votes count from their request: too old.
			s.answerAll(VoteAnswer, s.Term())
			require.Equal(t, Leader, s.Role())
			require.False(t, s.reigns())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, 3)
			tt.be(s)
			if s.promise.until > s.now {
				s.unchanged(s.from("B", VoteRequest, 7))
				require.False(t, s.last.Messages[0].Granted)
			}
			s.electionAt = Never
			s.reign.heartbeatAt = Never // So that it promises itself nothing more.
			s.now += 151 * ms
			require.True(t, s.asked(s.from("B", VoteRequest, 7)))
			require.Equal(t, Follower, s.Role())
			require.EqualValues(t, 7, s.Term())
			require.Empty(t, s.Leader())
		})
	}
}

func TestOtherCandidateInTheSameTerm(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	s.electionAt = Never
	s.now += 200 * ms // Free, but it has voted for itself.
	require.False(t, s.asked(s.from("B", VoteRequest, s.Term())))
	require.Equal(t, Candidate, s.Role())

	s = newSolo(t, 3)
	s.win()
	s.unchanged(s.from("B", VoteRequest, s.Term()))
	require.Empty(t, s.last.Messages, "a leader in its reign ignores it")
}

func TestOnlyVotersAreCounted(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(3), Member{ID: "L"})...))
	s.campaignNow()
	for _, id := range []string{"L", "X"} {
		a := s.from(id, VoteAnswer, s.Term())
		a.Sequence, a.Granted = s.campaign.sequence, true
		s.unchanged(a)
		require.Equal(t, Candidate, s.Role())
	}
	require.EqualValues(t, 1, s.Counters().Dropped.Unknown)
}

func TestRequestsGoToEveryOtherVoter(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(5), Member{ID: "L"})...))
	s.campaignNow()
	var to []string
	for _, m := range s.sent(VoteRequest) {
		require.EqualValues(t, 1, m.Term)
		to = append(to, m.To)
	}
	require.Equal(t, []string{"B", "C", "D", "E"}, to)
}

// The log does not exist yet, so that its end is set by the test.
func TestLogPosition(t *testing.T) {
	tests := []struct {
		name            string
		mine, candidate Position
		granted         bool
	}{
		{"equal", Position{2, 3}, Position{2, 3}, true},
		{"longer", Position{2, 3}, Position{2, 4}, true},
		{"shorter", Position{2, 3}, Position{2, 2}, false},
		{"later term beats length", Position{2, 9}, Position{3, 1}, true},
		{"earlier term loses to length", Position{3, 1}, Position{2, 9}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, 3)
			s.log = logUpTo(tt.mine)
			m := s.from("B", PreVoteRequest, 4)
			m.Last = tt.candidate
			require.Equal(t, tt.granted, s.asked(m))
			m = s.from("B", VoteRequest, 4)
			m.Last = tt.candidate
			require.Equal(t, tt.granted, s.asked(m))
			require.EqualValues(t, 4, s.Term(), "the term is adopted anyhow")
		})
	}
}

func TestBetterCandidateWins(t *testing.T) {
	c := newCluster(t, 3)
	c.server("B").core.log = logUpTo(Position{1, 5})
	c.server("C").core.log = logUpTo(Position{1, 5})
	for range 20 {
		c.run(300 * ms)
		require.False(t, c.server("A").reigns())
	}
	require.NotNil(t, c.leader())
	a := c.server("A").core
	require.Equal(t, Follower, a.Role())
}

func TestLoserFollows(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	for _, id := range []string{"B", "C"} {
		a := s.from(id, VoteAnswer, s.Term())
		a.Sequence = s.campaign.sequence
		s.step(a)
	}
	require.Equal(t, Follower, s.Role())
	require.NotEqual(t, Never, s.electionAt, "and will try again")
}

func TestLostAnswerIsRepeated(t *testing.T) {
	c := newCluster(t, 2)
	lost := 0
	c.deliver = func(m Message) (time.Duration, bool) {
		if m.Kind == VoteAnswer && lost < 2 {
			lost++
			return 0, false
		}
		return ms, true
	}
	c.electThat("A")
	require.Equal(t, 2, lost)
	require.EqualValues(t, 1, c.server("A").core.Term())
	require.Len(t, c.sentSince(0, VoteRequest), 3)
}

// Rule 9.
func TestRetriesAreForSilentVotersOnly(t *testing.T) {
	tests := []struct {
		name    string
		retries int
		want    int
	}{
		{"default", 0, 3}, {"none", -1, 0}, {"one", 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig("A", voters(5)...)
			cfg.MaxRetries = tt.retries
			s := newSoloOf(t, cfg)
			s.electionAt = s.now
			s.wait(0)
			first := s.sent(PreVoteRequest)
			require.Len(t, first, 4)
			s.electionAt = Never
			refusal := s.from("B", PreVoteAnswer, 0)
			refusal.Sequence = first[0].Sequence
			s.step(refusal)
			for range tt.want {
				s.wait(50 * ms)
				require.Len(t, s.sent(PreVoteRequest), 3)
				require.Equal(t, first[1], s.sent(PreVoteRequest)[0])
			}
			s.wait(50 * ms)
			require.Empty(t, s.last.Messages)
		})
	}
}

func TestHeartbeatOfHigherTerm(t *testing.T) {
	tests := []struct {
		name string
		be   func(s *solo)
	}{
		{"follower", func(*solo) {}},
		{"bound follower", func(s *solo) { s.step(s.from("C", Heartbeat, 1)) }},
		{"pre-candidate", func(s *solo) { s.electionAt = s.now; s.wait(0) }},
		{"candidate", func(s *solo) { s.campaignNow() }},
		{"leader", func(s *solo) { s.win() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, 3)
			tt.be(s)
			reigned := s.reigns()
			require.True(t, s.asked(s.from("B", Heartbeat, 7)))
			require.Equal(t, reigned, s.last.Lost != 0)
			require.Equal(t, Follower, s.Role())
			require.Equal(t, "B", s.Leader())
			require.EqualValues(t, 7, s.Term())
		})
	}
}

func TestHeartbeatOfLowerTerm(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 5))
	m := s.from("B", Heartbeat, 4)
	s.now += ms
	s.unchanged(m)
	require.False(t, s.last.Messages[0].Granted)
	require.EqualValues(t, 5, s.last.Messages[0].Term)

	// The stale leader steps down on that answer.
	s = newSolo(t, 3)
	s.win()
	s.step(s.from("B", HeartbeatAnswer, 5))
	require.Equal(t, Follower, s.Role())
	require.EqualValues(t, 1, s.last.Lost)
	require.EqualValues(t, 5, s.Term())
}

func TestAnswersCarryTheHigherTerm(t *testing.T) {
	for _, kind := range []MessageKind{PreVoteAnswer, VoteAnswer, HeartbeatAnswer} {
		for _, be := range []func(*solo){
			func(*solo) {}, (*solo).campaignNow, (*solo).win,
			func(s *solo) { s.step(s.from("C", Heartbeat, 1)) },
		} {
			s := newSolo(t, 3)
			be(s)
			promised := s.promise
			s.step(s.from("B", kind, 9))
			require.Equal(t, Follower, s.Role())
			require.EqualValues(t, 9, s.Term())
			require.Empty(t, s.Leader(), "unknown until a heartbeat")
			require.Equal(t, promised, s.promise, "rule 1")
			require.True(t, s.last.Save)
		}
	}
}

func TestNonsenseIsDroppedAndCounted(t *testing.T) {
	tests := []struct {
		name string
		bend func(m *Message)
		want Dropped
	}{
		{"term 0", func(m *Message) { m.Term = 0 }, Dropped{Malformed: 1}},
		{"term at the limit", func(m *Message) { m.Term = math.MaxUint64 }, Dropped{Malformed: 1}},
		{"no sender", func(m *Message) { m.From = "" }, Dropped{Malformed: 1}},
		{"no store", func(m *Message) { m.StoreID = StoreID{} }, Dropped{Malformed: 1}},
		{"no incarnation", func(m *Message) { m.Incarnation = 0 }, Dropped{Malformed: 1}},
		{"kind 0", func(m *Message) { m.Kind = 0 }, Dropped{Malformed: 1}},
		{"kind 99", func(m *Message) { m.Kind = 99 }, Dropped{Malformed: 1}},
		{"no promise", func(m *Message) { m.Promise = 0 }, Dropped{Malformed: 1}},
		{"endless promise", func(m *Message) { m.Promise = MaxPromise + 1 }, Dropped{Malformed: 1}},
		{"abstains without being asked", func(m *Message) { m.Abstains = true }, Dropped{Malformed: 1}},
		{"reason without a refusal", func(m *Message) { m.Reason = lastReason + 1 }, Dropped{Malformed: 1}},
		{"transfer of another term", func(m *Message) { m.Transfer = 1 }, Dropped{Malformed: 1}},
		{"configuration of the future", func(m *Message) { m.ConfigurationID.Term = 9 }, Dropped{Malformed: 1}},
		{"members out of order", func(m *Message) {
			m.Configuration = Configuration{ConfigurationID{0, 9}, 1, voters(3)}
			slices.Reverse(m.Configuration.Members)
			m.ConfigurationID, m.Digest = m.Configuration.ConfigurationID, m.Configuration.Digest()
		}, Dropped{Malformed: 1}},
		{"other cluster", func(m *Message) { m.Cluster = "other" }, Dropped{Foreign: 1}},
		{"for somebody else", func(m *Message) { m.To = "B" }, Dropped{Foreign: 1}},
		{"from oneself", func(m *Message) { m.From = "A" }, Dropped{Foreign: 1}},
		{"stranger", func(m *Message) { m.From = "X" }, Dropped{Unknown: 1}},
		{"other members under the same id", func(m *Message) {
			m.Digest++
			if m.Kind == VoteRequest {
				m.Configuration.Members = m.Configuration.Members[:2]
				m.Digest = m.Configuration.Digest()
			}
		}, Dropped{Conflicting: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, kind := range []MessageKind{VoteRequest, Heartbeat} {
				s := newSolo(t, 3)
				m := s.from("B", kind, 5)
				tt.bend(&m)
				s.unchanged(m)
				require.Len(t, s.last.Messages, int(tt.want.Conflicting), "other founders are told")
				require.Equal(t, tt.want, s.Counters().Dropped)
			}
		})
	}
}

// Rule 8: the leader of a term never changes once known.
func TestSecondLeaderOfATermIsIgnored(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 1))
	s.unchanged(s.from("C", Heartbeat, 1))
	require.EqualValues(t, 1, s.Counters().Dropped.Conflicting)

	s = newSolo(t, 3)
	s.win()
	s.unchanged(s.from("C", Heartbeat, 1))
	s.StepDown(s.now)
	s.unchanged(s.from("C", Heartbeat, 1))
}

// Rule 8: an old or doubled heartbeat is answered but resets nothing.
func TestOldHeartbeatResetsNothing(t *testing.T) {
	s := newSolo(t, 3)
	first := s.from("B", Heartbeat, 1)
	s.step(first)
	second := s.from("B", Heartbeat, 1)
	s.step(second)
	for _, m := range []Message{first, second} {
		s.now += 10 * ms
		s.unchanged(m)
		require.True(t, s.last.Messages[0].Granted)
		require.Equal(t, m.Sequence, s.last.Messages[0].Sequence)
	}
}

// Rule 8: a heartbeat of the own term never changes the vote.
func TestHeartbeatOfEqualTermKeepsTheVote(t *testing.T) {
	s := newSolo(t, 3)
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
	s.step(s.from("C", Heartbeat, 1))
	require.Equal(t, "B", s.hard.Vote)
	s.now += 500 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("C", VoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
	require.Equal(t, "C", s.promise.to, "repeating a vote is no new promise")
}

// Rule 11: terms at the maximum are refused, never wrapped.
func TestTermsDoNotWrap(t *testing.T) {
	s := newSolo(t, 3)
	require.True(t, s.asked(s.from("B", Heartbeat, math.MaxUint64-1)))
	s.now += 200 * ms
	_, err := s.Campaign(s.now)
	require.ErrorIs(t, err, ErrTermLimit)
	s.electionAt = s.now
	s.wait(0)
	require.Equal(t, Follower, s.Role())
	require.Empty(t, s.last.Messages)
	s.step(s.from("B", TimeoutNow, math.MaxUint64-1))
	require.EqualValues(t, uint64(math.MaxUint64-1), s.Term())
}

// Rule 8: who has heard the leader of a term votes for nobody else in it.
func TestNoVoteBesideTheLeader(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 1))
	require.Empty(t, s.hard.Vote)
	s.now += 200 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("B", VoteRequest, 1)))
	require.True(t, s.asked(s.from("C", VoteRequest, 1)))
}

// Rule 9: a refusal is an answer, also from a voter that stays in a lower term.
func TestRefusalOfALowerTermIsAnAnswer(t *testing.T) {
	s := newSolo(t, 5)
	s.step(s.from("B", HeartbeatAnswer, 4))
	s.campaignNow()
	s.electionAt = Never
	bound := s.from("B", VoteAnswer, 3)
	bound.Sequence = s.campaign.sequence
	s.step(bound)
	s.wait(50 * ms)
	require.Len(t, s.sent(VoteRequest), 3)
	for _, m := range s.sent(VoteRequest) {
		require.NotEqual(t, "B", m.To)
	}
}

// Rule 8: requests carry the end of the log.
func TestRequestsCarryThePosition(t *testing.T) {
	s := newSolo(t, 3)
	s.log = logUpTo(Position{2, 7})
	s.campaignNow()
	require.Equal(t, Position{2, 7}, s.sent(VoteRequest)[0].Last)
}

// Rule 1: the vote for oneself passes the guard too.
func TestNoVoteForOneselfWhileBound(t *testing.T) {
	s := newSolo(t, 3)
	s.electionAt = s.now
	s.wait(0)
	require.Equal(t, PreCandidate, s.Role())
	granted := s.from("B", PreVoteAnswer, 0)
	granted.Sequence, granted.Granted = s.campaign.sequence, true
	s.bind("C", 150*ms)
	s.step(granted)
	require.Equal(t, Follower, s.Role())
	require.Zero(t, s.Term())
}
