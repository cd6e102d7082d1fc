package raft

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// solo is one core, whose peers are the test.
type solo struct {
	*Core
	t   *testing.T
	now time.Duration
	// last is the effects of the latest call.
	last Effects
}

// newSolo returns node A of n voters, past the silence after a start. Its
// election timeout is off until a test sets it.
func newSolo(t *testing.T, n int) *solo {
	t.Helper()
	return newSoloOf(t, testConfig("A", voters(n)...))
}

func newSoloOf(t *testing.T, cfg Config) *solo {
	t.Helper()
	cfg.Rand = rand.NewPCG(1, 1)
	state, err := StartState(cfg, StoredState{}, testStore(cfg.ID))
	require.NoError(t, err)
	c, err := NewCore(cfg, state, 1, 0)
	require.NoError(t, err)
	c.electionAt = Never
	return &solo{Core: c, t: t, now: c.cfg.ElectionTimeoutMin}
}

// logUpTo returns a log that ends so, durable and committed.
func logUpTo(end Position) entryLog {
	return entryLog{base: end, durable: end.Index, commit: end.Index, applied: end.Index}
}

// from returns a message of a member as that member would send it, with this
// core's configuration.
func (s *solo) from(id string, kind MessageKind, term uint64) Message {
	m := Message{
		Kind: kind, Cluster: "test", From: id, To: s.ID(),
		StoreID: testStore(id), Incarnation: 1, Boot: 1, Term: term, Level: Level,
		ConfigurationID: s.hard.Configuration.ConfigurationID, Digest: s.digest,
	}
	switch kind {
	case PreVoteRequest, VoteRequest:
		m.Configuration, m.Promise, m.Sequence = s.hard.Configuration, 150*ms, 1
	case Heartbeat, Append:
		m.Promise, m.Sequence = 150*ms, s.lastHeartbeat+1
	default:
	}
	if kind.isAnswer() {
		m.Asker = s.boot
	}
	return m
}

// step hands over a message.
func (s *solo) step(m Message) Effects {
	s.last = s.Step(s.now, m)
	return s.last
}

// wait lets time pass.
func (s *solo) wait(d time.Duration) Effects {
	s.now += d
	s.last = s.Tick(s.now)
	return s.last
}

// sent returns the messages of the latest call, of a kind.
func (s *solo) sent(kind MessageKind) []Message {
	var found []Message
	for _, m := range s.last.Messages {
		if m.Kind == kind {
			found = append(found, m)
		}
	}
	return found
}

// asked steps a request and returns whether it was granted.
func (s *solo) asked(m Message) bool {
	s.t.Helper()
	s.step(m)
	answers := s.sent(m.Kind + 1)
	require.Len(s.t, answers, 1)
	a := answers[0]
	require.Equal(s.t, m.Sequence, a.Sequence)
	require.Equal(s.t, m.Boot, a.Asker)
	require.Equal(s.t, m.From, a.To)
	require.Equal(s.t, s.Term(), a.Term)
	return a.Granted
}

// campaignNow makes the core a candidate, with the pre-votes of all.
func (s *solo) campaignNow() {
	s.t.Helper()
	s.electionAt = s.now
	s.wait(0)
	require.Equal(s.t, PreCandidate, s.Role())
	s.answerAll(PreVoteAnswer, s.Term())
	require.Equal(s.t, Candidate, s.Role())
}

// win makes the core the leader of its next term, with a lease.
func (s *solo) win() {
	s.t.Helper()
	s.campaignNow()
	s.answerAll(VoteAnswer, s.Term())
	require.Equal(s.t, Leader, s.Role())
	require.True(s.t, s.reigns())
}

// answerAll grants the current question in the name of as many as it takes.
func (s *solo) answerAll(kind MessageKind, term uint64) {
	role := s.Role()
	for _, m := range s.hard.Configuration.Members {
		if m.Voter && m.ID != s.ID() && s.Role() == role {
			a := s.from(m.ID, kind, term)
			a.Sequence, a.Granted = s.campaign.sequence, true
			s.step(a)
		}
	}
}

// heartbeatAnswer grants the latest heartbeat.
func (s *solo) heartbeatAnswer(id string) Message {
	a := s.from(id, HeartbeatAnswer, s.Term())
	a.Sequence, a.Granted = s.sequence, true
	return a
}

// unchanged asserts that a message changes nothing durable, no role, promise or
// timeout.
func (s *solo) unchanged(m Message) {
	s.t.Helper()
	before := s.clone()
	s.step(m)
	require.False(s.t, s.last.Save)
	require.Zero(s.t, s.last.Lost)
	require.True(s.t, before.hard.Equal(s.hard))
	require.Equal(s.t, before.role, s.role)
	require.Equal(s.t, before.promise, s.promise)
	require.Equal(s.t, before.electionAt, s.electionAt)
	require.Equal(s.t, before.Leader(), s.Leader())
}
