package raft

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// twoProcesses returns a node that has heard a process of B, then a later one of
// the same store, and a maker of further requests of each, by incarnation.
func twoProcesses(t *testing.T) (s *solo, speak func(incarnation uint64) RefusalReason) {
	t.Helper()
	s = newSolo(t, 3)
	var sequence [4]uint64
	speak = func(incarnation uint64) RefusalReason {
		t.Helper()
		m := s.from("B", Heartbeat, 1)
		sequence[incarnation]++
		m.Incarnation, m.Boot, m.Sequence = incarnation, incarnation, sequence[incarnation]
		s.step(m)
		s.electionAt = Never
		for _, r := range s.sent(Refusal) {
			require.Equal(t, []uint64{m.Boot, m.Sequence}, []uint64{r.Asker, r.Sequence})
			return r.Reason
		}
		return 0
	}
	require.Zero(t, speak(1))
	require.Zero(t, speak(2))
	return s, speak
}

// Rule 15: the last messages of a process that is no more may come late, in any
// number, and still its successor is heard.
func TestLateFramesAreNoTwin(t *testing.T) {
	s, speak := twoProcesses(t)
	for range 10 { // In one burst, long after.
		s.now += 400 * ms
		require.Zero(t, speak(2))
	}
	for range 10 {
		s.now += 20 * ms
		require.Zero(t, speak(1))
		require.Zero(t, speak(2))
	}
	require.EqualValues(t, 10, s.Counters().Dropped.Late)
	require.Zero(t, s.Counters().Dropped.Twins)

	// What was seen before shows nothing, however often it comes.
	s, speak = twoProcesses(t)
	again := s.from("B", Heartbeat, 1)
	for range 10 {
		s.now += 400 * ms
		s.unchanged(again)
		require.Empty(t, s.last.Messages)
	}
	require.Zero(t, speak(2))
}

// The same among real nodes: one late heartbeat to each follower of a process
// whose successor leads.
func TestLateFramesDoNotEndAReign(t *testing.T) {
	late := func(off bool) (before, after uint64) {
		c := newCluster(t, 3)
		c.electThat("B")
		c.run(300 * ms)
		old := c.sentSince(0, Heartbeat)
		c.server("B").restart()
		c.run(500 * ms)
		for _, s := range c.servers {
			s.core.faults.trustLateFrames = off
		}
		if l := c.elect(); l.cfg.ID != "B" {
			c.run(200 * ms)
			require.NoError(t, l.try(func(now tick) (Effects, error) { return l.core.Transfer(now, "B") }))
		}
		c.runUntil(time.Second, c.server("B").reigns)
		c.run(time.Second)
		before = c.server("B").core.Term()
		for _, m := range old[len(old)-2:] {
			c.receive(m)
		}
		c.run(time.Second)
		return before, c.server("A").core.Term()
	}
	before, after := late(false)
	require.Equal(t, before, after)
	before, after = late(true)
	require.Less(t, before, after, "this test can fail")
}

// Rule 15: a copy of a store is found by what it does after the later process
// has begun. Then both are refused.
func TestEarlierProcessThatLivesOnIsATwin(t *testing.T) {
	t.Run("its requests go on", func(t *testing.T) {
		s, speak := twoProcesses(t)
		for range 2*300/50 - 1 {
			s.now += 50 * ms
			require.Zero(t, speak(1))
			require.Zero(t, speak(2))
		}
		s.now += 50 * ms
		require.NotZero(t, speak(1))
		require.Equal(t, RefusedTwin, speak(2))
		require.Equal(t, RefusedTwin, speak(1))
		require.Equal(t, RefusedTwin, speak(3), "to restart once more settles nothing")
		s.now += 301 * ms
		require.Zero(t, speak(3), "the copy has ended")
	})
	t.Run("it answers what was asked since", func(t *testing.T) {
		s := newSolo(t, 3)
		answer := func(incarnation, sequence uint64) {
			a := s.from("B", PreVoteAnswer, s.Term())
			a.Incarnation, a.Boot, a.Sequence = incarnation, incarnation, sequence
			s.step(a)
		}
		s.electionAt = s.now
		s.wait(0)
		answer(1, s.sequence)
		answer(2, s.sequence)
		answer(1, s.campaign.sequence-1)
		require.EqualValues(t, 1, s.Counters().Dropped.Late)
		s.electionAt = s.now
		s.wait(0)
		answer(1, s.sequence)
		require.Len(t, s.sent(Refusal), 1)
		answer(2, s.sequence)
		require.Equal(t, RefusedTwin, s.sent(Refusal)[0].Reason)
		answer(1, s.sequence)
		require.Equal(t, RefusedTwin, s.sent(Refusal)[0].Reason)
	})
}

// Rule 15: a state file put back from a backup is told so, not that it has a
// twin, as long as the later process is silent.
func TestRestoredStateIsTold(t *testing.T) {
	c := newCluster(t, 3)
	c.electThat("A")
	b := c.server("B")
	backup := b.disk
	for range 3 {
		b.restart()
		c.run(200 * ms)
	}
	require.Zero(t, b.refused)
	b.crash()
	b.disk = backup
	b.start()
	c.run(300 * ms)
	require.Equal(t, RefusedRestored, b.refused)
	require.Equal(t, "A", b.core.Leader(), "it hears its leader, but is not counted")
	require.Positive(t, c.server("A").core.Counters().Dropped.Restored)
	require.Zero(t, c.server("A").core.Counters().Dropped.Twins)

	// Without a leader it asks, and is told as well.
	s, speak := twoProcesses(t)
	for range 2 {
		s.now += 301 * ms
		require.Zero(t, s.Counters().Dropped.Restored)
		speak(1)
	}
	require.Equal(t, RefusedRestored, s.sent(Refusal)[0].Reason)
	s.now += 50 * ms
	require.Equal(t, RefusedRestored, speak(1))
	require.Zero(t, s.Counters().Dropped.Twins)
}

// Rule 15: a follower may learn of two changes at once, the removal of a member
// and that another store has its name.
func TestReplacementOfAPeerBeginsAnew(t *testing.T) {
	replaced := func(off bool) (heard bool) {
		s := newSolo(t, 3)
		s.faults.keepReplacedPeers = off
		next := s.hard.Configuration.Clone()
		for _, store := range []string{"B", "B2"} {
			h := s.from("C", Heartbeat, 1)
			next.Version++
			next.Members[1].StoreID = testStore(store)
			h.Configuration = next.Clone()
			h.ConfigurationID, h.Digest = next.ConfigurationID, next.Digest()
			require.True(t, s.asked(h))
			m := s.from("B", PreVoteRequest, 2)
			m.StoreID = testStore(store)
			m.Incarnation, m.Boot = 5, 5
			if store == "B2" {
				m.Incarnation, m.Boot = 1, 6
			}
			s.step(m)
			heard = len(s.sent(PreVoteAnswer)) == 1
		}
		return heard
	}
	require.True(t, replaced(false))
	require.False(t, replaced(true), "this test can fail")
}

// Rule 15: founders that were given different members are told, each by the
// others, and say so until they are mended.
func TestFoundersThatDifferAreTold(t *testing.T) {
	c := &cluster{t: t, oracle: newOracle()}
	for i := range 3 {
		members := voters(3)
		members[i].Data = "localhost"
		c.add(testConfig(members[i].ID, members...), uint64(i))
	}
	c.run(10 * time.Second)
	require.Nil(t, c.leader())
	for _, s := range c.servers {
		require.Equal(t, RefusedConfiguration, s.refused)
		require.Positive(t, s.core.Counters().Dropped.Conflicting)
	}
}

// Rule 15: a member that was removed is told by those who know. One that they
// have not heard of yet is not.
func TestRemovedMemberIsTold(t *testing.T) {
	c := newCluster(t, 3)
	c.electThat("A")
	c.run(300 * ms)
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.RemoveMember(now, "C") }
	})
	c.run(time.Second)
	require.Equal(t, RefusedRemoved, c.server("C").refused)
	require.Zero(t, c.server("B").refused)

	s := newSolo(t, 3)
	for _, tt := range []struct {
		shown ConfigurationID
		told  int
	}{{ConfigurationID{}, 0}, {ConfigurationID{1, 1}, 1}, {ConfigurationID{2, 2}, 0}} {
		s.hard.Configuration.ConfigurationID = ConfigurationID{2, 2}
		m := s.from("X", HeartbeatAnswer, 2)
		m.ConfigurationID, m.Digest = tt.shown, s.digest
		s.unchanged(m)
		require.Len(t, s.sent(Refusal), tt.told)
	}
}

// Rule 15: a refusal that is not about a message of this process, or from a node
// that knows less, says nothing; and none is refused in turn.
func TestRefusalsOfOthersAreIgnored(t *testing.T) {
	s := newSolo(t, 3)
	s.hard.Configuration.Version = 2
	r := s.from("B", Refusal, 1)
	r.Reason = RefusedRemoved
	for _, bend := range []func(m *Message){
		func(m *Message) { m.Asker++ },
		func(m *Message) { m.ConfigurationID.Version = 1 },
	} {
		m := r
		bend(&m)
		s.unchanged(m)
		require.Zero(t, s.last.Refused)
	}
	r.Digest++ // Its own configuration may be what differs.
	s.unchanged(r)
	require.Equal(t, RefusedRemoved, s.last.Refused)
	require.Empty(t, s.last.Messages)
}

// Rule 11: a term far beyond all that the cluster can have come to uses up
// nothing.
func TestTermTooFarAheadIsNotFollowed(t *testing.T) {
	bricked := func(off bool) bool {
		c := newCluster(t, 3)
		l := c.electThat("A")
		for _, s := range c.servers {
			s.core.faults.followAnyTerm = off
		}
		bad := c.sentSince(0, HeartbeatAnswer)[0]
		bad.Term = math.MaxUint64 - 1
		c.receive(bad)
		c.run(10 * 300 * ms)
		if !off {
			require.Same(t, l, c.leader())
			require.EqualValues(t, 1, l.core.Term())
			require.EqualValues(t, 1, l.core.Counters().Dropped.Malformed)
		}
		return c.leader() == nil
	}
	require.False(t, bricked(false))
	require.True(t, bricked(true), "this test can fail")

	s := newSolo(t, 3)
	require.True(t, s.asked(s.from("B", Heartbeat, 1<<40)), "a node that knows no term may have joined late")
	require.True(t, s.asked(s.from("B", Heartbeat, 1<<40+maxTermJump)))
	s.unchanged(s.from("B", Heartbeat, 1<<40+2*maxTermJump+1))
}
