package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wipe ends a server and empties its disk; it joins as a new store when it is
// started again. What others were told in its name stays said, but its terms
// begin anew.
func (s *server) wipe() {
	s.crash()
	s.disk, s.cfg.Start = StoredState{}, Join()
	delete(s.c.oracle.terms, s.cfg.ID)
}

// replace brings up another disk under the name of a server that is down: the
// member is removed, added, started with the store fresh, and promoted.
func (c *cluster) replace(id, fresh string) {
	c.t.Helper()
	s := c.server(id)
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.RemoveMember(now, id) }
	})
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: id}) }
	})
	s.startAs(testStore(fresh))
	c.run(500 * ms)
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.Promote(now, id) }
	})
	c.run(300 * ms)
}

// grantOutlivesMember has C's vote for B travel for so long that meanwhile B
// loses its disk and is replaced under its name. Then A and B stand in one term,
// C votes for A, and its old vote arrives at B.
func grantOutlivesMember(c *cluster) {
	var late []Message
	c.deliver = func(m Message) (time.Duration, bool) {
		if m.From == "C" && m.To == "B" && m.Kind == VoteAnswer && m.Granted {
			late = append(late, m)
			return 0, false
		}
		return ms, true
	}
	a, b, cc := c.server("A"), c.electThat("B"), c.server("C")
	require.Len(c.t, late, 1)
	c.run(300 * ms)
	require.NoError(c.t, b.try(func(now tick) (Effects, error) { return b.core.Transfer(now, "A") }))
	c.runUntil(500*ms, a.reigns)
	c.run(300 * ms)
	b.wipe()
	c.replace("B", "B2")
	require.True(c.t, a.reigns())
	require.True(c.t, b.core.isVoter())

	cc.core.electionAt = Never
	c.deliver = loseAll
	c.runUntil(time.Second, func() bool {
		cc.core.electionAt, b.core.electionAt = Never, Never
		return !a.reigns()
	})
	c.run(200 * ms)
	c.deliver = func(m Message) (time.Duration, bool) {
		apart := m.From != "C" && m.To != "C"
		return ms, !apart && (m.From != "B" || m.Kind != VoteRequest && m.Kind != Heartbeat)
	}
	a.core.electionAt, b.core.electionAt = a.local()+ms, b.local()+ms
	c.run(4 * ms)
	require.Equal(c.t, []uint64{3, 3}, []uint64{a.core.Term(), b.core.Term()})
	require.Equal(c.t, Candidate, b.core.Role())
	require.Equal(c.t, "A", cc.core.hard.Vote)
	require.Equal(c.t, late[0].Sequence, b.core.campaign.sequence, "the vote names B's question by its number")
	c.receive(late[0])
	c.run(20 * ms)
}

// Rule 8: what one process has asked means nothing to another of its name.
func TestReplacedMemberCountsNoOldGrant(t *testing.T) {
	c := newCluster(t, 3)
	grantOutlivesMember(c)
	require.True(t, c.server("A").reigns())
	require.Equal(t, Candidate, c.server("B").core.Role())
	require.EqualValues(t, 1, c.server("B").core.Counters().Dropped.Late)
}

// Rule 8: of an answer, the process asked, the question and, if it grants a vote
// or a promise, the term must be this one's.
func TestOnlyAnswersToTheQuestionCount(t *testing.T) {
	tests := []struct {
		name  string
		stray func(m *Message)
	}{
		{"another process has asked", func(m *Message) { m.Asker++ }},
		{"an earlier question", func(m *Message) { m.Sequence-- }},
		{"an earlier term", func(m *Message) { m.Term-- }},
	}
	kinds := []struct {
		kind  MessageKind
		ready func(s *solo)
		won   func(s *solo) bool
	}{
		{PreVoteAnswer, func(s *solo) {
			s.electionAt = s.now
			s.wait(0)
		}, func(s *solo) bool { return s.Role() == Candidate }},
		{VoteAnswer, (*solo).campaignNow, func(s *solo) bool { return s.Role() == Leader }},
		{HeartbeatAnswer, func(s *solo) {
			s.win()
			s.wait(50 * ms)
		}, func(s *solo) bool { return s.peers[1].acked == s.now }},
	}
	for _, k := range kinds {
		for _, tt := range tests {
			if k.kind == PreVoteAnswer && tt.name == "an earlier term" {
				continue // It carries the voter's own, whatever that is.
			}
			t.Run(k.kind.String()+", "+tt.name, func(t *testing.T) {
				s := newSolo(t, 3)
				require.True(t, s.asked(s.from("B", VoteRequest, 1)))
				s.now += 400 * ms
				k.ready(s)
				a := s.from("B", k.kind, s.Term())
				a.Sequence, a.Granted = s.sequence, true
				stray := a
				tt.stray(&stray)
				s.step(stray)
				require.False(t, k.won(s))
				s.step(a)
				require.True(t, k.won(s))
			})
		}
	}
}

// A process that has restarted numbers its questions from 1 again, as its store's
// earlier one did.
func TestAnswersToAnEarlierProcessAreLate(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	grant := s.from("B", VoteAnswer, s.Term())
	grant.Sequence, grant.Granted = s.campaign.sequence, true
	s = s.reborn()
	s.now += 400 * ms
	s.campaignNow()
	require.Equal(t, grant.Sequence, s.campaign.sequence)
	s.unchanged(grant)
	grant.Term = s.Term()
	s.unchanged(grant)
	require.EqualValues(t, 2, s.Counters().Dropped.Late)
}

// Rule 16: a store that has just joined knows no configuration, so that any looks
// newer. It votes for nobody whose configuration does not name it: the name may
// have had another owner then, who has voted in the same term.
func TestJoinedStoreDoesNotVoteForItsPredecessors(t *testing.T) {
	tests := []struct {
		name    string
		bound   StoreID
		off     bool
		granted bool
	}{
		{"not named", StoreID{}, false, false},
		{"unbound", StoreID{}, false, false},
		{"bound to another", testStore("X"), false, false},
		{"bound to it", testStore("A"), false, true},
		{"this test can fail", StoreID{}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig("A")
			cfg.Start = Join()
			s := newSoloOf(t, cfg)
			s.faults.voteUnnamed = tt.off
			members := voters(3)
			members[0].StoreID = tt.bound
			if tt.name == "not named" {
				members = members[1:]
			}
			first, err := NewConfiguration(members...)
			require.NoError(t, err)
			for _, kind := range []MessageKind{PreVoteRequest, VoteRequest} {
				m := s.from("B", kind, 1)
				m.Configuration, m.ConfigurationID, m.Digest = first, first.ConfigurationID, first.Digest()
				require.Equal(t, tt.granted, s.asked(m))
			}
		})
	}
}

// Rule 16: bindings may be lost with the leader that made them, so that a later
// configuration binds nobody to a name that an earlier one has bound. A store that
// has joined under that name does not take it for a founder's: it neither takes the
// configuration in nor votes by it, from whatever message it hears of it.
func TestJoinedStoreIsNoFounder(t *testing.T) {
	for _, off := range []bool{false, true} {
		for _, kind := range []MessageKind{Heartbeat, PreVoteRequest, VoteRequest} {
			for _, knows := range []bool{false, true} {
				cfg := testConfig("A")
				cfg.Start = Join()
				s := newSoloOf(t, cfg)
				s.faults.voteUnnamed = off
				bound, err := NewConfiguration(voters(3)...)
				require.NoError(t, err)
				later := bound.Clone()
				bound.Members[0].StoreID = testStore("X")
				bound.Term, later.Term = 1, 3
				if knows {
					require.True(t, s.asked(s.heartbeatWith(bound)))
					s.wait(time.Second)
				}
				m := s.from("C", kind, 5)
				m.Configuration, m.ConfigurationID, m.Digest = later, later.ConfigurationID, later.Digest()
				before := s.hard.Configuration
				s.step(m)
				granted := false
				for _, kind := range []MessageKind{HeartbeatAnswer, PreVoteAnswer, VoteAnswer} {
					for _, a := range s.sent(kind) {
						granted = granted || a.Granted
					}
				}
				require.Equal(t, off, granted, "%v, knows %t", kind, knows)
				require.Equal(t, granted && (kind == Heartbeat || knows && kind == PreVoteRequest), !before.Equal(s.hard.Configuration))
			}
		}
	}
}

// Rule 19: a member that was away while the leader's disk was replaced would
// refuse it as wiped, and asks for the newer bindings instead. One that does not
// vote would learn of them only once it shows the bindings that it has (rule 17).
func TestMemberThatWasAwayFollowsReplacedLeader(t *testing.T) {
	follows := func(off bool) bool {
		c := newCluster(t, 3)
		c.electThat("A")
		c.run(300 * ms)
		spare := testConfig("D")
		spare.Start = Join()
		away := c.add(spare, 1)
		c.changeMember(func(l *Core) change {
			return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "D"}) }
		})
		away.crash()
		c.server("B").wipe()
		c.replace("B", "B2")
		a := c.server("A")
		require.NoError(t, a.try(func(now tick) (Effects, error) { return a.core.Transfer(now, "B") }))
		c.runUntil(time.Second, c.server("B").reigns)
		c.run(300 * ms)
		away.start()
		away.core.faults.keepOldBindings, away.core.faults.hideConfiguration = off, off
		c.run(3 * time.Second)
		return away.core.Leader() == "B"
	}
	require.True(t, follows(false))
	require.False(t, follows(true), "this test can fail")
}

// Rule 15: a late frame of the store that had a name before is not what the name
// is bound to, nor an answer of the one that has it now.
func TestLateFrameOfAPredecessorBindsNothing(t *testing.T) {
	bound := func(off bool) StoreID {
		s := newSolo(t, 3)
		s.win()
		s.confirm()
		s.faults.bindLateStores = off
		late := s.heartbeatAnswer("B")
		late.Incarnation = 9
		for _, edit := range []func() (Effects, error){
			func() (Effects, error) { return s.RemoveMember(s.now, "B") },
			func() (Effects, error) { return s.AddMember(s.now, Member{ID: "B"}) },
		} {
			_, err := edit()
			require.NoError(t, err)
			s.step(s.heartbeatAnswer("C"))
		}
		s.step(late)
		_, err := s.Promote(s.now, "B")
		if !off {
			require.ErrorIs(t, err, ErrMemberSilent)
		}
		s.wait(50 * ms)
		s.step(s.heartbeatAnswer("C"))
		s.wait(50 * ms)
		return s.hard.Configuration.Members[1].StoreID
	}
	require.Zero(t, bound(false))
	require.Equal(t, testStore("B"), bound(true), "this test can fail")
}
