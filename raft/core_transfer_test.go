package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTransferNeedsNoTimeout(t *testing.T) {
	c := newCluster(t, 5)
	l := c.electThat("A")
	c.run(60 * ms)
	for _, s := range c.servers {
		s.saveFor = ms
	}
	before := len(c.sent)
	require.NoError(t, l.try(func(now time.Duration) (Effects, error) { return l.core.Transfer(now, "C") }))
	require.Zero(t, l.led)
	start := c.now
	c.runUntil(300*ms, func() bool { return c.server("C").reigns() })
	require.LessOrEqual(t, c.now-start, 5*ms, "one way, a save, there, a save, and back")
	require.Empty(t, c.sentSince(before, PreVoteRequest))
	c.run(10 * ms)
	require.True(t, c.agree())
	require.EqualValues(t, 2, c.leader().core.Term())
}

func TestTransferAskedFromAFollower(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 1))
	_, err := s.Transfer(s.now, "C")
	var elsewhere *NotLeaderError
	require.ErrorAs(t, err, &elsewhere)
	require.Equal(t, NotLeaderError{Leader: "B", Term: 1}, *elsewhere)
	require.ErrorIs(t, err, ErrNotLeader)
}

func TestTransferToNobody(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(3), Member{ID: "L"})...))
	s.win()
	for to, want := range map[string]error{"A": ErrSelf, "X": ErrUnknownMember, "L": ErrNotVoter} {
		e, err := s.Transfer(s.now, to)
		require.ErrorIs(t, err, want)
		require.Zero(t, e.Lost)
		require.True(t, s.reigns())
	}
}

func TestTransferInVain(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.run(10 * ms)
	c.server("C").crash()
	require.NoError(t, l.try(func(now time.Duration) (Effects, error) { return l.core.Transfer(now, "C") }))
	err := l.try(func(now time.Duration) (Effects, error) { return l.core.Transfer(now, "B") })
	require.ErrorIs(t, err, ErrTransferring)
	c.run(299 * ms)
	require.Nil(t, c.leader(), "it never leads in that term again")
	require.EqualValues(t, 1, c.server("B").core.Term(), "and keeps the others quiet")
	c.run(20 * ms)
	require.Same(t, l, c.leader())
	require.EqualValues(t, 2, l.core.Term())
}

func TestDeposedWhileTransferring(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	_, err := s.Transfer(s.now, "B")
	require.NoError(t, err)
	s.step(s.from("C", Heartbeat, 5))
	require.Equal(t, Follower, s.Role())
	s.now += 200 * ms
	s.win()
	_, err = s.Transfer(s.now, "B")
	require.NoError(t, err, "a later reign is not bound by it")
}

func TestTransferWithoutAReign(t *testing.T) {
	s := newSolo(t, 3)
	for _, be := range []func(){func() {}, s.campaignNow} {
		be()
		_, err := s.Transfer(s.now, "B")
		require.ErrorIs(t, err, ErrNotLeader)
	}
}

func TestResignHandsOver(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.server("B").crash()
	c.run(200 * ms)
	require.NoError(t, l.try(l.core.Resign))
	c.runUntil(5*ms, func() bool { return c.server("C").reigns() })

	c = newCluster(t, 1)
	c.run(300 * ms)
	a := c.server("A")
	require.NoError(t, a.try(a.core.Resign))
	require.Zero(t, a.led)
	require.Equal(t, Follower, a.core.Role())
	c.run(300 * ms)
	require.EqualValues(t, 2, a.led)
}

func TestResignOfAFollower(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 1))
	before := s.clone()
	_, err := s.Resign(s.now)
	require.ErrorIs(t, err, ErrNotLeader)
	require.Equal(t, before.promise, s.promise)
	require.Equal(t, "B", s.Leader())
}

// Rule 5: what a transfer flag releases, and what not.
func TestTransferFlag(t *testing.T) {
	tests := []struct {
		name     string
		be       func(s *solo)
		transfer uint64
		granted  bool
	}{
		{"promise to the leader of its term", func(s *solo) { s.step(s.from("C", Heartbeat, 4)) }, 4, true},
		{"no flag", func(s *solo) { s.step(s.from("C", Heartbeat, 4)) }, 0, false},
		{"leader not known", func(s *solo) { s.asked(s.from("C", VoteRequest, 4)) }, 4, false},
		{"promise to another", func(s *solo) {
			s.asked(s.from("B", VoteRequest, 3))
			s.promise.to = "X"
			s.leader = "C"
			s.hard.Term = 4
		}, 4, false},
		{"earlier term", func(s *solo) { s.step(s.from("C", Heartbeat, 3)) }, 4, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, 3)
			tt.be(s)
			m := s.from("B", VoteRequest, 5)
			m.Transfer = tt.transfer
			require.Equal(t, tt.granted, s.asked(m))
		})
	}
	s := newSolo(t, 3)
	s.last.Save, s.last.State = true, s.hard
	s = s.reborn()
	m := s.from("B", VoteRequest, 1)
	require.False(t, s.asked(m), "nothing lifts the silence after a start")
}

// Rule 5: only the leader of the own term or of a later one can ask for a
// campaign, and it lifts promises to itself only.
func TestTimeoutNowOfAnotherTerm(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", Heartbeat, 4))
	s.unchanged(s.from("B", TimeoutNow, 3))
	s.unchanged(s.from("C", TimeoutNow, 4))
	bound := s.promise
	other := &solo{Core: s.clone(), t: t, now: s.now}
	other.step(s.from("C", TimeoutNow, 5))
	require.Equal(t, Follower, other.Role())
	require.EqualValues(t, 5, other.Term())
	require.Equal(t, bound, other.promise)
	require.Empty(t, other.Leader(), "it gives the lead up")
	other.unchanged(s.from("B", TimeoutNow, 5))
	s.step(s.from("B", TimeoutNow, 4))
	require.Equal(t, Candidate, s.Role())
	for _, m := range s.sent(VoteRequest) {
		require.EqualValues(t, 4, m.Transfer)
	}
	require.Len(t, s.sent(VoteRequest), 2)
	s.unchanged(s.from("B", TimeoutNow, 4))
}

// Rule 5: TimeoutNow may overtake the first heartbeats of the leader that sends
// it, also to a member that knows nothing of its term.
func TestTimeoutNowBeforeTheFirstHeartbeat(t *testing.T) {
	for _, voted := range []bool{true, false} {
		s := newSolo(t, 3)
		if voted {
			require.True(t, s.asked(s.from("B", VoteRequest, 7)))
		}
		s.step(s.from("B", TimeoutNow, 7))
		require.Equal(t, Candidate, s.Role())
		require.EqualValues(t, 8, s.Term())
		require.EqualValues(t, 7, s.sent(VoteRequest)[0].Transfer)
	}
}

// Rule 5: nobody leads for as long as a transfer to a dead member takes to fail,
// so it is not begun, and the leader goes on.
func TestTransferToASilentMember(t *testing.T) {
	transfer := func(off bool) (err error, leads bool) {
		c := newCluster(t, 3)
		l := c.electThat("A")
		c.server("C").crash()
		c.run(time.Hour / 60)
		l.core.faults.transferToSilent = off
		err = l.try(func(now tick) (Effects, error) { return l.core.Transfer(now, "C") })
		c.run(100 * ms)
		return err, l.reigns()
	}
	err, leads := transfer(false)
	require.Equal(t, &MemberError{ID: "C", Reason: ErrMemberSilent}, err)
	require.True(t, leads)
	err, leads = transfer(true)
	require.NoError(t, err)
	require.False(t, leads, "this test can fail")

	s := newSolo(t, 3)
	s.win() // By B's vote; C has not had time to answer.
	s.now += 49 * ms
	require.NoError(t, s.mayTransfer("C"))
	s.wait(ms)
	require.ErrorIs(t, s.mayTransfer("C"), ErrMemberSilent)
	require.NoError(t, s.mayTransfer("B"))
	a := s.heartbeatAnswer("C")
	s.step(a)
	require.NoError(t, s.mayTransfer("C"))
}
