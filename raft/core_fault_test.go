package raft

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every rule that has a counterexample is switched off here, to show that the
// oracles notice; with the rule on, the very same schedule breaks nothing.
func TestNegativeControls(t *testing.T) {
	tests := []struct {
		name     string
		nodes    int
		off      func(s *server)
		schedule func(c *cluster)
		oracle   string // that must break
	}{
		{
			"rule 4: silence after a restart", 3,
			func(s *server) { s.core.faults.noBlackout = true }, restartAfterAnswering, "O6",
		},
		{
			"rule 12: save before send", 3,
			func(s *server) { s.early = true }, func(c *cluster) { c.run(300 * ms) }, "O4",
		},
		{
			"rule 2: lease from the sending", 3,
			func(s *server) { s.core.faults.leaseFromReceipt = true }, lateAnswer, "O6",
		},
		{
			"rule 8: votes are a set", 5,
			func(s *server) { s.core.faults.countDuplicateVotes = true }, doubledVotes, "O1",
		},
		{
			"rule 8: the vote survives a heartbeat", 3,
			func(s *server) { s.core.faults.resetVoteOnEqualTerm = true }, lateRequest, "O1",
		},
		{
			"rule 6: a grant ends the pre-campaign", 3,
			func(s *server) { s.core.faults.keepPreCampaign = true }, latePreVote, "O6",
		},
		{
			"rule 1: a promise survives a term", 3,
			func(s *server) { s.core.faults.clearPromiseOnTerm = true }, higherTermAfterAnswering, "O6",
		},
		{
			"rule 1: no campaign while bound", 3,
			func(s *server) { s.core.faults.campaignWhileBound = true }, campaignAfterAnswering, "O6",
		},
		{
			"rule 5: no lease after TimeoutNow", 3,
			func(s *server) { s.core.faults.renewAfterTransfer = true }, lateTimeoutNow, "O6",
		},
		{
			"rule 4: promises as long as asked", 3,
			func(s *server) { s.core.faults.ownPromiseLength = true }, mixedTimeouts, "O6",
		},
		{
			"rule 2: margin of twice the skew", 3,
			func(s *server) { s.core.lease = s.core.cfg.ElectionTimeoutMin }, skewedClocks, "O6",
		},
		{
			"rule 18: quorum before a change", 4,
			func(s *server) { s.core.faults.reconfigUnconfirmed = true }, overlappingChanges, "O6",
		},
		{
			"rule 17: no vote for an older configuration", 5,
			func(s *server) { s.core.faults.ignoreConfigurationID = true }, outdatedConfiguration, "O6",
		},
		{
			"rule 4: a promise stays on record while it binds", 3,
			func(s *server) { s.core.faults.forgetPromises = true }, restartTwiceAfterAnswering, "O6",
		},
		{
			"rule 8: answers count for who has asked", 3,
			func(s *server) { s.core.faults.countStrayAnswers = true }, grantOutlivesMember, "O1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on := newCluster(t, tt.nodes)
			tt.schedule(on)
			require.Empty(t, on.oracle.broken)

			off := newCluster(t, tt.nodes)
			off.tolerant = true
			for _, s := range off.servers {
				s.off = tt.off
				tt.off(s)
			}
			tt.schedule(off)
			require.Contains(t, strings.Join(off.oracle.broken, "\n"), tt.oracle, off.tail())
		})
	}
}

// Rule 19 is about a leader being found at all, which no oracle of one instant
// sees.
func TestNegativeControlOfUnknownCandidates(t *testing.T) {
	c := newCluster(t, 3)
	growAndLoseTwo(c)
	for _, s := range c.servers {
		if s.up {
			s.core.faults.dropUnknownCandidates = true
		}
	}
	c.run(20 * 300 * ms)
	require.Nil(t, c.leader())
}

// aLeadsOnB makes A the leader by B's answers alone, while C hears nothing of
// it, is bound to nobody, and does not campaign by itself.
func aLeadsOnB(c *cluster) (a, b, cc *server) {
	c.t.Helper()
	a, b, cc = c.server("A"), c.server("B"), c.server("C")
	c.electThat("A")
	c.run(205 * ms) // All have the same configuration.
	c.cut("A", "C", false)
	cc.core.electionAt = Never
	c.run(305 * ms)
	return a, b, cc
}

// campaignsNow makes a server's election timeout run out.
func (s *server) campaignsNow() {
	s.core.electionAt = s.local()
	s.call(s.core.Tick)
}

func restartAfterAnswering(c *cluster) {
	_, b, cc := aLeadsOnB(c)
	b.restart()
	cc.campaignsNow()
	c.run(10 * ms)
}

func higherTermAfterAnswering(c *cluster) {
	_, _, cc := aLeadsOnB(c)
	cc.learns(5)
	answer := cc.core.message(HeartbeatAnswer, "B") // A late one.
	answer.Asker = c.server("B").boot
	c.receive(answer)
	cc.campaignsNow()
	c.run(10 * ms)
}

func campaignAfterAnswering(c *cluster) {
	_, b, _ := aLeadsOnB(c)
	_ = b.try(b.core.Campaign)
	c.run(10 * ms)
}

// lateAnswer has B's answers to A travel for longer and longer, and the last of
// them for half as long as the promise in it lasts.
func lateAnswer(c *cluster) {
	_, b, cc := aLeadsOnB(c)
	heartbeats := 0
	c.deliver = func(m Message) (time.Duration, bool) {
		switch {
		case m.Kind == Heartbeat && m.To == "B":
			heartbeats++
			return ms, heartbeats <= 2
		case m.Kind == HeartbeatAnswer && m.To == "A":
			return time.Duration(heartbeats) * 40 * ms, true
		default:
			return ms, m.From != "A" && m.To != "A"
		}
	}
	c.runUntil(100*ms, func() bool { return heartbeats == 2 })
	c.run(2 * ms)
	b.core.electionAt = Never
	c.run(152 * ms)
	cc.campaignsNow()
	c.run(10 * ms)
}

// doubledVotes has two candidates in one term, of whom A gets one vote thrice.
func doubledVotes(c *cluster) {
	for _, s := range c.servers {
		s.core.electionAt = Never
	}
	c.deliver = func(m Message) (time.Duration, bool) {
		switch {
		case m.Kind == VoteRequest:
			return ms, m.From == "A" && m.To == "B" || m.From == "C" && m.To > "C"
		case m.Kind == VoteAnswer && m.To == "A":
			for range 2 {
				c.at(ms, func() { c.receive(m) })
			}
		}
		return ms, m.Kind != Heartbeat
	}
	c.run(160 * ms)
	c.server("A").campaignsNow()
	c.server("C").campaignsNow()
	c.run(20 * ms)
}

// lateRequest has a loser's request for B's vote arrive after the winner, whose
// heartbeats B has heard, has fallen silent.
func lateRequest(c *cluster) {
	a, b, cc := c.server("A"), c.server("B"), c.server("C")
	for _, s := range c.servers {
		s.core.electionAt = Never
	}
	c.deliver = func(m Message) (time.Duration, bool) {
		switch {
		case m.Kind == VoteRequest && m.From == "C":
			return 400 * ms, m.To == "B"
		case m.Kind == VoteRequest:
			return ms, m.To == "B"
		case m.Kind == Heartbeat:
			return ms, m.To == "B"
		}
		return ms, true
	}
	c.run(160 * ms)
	a.campaignsNow()
	cc.campaignsNow()
	c.run(20 * ms)
	require.Equal(c.t, Leader, a.core.Role())
	a.crash()
	b.core.electionAt, cc.core.electionAt = Never, Never
	c.run(500 * ms)
}

// latePreVote lets B ask for pre-votes in the term that C asks for votes in.
func latePreVote(c *cluster) {
	a, b, cc := c.server("A"), c.server("B"), c.server("C")
	for _, s := range c.servers {
		s.core.electionAt = Never
	}
	c.deliver = func(m Message) (time.Duration, bool) {
		switch {
		case m.Kind == PreVoteAnswer && m.To == "B" && m.From == "A":
			return 10 * ms, true
		case m.Kind == PreVoteRequest && m.From == "B" && m.To == "C":
			return 0, false
		case m.Kind == VoteRequest && m.From == "C":
			return 3 * ms, m.To == "B"
		}
		return ms, m.Kind != Heartbeat
	}
	c.run(160 * ms)
	cc.campaignsNow()
	c.run(2 * ms)
	require.Equal(c.t, Candidate, cc.core.Role())
	b.learns(1)
	b.campaignsNow()
	require.Equal(c.t, PreCandidate, b.core.Role())
	a.core.electionAt = Never
	c.run(30 * ms)
	require.Equal(c.t, "C", c.oracle.leaders[1])
}

// learns brings a server into a later term.
func (s *server) learns(term uint64) {
	s.call(func(now time.Duration) Effects {
		s.core.begin(now)
		s.core.adopt(term)
		return s.core.end()
	})
}

// lateTimeoutNow is the schedule of rule 5: A sends TimeoutNow to B and goes on
// by B's answers; then the message arrives.
func lateTimeoutNow(c *cluster) {
	a, _, _ := aLeadsOnB(c)
	cut := c.deliver
	c.deliver = func(m Message) (time.Duration, bool) {
		d, ok := cut(m)
		if m.Kind == TimeoutNow {
			d = 80 * ms
		}
		return d, ok
	}
	require.NoError(c.t, a.try(func(now time.Duration) (Effects, error) { return a.core.Transfer(now, "B") }))
	c.cutKeeping("B", "A")
	c.run(200 * ms)
}

// cutKeeping lets A's heartbeats through to B, but nothing that B says as a
// candidate to A, and delays TimeoutNow.
func (c *cluster) cutKeeping(from, to string) {
	before := c.deliver
	c.deliver = func(m Message) (time.Duration, bool) {
		d, ok := before(m)
		candidate := m.From == from && m.To == to && (m.Kind != HeartbeatAnswer || !m.Granted)
		return d, ok && !candidate
	}
}

// mixedTimeouts has a leader that counts on longer promises than the others are
// configured with.
func mixedTimeouts(c *cluster) {
	a := c.server("A")
	a.core.cfg.ElectionTimeoutMin, a.core.cfg.ElectionTimeoutMax = 600*ms, 1200*ms
	a.core.lease = a.core.cfg.lease()
	a.core.reign.rounds = make([]time.Duration, 14)
	c.electThat("A")
	c.run(100 * ms)
	c.isolate("A")
	c.run(2 * time.Second)
	if len(c.oracle.broken) == 0 {
		require.NotNil(c.t, c.leader())
		require.NotSame(c.t, a, c.leader())
	}
}

// restartTwiceAfterAnswering has B, which is bound to A for long, restart twice:
// the first process promises nothing, and the second is still bound by what the
// one before both has promised.
func restartTwiceAfterAnswering(c *cluster) {
	a := c.server("A")
	a.core.cfg.ElectionTimeoutMin, a.core.cfg.ElectionTimeoutMax = 600*ms, 1200*ms
	a.core.lease = a.core.cfg.lease()
	a.core.reign.rounds = make([]time.Duration, 14)
	_, b, cc := aLeadsOnB(c)
	c.isolate("A")
	for range 2 {
		b.restart()
		b.core.electionAt = Never
		c.run(10 * ms)
		b.call(b.core.Tick)
	}
	c.run(300 * ms) // C is free, and A's lease runs.
	cc.campaignsNow()
	c.run(10 * ms)
}

// skewedClocks has the leader's clock run slow and the others' fast, as far as
// is allowed, on a network without delay.
func skewedClocks(c *cluster) {
	a, b, cc := c.server("A"), c.server("B"), c.server("C")
	c.electThat("A")
	c.run(time.Second)
	for _, s := range c.servers {
		s.base, s.since, s.drift = s.local(), c.now, 5_000
	}
	a.drift = -5_000
	c.deliver = func(Message) (time.Duration, bool) { return 0, true }
	n := len(c.sent)
	c.runUntil(time.Second, func() bool { return len(c.sentSince(n, HeartbeatAnswer)) == 2 })
	c.run(0)
	c.deliver = func(m Message) (time.Duration, bool) { return 0, m.From != "A" && m.To != "A" }
	b.core.electionAt, cc.core.electionAt = Never, b.core.promise.until
	c.run(151 * ms)
}

// overlappingChanges has A add E, which nobody else hears of; B lead by a quorum
// that does not know it, and remove C; and A lead by C and E.
func overlappingChanges(c *cluster) {
	c.t.Helper()
	a, b, cc := c.server("A"), c.server("B"), c.server("C")
	c.electThat("A")
	c.run(300 * ms)
	cfg := testConfig("E")
	cfg.Start = Join()
	e := c.add(cfg, 1)
	if b.off != nil {
		b.off(e)
	}

	// A adds E as a listener, known to all, and promotes it unheard.
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "E"}) }
	})
	c.cut("A", "BCD", false)
	require.NoError(c.t, a.try(func(now tick) (Effects, error) { return a.core.Promote(now, "E") }))
	c.run(ms)
	for _, s := range c.servers {
		s.core.electionAt = Never
	}
	c.run(160 * ms)
	require.False(c.t, a.reigns())
	a.core.electionAt = Never

	// B wins with C and D; after that C hears nothing.
	b.campaignsNow()
	c.run(4 * ms)
	require.True(c.t, b.reigns())
	c.cut("BD", "ACE", false)
	a.core.electionAt, cc.core.electionAt = Never, Never
	c.run(55 * ms)
	err := b.try(func(now tick) (Effects, error) { return b.core.RemoveMember(now, "C") })
	if b.off == nil {
		require.ErrorIs(c.t, err, ErrReconfigPending)
	}
	for range 4 {
		a.core.electionAt, cc.core.electionAt = Never, Never
		c.run(50 * ms)
	}
	a.campaignsNow() // It learns the term of C.
	c.run(5 * ms)
	a.campaignsNow()
	c.run(10 * ms)
}

// outdatedConfiguration has five shrink to three while C hears nothing; then C,
// which still counts five, asks D, which has heard of the first step, and E.
func outdatedConfiguration(c *cluster) {
	c.t.Helper()
	cc, d, e := c.server("C"), c.server("D"), c.server("E")
	quiet := func() { cc.core.electionAt, d.core.electionAt, e.core.electionAt = Never, Never, Never }
	c.electThat("A")
	c.run(300 * ms)
	c.cut("ABD", "CE", false)
	quiet()
	c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.RemoveMember(now, "E") } })
	c.isolateAll("CDE")
	quiet()
	c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.RemoveMember(now, "D") } })
	require.Len(c.t, d.core.Configuration().Members, 4)
	require.Len(c.t, cc.core.Configuration().Members, 5)
	quiet()
	c.run(200 * ms)
	c.cut("AB", "CDE", false)
	cc.campaignsNow()
	c.run(10 * ms)
	require.True(c.t, c.server("A").reigns())
}
