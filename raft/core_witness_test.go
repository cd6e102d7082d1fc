package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withWitness returns n voters, of whom the last is a witness.
func withWitness(n int) []Member {
	members := voters(n)
	members[n-1].Witness = true
	return members
}

// Rule 10: whatever a witness is told, and however long it hears nothing, it does
// not stand; another member in its place does.
func TestWitnessNeverStands(t *testing.T) {
	for _, witness := range []bool{true, false} {
		members := voters(3)
		members[0].Witness = witness
		s := newSoloOf(t, testConfig("A", members...))
		s.step(s.from("B", Heartbeat, 1))
		s.wait(time.Second)
		require.Equal(t, witness, s.Role() == Follower)
		require.Empty(t, s.Leader(), "it forgets a silent leader")
		require.Equal(t, witness, s.Deadline() == Never)
		require.Equal(t, !witness, s.standsAt(s.now+time.Hour))

		_, err := s.Campaign(s.now)
		require.Equal(t, witness, err != nil)
		if witness {
			require.ErrorIs(t, err, ErrWitness)
		}

		s.step(s.from("B", Heartbeat, 2))
		s.step(s.from("B", TimeoutNow, 2))
		require.Equal(t, witness, s.Role() == Follower)
		require.Equal(t, witness, s.Counters().Campaigns == 0)
	}
}

// A witness gives votes and pre-votes like any voter, and keeps them across a
// restart.
func TestWitnessKeepsItsVote(t *testing.T) {
	members := voters(3)
	members[0].Witness = true
	s := newSoloOf(t, testConfig("A", members...))
	require.True(t, s.asked(s.from("B", PreVoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
	require.True(t, s.last.Save)
	require.Equal(t, "B", s.last.State.Vote)

	c, err := NewCore(s.cfg, s.last.State, 2, 0)
	require.NoError(t, err)
	again := &solo{Core: c, t: t, now: time.Second}
	require.False(t, again.asked(again.from("C", VoteRequest, 1)))
	require.True(t, again.asked(again.from("B", VoteRequest, 1)))
}

// Two members and a witness do without any one of the three: one of the two leads.
func TestTwoMembersAndAWitness(t *testing.T) {
	for _, lost := range []string{"A", "B", "C"} {
		c := newClusterOf(t, 1, withWitness(3)...)
		for range 3 {
			c.elect()
			c.run(300 * ms)
			c.server(lost).crash()
			c.run(400 * ms) // Until a lease that it held is over.
			l := c.elect()
			require.NotEqual(t, "C", l.cfg.ID)
			require.NotEqual(t, lost, l.cfg.ID)
			c.run(time.Second)
			require.Same(t, l, c.leader(), "the lease rests on the answers of the other")
			c.server(lost).start()
			c.run(time.Second)
			require.Same(t, l, c.leader())
		}
	}
}

// Nobody hands over to a witness: a transfer is refused, and whoever resigns
// passes it over, or only steps down if there is nobody else.
func TestNobodyHandsOverToAWitness(t *testing.T) {
	s := newSoloOf(t, testConfig("A", withWitness(3)...))
	s.win()
	s.confirm()
	_, err := s.Transfer(s.now, "C")
	require.ErrorIs(t, err, ErrWitness)
	require.True(t, s.reigns())

	s.now += 10 * ms
	s.peers[1].acked, s.peers[2].acked = s.now-ms, s.now
	s.last, err = s.Resign(s.now)
	require.NoError(t, err)
	require.Len(t, s.sent(TimeoutNow), 1)
	require.Equal(t, "B", s.sent(TimeoutNow)[0].To)

	s = newSoloOf(t, testConfig("A", withWitness(3)...))
	s.win()
	s.confirm()
	s.now += 10 * ms
	s.peers[1].acked, s.peers[2].acked = longAgo, s.now
	require.False(t, s.awaitsSuccessor("C"))
	s.last, err = s.Resign(s.now)
	require.NoError(t, err)
	require.Empty(t, s.sent(TimeoutNow))
	require.Equal(t, Follower, s.Role())
}

// A witness that is added and promoted votes and does not lead; once it is no
// witness any more, it may.
func TestWitnessIsAddedAndMadeAMember(t *testing.T) {
	c := newClusterOf(t, 1, voters(2)...)
	c.electThat("A")
	joiner := testConfig("C")
	joiner.Start = Join()
	c.add(joiner, 1)
	for _, by := range []func(l *Core) change{
		func(l *Core) change {
			return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "C", Witness: true}) }
		},
		func(l *Core) change { return func(now tick) (Effects, error) { return l.Promote(now, "C") } },
	} {
		c.changeMember(by)
	}
	for range 5 {
		l := c.elect()
		require.NotEqual(t, "C", l.cfg.ID)
		require.NoError(t, l.try(func(now tick) (Effects, error) { return l.core.Resign(now) }))
		c.run(300 * ms)
	}
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.UpdateMember(now, Member{ID: "C"}) }
	})
	l := c.leader()
	require.NoError(t, l.try(func(now tick) (Effects, error) { return l.core.Transfer(now, "C") }))
	c.run(100 * ms)
	require.Equal(t, "C", c.elect().cfg.ID)
}

// Rule 17: the leader A has shown its configuration to C alone and dies. B has an
// older one, for which C does not vote, and C cannot lead. C shows it to B, whom it
// refuses, and then B wins. So it goes where C is no witness but unfit.
func TestRefusedCandidateIsShownTheConfiguration(t *testing.T) {
	led := func(members []Member, unfit, off bool) string {
		c := newClusterOf(t, 1, members...)
		c.electThat("A")
		c.run(300 * ms)
		b, voter := c.server("B"), c.server("C")
		voter.core.abstains = unfit
		b.core.faults.hideConfiguration, voter.core.faults.hideConfiguration = off, off
		c.cut("AC", "B", false)
		c.changeMember(func(l *Core) change {
			return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "D"}) }
		})
		require.Positive(t, voter.core.Configuration().Compare(b.core.Configuration().ConfigurationID))
		c.server("A").crash()
		c.heal()
		c.run(20 * 300 * ms)
		if l := c.leader(); l != nil {
			return l.cfg.ID
		}
		return ""
	}
	require.Equal(t, "B", led(withWitness(3), false, false))
	require.Empty(t, led(withWitness(3), false, true), "this test can fail")
	require.Equal(t, "B", led(voters(3), true, false))
	require.Empty(t, led(voters(3), true, true), "this test can fail")
}

// A refusal shows the configuration only to a candidate that has an older one, and
// one that is no candidate any more takes it in all the same; a leader does not.
func TestConfigurationInARefusedVote(t *testing.T) {
	s := newSolo(t, 3)
	older := s.hard.Configuration
	next := older.Clone()
	next.Version++
	s.install(next)
	for _, kind := range []Kind{PreVoteRequest, VoteRequest} {
		m := s.from("B", kind, 3)
		m.ConfigurationID, m.Configuration, m.Digest = older.ConfigurationID, older, older.Digest()
		s.step(m)
		require.Equal(t, next, s.sent(kind + 1)[0].Configuration)
		s.step(s.from("B", kind, 1)) // Too late a term, but the same configuration.
		require.Zero(t, s.sent(kind + 1)[0].Configuration)
	}

	for _, role := range []Role{Follower, PreCandidate, Candidate, Leader} {
		s = newSolo(t, 3)
		a := s.from("B", VoteAnswer, 1)
		switch role {
		case Follower:
			s.step(s.from("C", Heartbeat, 1))
		case PreCandidate:
			s.electionAt = s.now
			s.wait(0)
		case Candidate:
			s.campaignNow()
		default:
			s.win()
		}
		require.Equal(t, role, s.Role())
		a.Configuration, a.ConfigurationID, a.Digest = next, next.ConfigurationID, next.Digest()
		s.step(a)
		require.Equal(t, role != Leader, s.hard.Configuration.Equal(next))
		require.Equal(t, role != Leader, s.last.Save)
		require.Equal(t, role == Leader, s.Role() == Leader)
		require.Equal(t, role == Follower, s.Leader() == "C", "a leader that is heard stays known")
	}
	a := s.from("B", VoteAnswer, 1)
	a.Granted, a.Configuration = true, s.hard.Configuration
	require.False(t, a.wellFormed(), "a vote that is given needs none")
}
