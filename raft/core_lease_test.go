package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnsweredLeaderStays(t *testing.T) {
	c := newCluster(t, 5)
	l := c.elect()
	c.run(100 * 300 * ms)
	require.Same(t, l, c.leader())
	require.EqualValues(t, 1, l.core.Counters().Reigns)
}

func TestLeaderWithoutAMajoritySteps(t *testing.T) {
	for _, n := range []int{3, 5} {
		c := newCluster(t, n)
		l := c.elect()
		c.isolate(l.cfg.ID)
		c.run(150 * ms)
		require.Zero(t, l.led)
		require.Equal(t, Follower, l.core.Role())
		require.Empty(t, l.core.Leader())
	}
}

func TestOneFollowerLost(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.isolate("C")
	c.run(100 * 300 * ms)
	require.Same(t, l, c.leader())
}

func TestVoterThatHeardTheLeader(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 1))
	s.now += 149 * ms
	s.electionAt = Never
	s.unchanged(s.from("B", VoteRequest, 9))
	require.False(t, s.last.Messages[0].Granted)
	require.EqualValues(t, 1, s.last.Messages[0].Term)
	s.now += ms
	require.True(t, s.asked(s.from("B", VoteRequest, 9)))
}

func TestPromiseeAndTransferPass(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 1))
	require.True(t, s.asked(s.from("C", PreVoteRequest, 2)))
	require.True(t, s.asked(s.from("C", VoteRequest, 2)))

	s = newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 1))
	m := s.from("B", VoteRequest, 2)
	m.Transfer = 1
	require.True(t, s.asked(m))
	require.Equal(t, "B", s.promise.to)
}

func TestLeaderIsNotDisturbed(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.server("C").core.electionAt = 0 // It campaigns for no reason, again and again.
	for range 20 {
		c.run(30 * ms)
		c.server("C").core.electionAt = 0
	}
	c.run(300 * ms)
	require.Same(t, l, c.leader())
	require.EqualValues(t, 1, l.core.Term())
}

// A leader that is cut off ends its reign before the next one begins, whenever
// that happens and however clocks run within the bound: the oracle O6 looks.
func TestPartitionedLeaders(t *testing.T) {
	for seed := range uint64(300) {
		c := newClusterOf(t, seed, voters(5)...)
		for _, s := range c.servers {
			s.drift = c.random.Int64N(10_001) - 5_000
		}
		quick := func(Message) (time.Duration, bool) { return 150*time.Microsecond + rand.N(200*time.Microsecond), true }
		c.deliver = quick
		l := c.elect()
		c.run(time.Duration(c.random.Int64N(int64(100 * ms))))
		c.deliver = func(m Message) (time.Duration, bool) {
			d, _ := quick(m)
			return d, m.From != l.cfg.ID && m.To != l.cfg.ID
		}
		c.runUntil(10*300*ms, func() bool { return c.leader() != nil && c.leader() != l })
		require.Zero(t, l.led)
	}
}

func TestRestartAmnesia(t *testing.T) {
	c := newCluster(t, 3)
	c.electThat("A")
	b := c.server("B")
	c.run(60 * ms)
	require.Equal(t, 150*ms, b.disk.State.LongestPromise)
	b.restart()
	s := &solo{Core: b.core, t: t, now: b.local() + 149*ms}
	s.electionAt = Never
	s.unchanged(s.from("C", VoteRequest, 9))
	require.False(t, s.last.Messages[0].Granted)
	s.unchanged(s.from("C", PreVoteRequest, 9))
	require.False(t, s.last.Messages[0].Granted)
	_, err := s.Campaign(s.now)
	require.ErrorIs(t, err, ErrLeaderAlive)
}

func TestClockDrift(t *testing.T) {
	tests := []struct {
		drift   int64
		bounded bool
	}{
		{5_000, true}, {-5_000, true}, {400_000, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.drift), func(t *testing.T) {
			overlaps := 0
			for seed := range uint64(100) {
				c := newClusterOf(t, seed, voters(3)...)
				c.tolerant = true
				l := c.elect()
				c.run(500 * ms)
				// The leader's clock is slow, the others' fast.
				for _, s := range c.servers {
					s.base, s.since, s.drift = s.local(), c.now, tt.drift
				}
				l.drift = -tt.drift
				c.run(100 * ms)
				c.isolate(l.cfg.ID)
				c.run(3 * 300 * ms)
				for _, broken := range c.oracle.broken {
					require.Contains(t, broken, "O6", "tokens still increase")
					overlaps++
				}
			}
			require.Equal(t, tt.bounded, overlaps == 0)
		})
	}
}

func TestLeaseEndsBeforeTheTransfer(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	e, err := s.Transfer(s.now, "B")
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Lost)
	require.Len(t, e.Messages, 1)
	require.Equal(t, TimeoutNow, e.Messages[0].Kind)
	_, running := s.Reign()
	require.False(t, running)
	s.unchanged(s.heartbeatAnswer("B"))
	s.unchanged(s.heartbeatAnswer("C"))
	require.False(t, s.reigns())
}

// Rule 2: the length of a lease, and from when it counts.
func TestLeaseCountsFromTheSending(t *testing.T) {
	s := newSolo(t, 5)
	asked := s.now
	s.campaignNow()
	s.now += 20 * ms
	s.answerAll(VoteAnswer, 1)
	end, running := s.Reign()
	require.True(t, running)
	lease := time.Duration(int64(150*ms)*995_000/1_005_000) - 15*ms
	require.Equal(t, asked+lease, end, "votes count from the request")

	beat := s.now
	s.now += 30 * ms
	s.step(s.heartbeatAnswer("B"))
	end, _ = s.Reign()
	require.Equal(t, asked+lease, end, "two of five are no majority")
	s.step(s.heartbeatAnswer("B"))
	end, _ = s.Reign()
	require.Equal(t, asked+lease, end, "nor is one of them twice")
	s.now += 10 * ms
	s.step(s.heartbeatAnswer("C"))
	end, _ = s.Reign()
	require.Equal(t, beat+lease, end)
	require.Equal(t, min(s.reign.heartbeatAt, end), s.Deadline())

	s.reign.heartbeatAt = Never
	s.now = end - 1
	require.Zero(t, s.wait(0).Lost)
	require.EqualValues(t, 1, s.wait(1).Lost)
	require.Equal(t, Follower, s.Role())
}

// Rule 3: a winner without a valid lease has the maximal election timeout to
// get one.
func TestReignBeginsWithTheFirstLease(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	s.electionAt = Never
	s.now += 140 * ms
	s.answerAll(VoteAnswer, 1)
	require.Equal(t, Leader, s.Role())
	require.Zero(t, s.last.Led)
	late := s.clone()
	s.step(s.heartbeatAnswer("B"))
	require.EqualValues(t, 1, s.last.Led)

	alone := &solo{Core: late, t: t, now: s.now}
	for range 6 {
		require.Equal(t, Leader, alone.Role())
		alone.wait(50 * ms)
	}
	require.Equal(t, Follower, alone.Role())
	require.Zero(t, alone.last.Lost, "it never led")
}

// Rule 3: one reign in a term; once ended it never resumes.
func TestReignNeverResumes(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	answer := s.heartbeatAnswer("B")
	s.now += 140 * ms
	s.step(answer)
	require.EqualValues(t, 1, s.last.Lost, "deadlines first, even if the answer would have extended it")
	require.Zero(t, s.last.Led)
	require.Equal(t, Follower, s.Role())
	s.unchanged(answer)
}

// Rule 4: a heartbeat says how long a promise its sender counts on.
func TestPromiseIsAsLongAsAsked(t *testing.T) {
	s := newSolo(t, 3)
	m := s.from("B", Heartbeat, 1)
	m.Promise = time.Second
	s.step(m)
	require.Equal(t, s.now+time.Second, s.promise.until)
	require.Equal(t, time.Second, s.last.State.LongestPromise)
	s.now += 999 * ms
	s.electionAt = Never
	require.False(t, s.asked(s.from("C", VoteRequest, 5)))
	require.False(t, s.last.Save)

	// A restart keeps silent for as long.
	state := s.State()
	state.Incarnation++
	c, err := NewCore(s.cfg, state, 2, 0)
	require.NoError(t, err)
	until, to := c.PromisedUntil()
	require.Equal(t, time.Second, until)
	require.Empty(t, to)
	require.GreaterOrEqual(t, c.Deadline(), time.Second)
}

// Rule 7: the caller ends a reign that it has already ended for the application.
func TestStepDown(t *testing.T) {
	s := newSolo(t, 3)
	require.Zero(t, s.StepDown(s.now).Lost)
	s.win()
	require.EqualValues(t, 1, s.StepDown(s.now).Lost)
	require.Equal(t, Follower, s.Role())
	require.Zero(t, s.StepDown(s.now).Lost)
}

// Rule 2: what comes late or in the wrong order neither lengthens a lease nor
// lowers what is known of a member.
func TestLateAnswersDoNotCount(t *testing.T) {
	s := newSolo(t, 3)
	s.step(s.from("B", HeartbeatAnswer, 4))
	s.win()
	first := s.heartbeatAnswer("C")
	for range 2 * len(s.reign.rounds) {
		s.wait(50 * ms)
		s.step(s.heartbeatAnswer("B"))
	}
	s.step(first)
	require.Equal(t, longAgo, s.peers[2].acked, "its round is forgotten, and its place taken")

	older := s.heartbeatAnswer("C")
	s.wait(50 * ms)
	s.step(s.heartbeatAnswer("C"))
	acked := s.peers[2].acked
	s.step(older)
	require.Equal(t, acked, s.peers[2].acked)

	before := s.peers[1].acked
	for _, spoil := range []func(m *Message){
		func(m *Message) { m.Sequence++ },
		func(m *Message) { m.Granted = false },
		func(m *Message) { m.Term, m.ConfigurationID = m.Term-1, ConfigurationID{0, 1} },
	} {
		m := s.heartbeatAnswer("B")
		spoil(&m)
		s.step(m)
		require.Equal(t, before, s.peers[1].acked)
	}
}

// Rule 1: only time lowers a promise.
func TestPromiseIsNeverLowered(t *testing.T) {
	s := newSolo(t, 3)
	long := s.from("B", Heartbeat, 1)
	long.Promise = time.Second
	s.step(long)
	until := s.promise.until
	s.step(s.from("B", Heartbeat, 1))
	require.Equal(t, until, s.promise.until)

	// So has a candidate, and a leader with each round, as much as they ask of
	// others.
	s = newSolo(t, 3)
	s.campaignNow()
	require.Equal(t, promise{s.now + 150*ms, "A"}, s.promise)
	s.win()
	s.wait(50 * ms)
	require.Equal(t, promise{s.now + 150*ms, "A"}, s.promise)
	s.StepDown(s.now)
	require.False(t, s.asked(s.from("B", VoteRequest, 9)))
	s.now += 150 * ms
	s.electionAt = Never
	require.True(t, s.asked(s.from("B", VoteRequest, 9)))
}

// Rule 1: a leader holding a reign ignores vote requests, also those of a later
// term; and it has nothing to campaign for.
func TestReignIgnoresRequests(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	for _, kind := range []MessageKind{PreVoteRequest, VoteRequest} {
		s.unchanged(s.from("B", kind, 9))
		require.Empty(t, s.last.Messages, "%v", kind)
	}
	_, err := s.Campaign(s.now)
	require.ErrorIs(t, err, ErrLeaderAlive)
	require.Equal(t, Leader, s.Role())
}
