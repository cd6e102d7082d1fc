package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// reborn restarts a solo from what it has saved.
func (s *solo) reborn() *solo {
	s.t.Helper()
	found := StoredState{State: s.last.State, Found: true}
	require.True(s.t, s.last.Save)
	state, err := StartState(s.cfg, found, StoreID{})
	require.NoError(s.t, err)
	c, err := NewCore(s.cfg, state, s.boot+1, 0)
	require.NoError(s.t, err)
	c.electionAt = Never
	return &solo{Core: c, t: s.t}
}

func TestVoteSurvivesARestart(t *testing.T) {
	s := newSolo(t, 3)
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
	s = s.reborn()
	require.True(t, s.asked(s.from("B", VoteRequest, 1)), "even during the silence after a start")
	require.False(t, s.asked(s.from("C", VoteRequest, 1)))
	s.now += 500 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("C", VoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
}

func TestCandidateCrashes(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	require.Equal(t, "A", s.last.State.Vote)
	s = s.reborn()
	require.EqualValues(t, 1, s.Term())
	s.now += 500 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("B", VoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 2)))
}

func TestFailingSave(t *testing.T) {
	// A voter that cannot save grants nothing.
	c := newCluster(t, 3)
	c.server("B").saveErr, c.server("C").saveErr = errDisk, errDisk
	c.run(2 * 300 * ms)
	require.Empty(t, c.sentSince(0, VoteAnswer))
	require.Empty(t, c.oracle.leaders)
	require.ErrorIs(t, c.server("B").dead, errDisk)

	// A candidate asks for nothing.
	c = newCluster(t, 3)
	for _, s := range c.servers {
		s.saveErr = errDisk
	}
	c.run(10 * 300 * ms)
	require.Empty(t, c.sentSince(0, VoteRequest))

	// A leader ends its reign.
	c = newCluster(t, 3)
	l := c.elect()
	l.saveErr = errDisk
	c.runUntil(300*ms, func() bool { return l.dead != nil })
	require.Zero(t, l.led)
	require.Equal(t, l.core, (*Core)(nil))
	c.elect()
}

func TestSlowDiskOfOneFollower(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.server("C").saveFor = 2 * 300 * ms
	c.run(60 * ms)
	require.True(t, c.server("C").saving)
	c.run(100 * 300 * ms)
	require.Same(t, l, c.leader())
	require.EqualValues(t, 1, l.core.Term())
}

func TestWipedStore(t *testing.T) {
	c := newCluster(t, 3)
	c.electThat("A")
	c.run(300 * ms) // The stores are bound to their names.
	b := c.server("B")
	bound, _ := b.disk.State.Configuration.Member("B")
	require.Equal(t, testStore("B"), bound.StoreID)

	// The disk is lost and the node joins with an empty one.
	b.crash()
	b.disk, b.cfg.Start = StoredState{}, Join()
	delete(c.oracle.terms, "B")
	b.startAs(testStore("B2"))
	c.server("C").crash()
	before := len(c.sent)
	c.run(10 * 300 * ms)
	require.Nil(t, c.leader(), "its answers count for nothing")
	require.Equal(t, RefusedWiped, b.refused)
	require.Positive(t, c.server("A").core.Counters().Dropped.Wiped)
	for _, m := range c.sentSince(before, VoteAnswer) {
		require.False(t, m.From == "B" && m.Granted)
	}

	// It comes back by being removed, added and promoted.
	c.server("C").start()
	c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.RemoveMember(now, "B") } })
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "B"}) }
	})
	c.run(300 * ms)
	c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.Promote(now, "B") } })
	c.run(300 * ms)
	bound, _ = b.core.Configuration().Member("B")
	require.Equal(t, testStore("B2"), bound.StoreID)
	c.leader().crash()
	c.elect()
}

func TestRestartOfAFollower(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	for range 10 {
		c.server("B").restart()
		c.run(40 * ms)
	}
	c.run(300 * ms)
	require.Same(t, l, c.leader())
	require.EqualValues(t, 1, l.core.Term())
}

// Rule 15: two processes under one name are both refused while both live.
func TestTwinsAreRefused(t *testing.T) {
	s := newSolo(t, 3)
	one := s.from("B", Heartbeat, 1)
	require.True(t, s.asked(one))
	other := s.from("B", Heartbeat, 1)
	other.Boot = 2
	s.unchanged(other)
	require.Equal(t, Refusal, s.last.Messages[0].Kind)
	require.Equal(t, RefusedTwin, s.last.Messages[0].Reason)
	s.unchanged(s.from("B", Heartbeat, 1))
	require.EqualValues(t, 2, s.Counters().Dropped.Twins)

	// One of them ends.
	s.now += 301 * ms
	s.electionAt = Never
	require.True(t, s.asked(s.from("B", Heartbeat, 1)))
}

// Rule 16.
func TestStartState(t *testing.T) {
	bootstrap := testConfig("A", voters(3)...)
	join, resume := bootstrap, bootstrap
	join.Start, resume.Start = Join(), Resume()
	fresh := testStore("A")

	_, err := StartState(resume, StoredState{}, fresh)
	require.ErrorIs(t, err, ErrNoState)
	_, err = StartState(join, StoredState{}, StoreID{})
	require.ErrorIs(t, err, ErrConfig)

	state, err := StartState(join, StoredState{}, fresh)
	require.NoError(t, err)
	require.Equal(t, HardState{Identity: Identity{"test", "A", fresh, 1}}, state)
	again, err := StartState(resume, StoredState{State: state, Found: true}, StoreID{})
	require.NoError(t, err)
	require.Equal(t, HardState{Identity: Identity{"test", "A", fresh, 2}}, again)

	bootstrap.Start = Bootstrap(41, voters(3)...)
	state, err = StartState(bootstrap, StoredState{}, fresh)
	require.NoError(t, err)
	require.EqualValues(t, 41, state.Term, "the first leader's term is 42")
	require.Len(t, state.Configuration.Members, 3)

	// A node that joined in vain keeps its term.
	later := HardState{Identity: Identity{"test", "A", fresh, 1}, Term: 50}
	later, err = StartState(bootstrap, StoredState{State: later, Found: true}, fresh)
	require.NoError(t, err)
	require.EqualValues(t, 50, later.Term)

	// A stored configuration wins over flags.
	bootstrap.Start = Bootstrap(99, voters(5)...)
	state, err = StartState(bootstrap, StoredState{State: state, Found: true}, fresh)
	require.NoError(t, err)
	require.EqualValues(t, 41, state.Term)
	require.Len(t, state.Configuration.Members, 3)

	for _, other := range []Config{
		{ID: "B", Cluster: "test"}, {ID: "A", Cluster: "other"},
	} {
		_, err = StartState(other, StoredState{State: state, Found: true}, fresh)
		require.ErrorIs(t, err, ErrForeign)
	}
}
