package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// parted has C lead and die after it has changed the membership, of which B alone
// has heard, while A alone has the longer log: neither votes for the other as they
// are.
func parted(c *cluster) (a, b *server) {
	c.t.Helper()
	a, b = c.server("A"), c.server("B")
	l := c.electThat("C")
	c.run(300 * ms)
	for _, s := range c.servers {
		s.core.log = logUpTo(Position{1, 4})
	}
	c.cut("A", "C", false)
	b.core.electionAt = Never
	require.NoError(c.t, l.try(func(now tick) (Effects, error) {
		return l.core.UpdateMember(now, Member{ID: "C", Data: "moved"})
	}))
	c.run(2 * ms)
	a.core.log = logUpTo(Position{1, 5})
	l.crash()
	c.heal()
	require.Equal(c.t, 1, b.core.Configuration().Compare(a.core.Configuration().ConfigurationID))
	return a, b
}

// Rule 17: configuration and log are both compared. The member with the longer log
// takes in the newer configuration, whoever it is that has that, and leads.
func TestLongerLogTakesInTheNewerConfiguration(t *testing.T) {
	tests := []struct {
		name    string
		witness bool // B never stands
		unfit   bool // B abstains
		hidden  bool // the rule is switched off
	}{
		{name: "both stand"},
		{name: "a witness has the newer configuration", witness: true},
		{name: "one that abstains has the newer configuration", unfit: true},
		{name: "negative control", hidden: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			members := voters(3)
			members[1].Witness = tt.witness
			for seed := range uint64(2) {
				c := newClusterOf(t, seed, members...)
				a, b := parted(c)
				b.core.abstains = tt.unfit
				a.core.faults.hideConfiguration, b.core.faults.hideConfiguration = tt.hidden, tt.hidden
				if tt.hidden {
					c.run(20 * 300 * ms)
					require.Nil(t, c.leader())
					continue
				}
				require.Same(t, a, c.elect())
				require.Equal(t, "moved", a.core.Configuration().Members[2].Data)
			}
		})
	}
}

// The voter with the longer log takes in the newer configuration though it refuses
// the vote, and shows it in its answer.
func TestRefusedPreVoteLeavesItsConfiguration(t *testing.T) {
	s := newSolo(t, 3)
	s.log = logUpTo(Position{2, 7})
	newer := s.hard.Configuration.Clone()
	newer.Version++
	m := s.from("B", PreVoteRequest, 1)
	m.Configuration, m.ConfigurationID, m.Digest = newer, newer.ConfigurationID, newer.Digest()
	m.Last = Position{2, 6}
	require.False(t, s.asked(m))
	require.True(t, s.last.Save)
	require.True(t, s.Configuration().Equal(newer))
	require.Equal(t, newer.ConfigurationID, s.sent(PreVoteAnswer)[0].ConfigurationID)
}
