package raft

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSilenceLeadsToACampaign(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect()
	var f *server
	for _, s := range c.servers {
		if s != l {
			f = s
		}
	}
	term := f.core.Term()
	l.crash()
	before := len(c.sent)
	c.runUntil(300*ms, func() bool { return len(c.sentSince(before, VoteRequest)) > 0 })
	requests := c.sentSince(before, VoteRequest)
	require.Len(t, requests, 2, "one for each other voter")
	for _, m := range requests {
		require.Equal(t, term+1, m.Term)
	}
}

func TestTimeoutsCoverTheWindow(t *testing.T) {
	for _, priority := range []int{0, -1, -3} {
		members := voters(3)
		members[0].Priority = priority
		s := newSoloOf(t, testConfig("A", members...))
		from := 150*ms + time.Duration(-priority)*150*ms
		var buckets [15]int
		for range 3000 {
			s.resetElection()
			d := s.electionAt - max(s.Core.now, s.promise.until-150*ms) - from
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.Less(t, d, 150*ms)
			buckets[d/(10*ms)]++
		}
		for _, n := range buckets {
			require.Greater(t, n, 100)
		}
	}
}

func TestTimeoutsSeldomCollide(t *testing.T) {
	s := newSolo(t, 3)
	collisions := 0
	for range 1000 {
		first, second := Never, Never
		for range 5 {
			s.resetElection()
			if s.electionAt < first {
				first, second = s.electionAt, first
			} else {
				second = min(second, s.electionAt)
			}
		}
		if second-first < ms {
			collisions++
		}
	}
	require.Less(t, collisions, 300)
}

func TestHeartbeatsKeepPower(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect()
	term := l.core.Term()
	c.run(1000 * 300 * ms)
	require.Same(t, l, c.leader())
	require.Equal(t, term, l.core.Term())
	for _, s := range c.servers {
		require.LessOrEqual(t, s.core.Counters().PreCampaigns, uint64(1))
	}
}

func TestOneHeartbeatLost(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect()
	term := l.core.Term()
	n := 0
	c.deliver = func(m Message) (time.Duration, bool) {
		if m.Kind == Heartbeat {
			n++
		}
		return ms, m.Kind != Heartbeat || n%3 != 0
	}
	before := len(c.sent)
	c.run(100 * 300 * ms)
	require.Same(t, l, c.leader())
	require.Equal(t, term, l.core.Term())
	require.Empty(t, c.sentSince(before, PreVoteRequest))
}

func TestPausedProcess(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect()
	l.paused = true
	c.run(10 * 300 * ms)
	next := c.leader()
	require.NotNil(t, next)
	require.NotSame(t, l, next)
	before := len(c.sent)
	l.resume()
	l.call(l.core.Tick)
	require.Zero(t, l.led, "it looks at the time first")
	c.run(10 * ms)
	require.Empty(t, c.sentSince(before, Heartbeat), "of nobody: the old leader is silent")
	c.run(300 * ms)
	require.True(t, c.agree())
	require.Same(t, next, c.leader())

	// Of a follower, queued timers fire once.
	f := c.server("A")
	if f == next {
		f = c.server("B")
	}
	f.paused = true
	c.run(10 * 300 * ms)
	before = len(c.sent)
	f.resume()
	f.call(f.core.Tick)
	require.LessOrEqual(t, len(c.sentSince(before, PreVoteRequest)), 2)
	c.run(300 * ms)
	require.Same(t, next, c.leader())
}

// A core reads no clock, and a time that goes back counts as the latest seen.
func TestTimeNeverGoesBack(t *testing.T) {
	s := newSolo(t, 3)
	s.now = 10 * time.Second
	s.win()
	end, _ := s.Reign()
	require.Empty(t, s.Tick(s.now-time.Hour).Messages)
	require.Zero(t, s.Tick(s.now-time.Hour).Lost)
	after, running := s.Reign()
	require.True(t, running)
	require.Equal(t, end, after)

	// What was promised is over for good.
	s = newSolo(t, 3)
	s.step(s.from("C", Heartbeat, 1))
	s.electionAt = Never
	s.Tick(s.now + 150*ms)
	s.step(s.from("B", PreVoteRequest, 2))
	require.True(t, s.last.Messages[0].Granted)
}

// Rule 6: a member that does not vote, or whose store is not the one bound to
// its name, gives up a leader that it does not hear, and campaigns for nothing.
func TestNonVotersGiveUpASilentLeader(t *testing.T) {
	tests := []struct {
		name   string
		become func(s *solo, me *Member)
		shows  bool
	}{
		{"listener", func(_ *solo, me *Member) { me.Voter = false }, true},
		{"wiped", func(_ *solo, me *Member) { me.StoreID = testStore("another") }, false},
		{"demoted", func(s *solo, me *Member) {
			require.True(s.t, s.asked(s.from("B", Heartbeat, 1)))
			me.Voter = false
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolo(t, 3)
			next := s.hard.Configuration.Clone()
			tt.become(s, &next.Members[0])
			next.Version++
			h := s.from("B", Heartbeat, 1)
			h.Configuration, h.ConfigurationID, h.Digest = next, next.ConfigurationID, next.Digest()
			for range 10 {
				h.Sequence++
				require.True(t, s.asked(h))
				require.Equal(t, "B", s.Leader())
				require.Less(t, s.Deadline(), s.now+300*ms)
				s.now += 100 * ms
			}
			s.now = s.Deadline()
			require.False(t, s.wait(0).Save)
			require.Empty(t, s.Leader())
			require.Equal(t, tt.shows, len(s.sent(PreVoteRequest)) > 0, "it shows its configuration")
			require.Equal(t, tt.shows, s.Deadline() != Never)
			require.Zero(t, s.Counters().PreCampaigns)

			require.True(t, s.asked(h), "an old heartbeat is answered")
			require.Empty(t, s.Leader(), "but does not say who lives")
			h.Sequence++
			s.faults.followForever = true
			require.True(t, s.asked(h))
			s.wait(time.Hour)
			require.Equal(t, "B", s.Leader(), "this test can fail")
		})
	}
}

// Members that were all given the same source of randomness do not campaign in
// step.
func TestEqualRandomSourcesElect(t *testing.T) {
	for seed := range uint64(20) {
		c := newCluster(t, 3)
		c.deliver = func(Message) (time.Duration, bool) { return 250 * time.Microsecond, true }
		for _, s := range c.servers {
			s.crash()
			s.cfg.Rand = rand.NewPCG(seed, seed)
		}
		for _, s := range c.servers {
			s.start()
		}
		c.run(3 * time.Second)
		require.NotNil(t, c.leader(), "seed %d", seed)
	}
}
