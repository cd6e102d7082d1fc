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
		require.Equal(t, witness, len(s.sent(PreVoteRequest)) > 0 && s.Counters().PreCampaigns == 0, "it shows its configuration")
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
// older one, for which C does not vote, and C cannot lead. C shows it to B, and then
// B wins. So it goes where C is no witness but unfit.
func TestWhoDoesNotStandShowsTheConfiguration(t *testing.T) {
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
		return c.ledBy()
	}
	require.Equal(t, "B", led(withWitness(3), false, false))
	require.Empty(t, led(withWitness(3), false, true), "this test can fail")
	require.Equal(t, "B", led(voters(3), true, false))
	require.Empty(t, led(voters(3), true, true), "this test can fail")
}

// Rule 17: A promotes D, which does not hear of it, and removes B, and then dies.
// The witness C alone knows that D may lead now. D asks nobody, since it does not
// know that it votes.
func TestPromotedMemberLearnsOfIt(t *testing.T) {
	led := func(off bool) string {
		c := newClusterOf(t, 1, withWitness(3)...)
		c.electThat("A")
		joiner := testConfig("D")
		joiner.Start = Join()
		c.add(joiner, 1)
		c.server("C").core.faults.hideConfiguration = off
		remove := func(l *Core) change { return func(now tick) (Effects, error) { return l.RemoveMember(now, "B") } }
		c.changeMember(func(l *Core) change {
			return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "D"}) }
		})
		c.run(200 * ms)
		c.cut("ABC", "D", false)
		a := c.leader()
		require.NoError(t, a.try(func(now tick) (Effects, error) { return a.core.Promote(now, "D") }))
		c.run(200 * ms)
		c.changeMember(remove)
		require.False(t, c.server("D").core.isVoter())
		c.server("A").crash()
		c.server("B").crash()
		c.heal()
		c.run(20 * 300 * ms)
		return c.ledBy()
	}
	require.Equal(t, "D", led(false))
	require.Empty(t, led(true), "this test can fail")
}

// Rule 17: A has made the voter D a listener, shown that to D alone, and dies. B and
// C count D, which does not vote for them, and win without it once it has shown
// them that it is no voter.
func TestDemotedMemberShowsThatItIs(t *testing.T) {
	led := func(off bool) string {
		c := newClusterOf(t, 1, voters(4)...)
		c.electThat("A")
		c.run(300 * ms)
		d := c.server("D")
		d.core.faults.hideConfiguration = off
		c.cut("AD", "BC", false)
		c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.Demote(now, "D") } })
		require.False(t, d.core.isVoter())
		require.True(t, c.server("B").core.hard.Configuration.Members[3].Voter)
		c.server("A").crash()
		c.heal()
		c.run(20 * 300 * ms)
		return c.ledBy()
	}
	require.Contains(t, "BC", led(false))
	require.NotEmpty(t, led(false))
	require.Empty(t, led(true), "this test can fail")
}

// What a pre-vote shows is taken in by who is free, in whatever role but a
// leader's, and with it the term in which it was made, which may be ahead of the
// receiver's.
func TestConfigurationOfAPreVote(t *testing.T) {
	tests := []struct {
		name  string
		be    func(s *solo)
		taken bool
	}{
		{"follower", func(*solo) {}, true},
		{"follower of a leader that is heard", func(s *solo) { s.step(s.from("C", Heartbeat, 1)) }, false},
		{"pre-candidate", func(s *solo) { s.electionAt = s.now; s.wait(0) }, true},
		{"candidate, bound to itself", (*solo).campaignNow, false},
		{"candidate", func(s *solo) { s.campaignNow(); s.promise, s.electionAt = promise{}, Never }, true},
		{"leader that waits for its reign", (*solo).win, false},
		{"leader in its reign", func(s *solo) { s.win(); s.confirm() }, false},
		{"knows no configuration", func(s *solo) { s.hard.Configuration = Configuration{} }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSolo(t, 3)
			next := s.hard.Configuration.Clone()
			next.Term, next.Version = 4, next.Version+1
			test.be(s)
			m := s.from("B", PreVoteRequest, 5)
			m.Configuration, m.ConfigurationID, m.Digest = next, next.ConfigurationID, next.Digest()
			s.step(m)
			require.Equal(t, test.taken, s.hard.Configuration.Equal(next))
			if !test.taken {
				return
			}
			require.True(t, s.last.Save)
			require.Equal(t, Follower, s.Role())
			require.Equal(t, uint64(4), s.Term())
			require.Equal(t, next.ConfigurationID, s.sent(PreVoteAnswer)[0].ConfigurationID)
			require.True(t, s.sent(PreVoteAnswer)[0].wellFormed())
			s.unchanged(m)
		})
	}
	m := newSolo(t, 3).from("B", VoteAnswer, 1)
	m.Configuration = newSolo(t, 3).hard.Configuration
	require.False(t, m.wellFormed(), "an answer has none")
}
