package raft

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// confirm lets a reign confirm its configuration and bind the stores.
func (s *solo) confirm() {
	s.t.Helper()
	for range 3 {
		s.wait(50 * ms)
		for _, m := range s.hard.Configuration.Members {
			if m.ID != s.ID() {
				s.step(s.heartbeatAnswer(m.ID))
			}
		}
	}
	require.NoError(s.t, s.mayReconfig())
}

func TestWhoCampaigns(t *testing.T) {
	other := testStore("other")
	tests := []struct {
		name    string
		members []Member
		err     error
	}{
		{"voter", voters(3), nil},
		{"only voter", voters(1), nil},
		{"listener", []Member{{ID: "A"}, {ID: "B", Voter: true}}, ErrNotVoter},
		{"not named", voters(3)[1:], ErrUnknownMember},
		{"wiped", []Member{{ID: "A", Voter: true, StoreID: other}, {ID: "B", Voter: true}}, ErrWiped},
		{"no configuration", nil, ErrUnknownMember},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig("A")
			cfg.Start = Join()
			s := newSoloOf(t, cfg)
			if tt.members != nil {
				next, err := NewConfiguration(tt.members...)
				require.NoError(t, err)
				s.install(next)
			}
			s.resetElection()
			require.Equal(t, s.self >= 0, s.electionAt != Never)
			_, err := s.Campaign(s.now)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.err == nil, s.Role() != Follower)
		})
	}
}

func TestListenerVotes(t *testing.T) {
	cfg := testConfig("A", Member{ID: "A"}, Member{ID: "B", Voter: true}, Member{ID: "C", Voter: true})
	s := newSoloOf(t, cfg)
	require.True(t, s.asked(s.from("B", PreVoteRequest, 1)))
	require.True(t, s.asked(s.from("B", VoteRequest, 1)))
}

func TestRemovedNodeDisturbsNobody(t *testing.T) {
	c := newCluster(t, 4)
	l := c.electThat("A")
	d := c.server("D")
	d.paused = true // It does not hear that it is removed.
	c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.RemoveMember(now, "D") } })
	d.resume()
	term := l.core.Term()
	c.run(100 * 300 * ms)
	require.Same(t, l, c.leader())
	require.Equal(t, term, l.core.Term())
	require.Equal(t, term, d.core.Term())
	require.Positive(t, d.core.Counters().PreCampaigns)
	require.Positive(t, l.core.Counters().Dropped.Unknown)
}

func TestLeaderRemovesItselfByTransfer(t *testing.T) {
	c := newCluster(t, 3)
	l := c.electThat("A")
	c.run(300 * ms)
	for _, f := range []func(tick, string) (Effects, error){l.core.RemoveMember, l.core.Demote} {
		require.ErrorIs(t, l.try(func(now tick) (Effects, error) { return f(now, "A") }), ErrSelf)
	}
	require.NoError(t, l.try(func(now tick) (Effects, error) { return l.core.Transfer(now, "B") }))
	c.runUntil(100*ms, func() bool { return c.server("B").reigns() })
	c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.RemoveMember(now, "A") } })
	require.Len(t, c.leader().core.Configuration().Members, 2)
	l.crash()
	c.run(10 * 300 * ms)
	require.Same(t, c.server("B"), c.leader())
}

// The bug of single-server changes found in 2015: leaders of different terms
// each change one voter of the same configuration. See core_fault_test.go for
// the same schedule without the rule.
func TestOverlappingChanges(t *testing.T) {
	c := newCluster(t, 4)
	overlappingChanges(c)
	require.Empty(t, c.oracle.broken)
}

func TestMoreProcessesThanConfigured(t *testing.T) {
	c := newCluster(t, 3)
	c.add(testConfig("D", voters(4)...), 1)
	c.cut("AB", "CD", false)
	c.runUntil(10*300*ms, func() bool { return c.leader() != nil })
	c.run(100 * 300 * ms)
	require.Contains(t, "AB", c.leader().cfg.ID)
	c.heal()
	c.run(100 * 300 * ms)
	require.Len(t, c.oracle.leaders, 1)
	require.Zero(t, c.server("D").core.Term())
	require.Positive(t, c.server("C").core.Counters().Dropped.Conflicting)
}

// The schedule of rule 19: three grow to five, and two of the three die before
// the third has heard of it.
func TestGrowthSurvivesTheOldMajority(t *testing.T) {
	c := newCluster(t, 3)
	growAndLoseTwo(c)
	c.runUntil(20*300*ms, func() bool { return c.leader() != nil })
	require.Contains(t, "CDE", c.leader().cfg.ID)
}

// growAndLoseTwo grows A, B, C by D and E while C hears nothing, and crashes A
// and B.
func growAndLoseTwo(c *cluster) {
	c.t.Helper()
	c.electThat("A")
	c.run(300 * ms)
	c.server("C").paused = true
	for _, id := range []string{"D", "E"} {
		cfg := testConfig(id)
		cfg.Start = Join()
		c.add(cfg, 1)
		c.changeMember(func(l *Core) change {
			return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: id}) }
		})
		c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.Promote(now, id) } })
	}
	c.server("A").crash()
	c.server("B").crash()
	c.run(2 * ms)
	c.server("C").inbox = nil
	c.server("C").resume()
	require.Len(c.t, c.server("C").core.Configuration().Members, 3)
}

// Rule 17: the winner's configuration takes the new term, and is durable on a
// quorum before it may change.
func TestWinnerConfirmsItsConfiguration(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	require.ErrorIs(t, s.mayReconfig(), ErrReconfigPending)
	early := s.heartbeatAnswer("B")
	s.wait(50 * ms)
	require.Equal(t, ConfigurationID{1, 1}, s.last.State.Configuration.ConfigurationID)
	require.True(t, s.last.Save)
	for _, m := range s.sent(Heartbeat) {
		require.Equal(t, ConfigurationID{1, 1}, m.ConfigurationID)
	}

	// Rule 18: no other message counts.
	early.ConfigurationID, early.Digest = s.hard.Configuration.ConfigurationID, s.digest
	s.step(early) // Sent before the configuration was installed.
	require.ErrorIs(t, s.mayReconfig(), ErrReconfigPending)
	older := s.heartbeatAnswer("B")
	older.ConfigurationID, older.Digest = ConfigurationID{0, 1}, 7
	s.step(older)
	require.ErrorIs(t, s.mayReconfig(), ErrReconfigPending)
	vote := s.heartbeatAnswer("B")
	vote.Kind = VoteAnswer
	s.step(vote)
	require.ErrorIs(t, s.mayReconfig(), ErrReconfigPending)
	s.step(s.heartbeatAnswer("B"))
	require.NoError(t, s.mayReconfig())
}

// Rule 17: a newer configuration is saved before it is acknowledged, ends a
// campaign, and keeps votes from older ones.
func TestNewerConfigurationOfAHeartbeat(t *testing.T) {
	s := newSolo(t, 3)
	s.campaignNow()
	next := s.hard.Configuration.Clone()
	next.Term, next.Version = 1, 2
	next.Members[2].Voter = false
	m := s.from("B", Heartbeat, 1)
	m.Configuration, m.ConfigurationID, m.Digest = next, next.ConfigurationID, next.Digest()
	require.True(t, s.asked(m))
	require.Equal(t, Follower, s.Role())
	require.True(t, s.last.Save)
	require.True(t, next.Equal(s.last.State.Configuration))
	require.Equal(t, next.ConfigurationID, s.last.Messages[0].ConfigurationID)

	s.now += 500 * ms
	s.electionAt = Never
	older := newSolo(t, 3)
	request := older.from("C", VoteRequest, 5)
	require.False(t, s.asked(request), "the candidate's configuration is older")
	require.EqualValues(t, 5, s.Term())
	require.True(t, s.asked(s.from("C", VoteRequest, 5)))
}

// Rule 19: a heartbeat from nowhere that names a newer configuration is answered
// with one's own, so that the next one brings it.
func TestJoinerAsksForTheConfiguration(t *testing.T) {
	c := newCluster(t, 1)
	c.run(300 * ms)
	cfg := testConfig("B")
	cfg.Start = Join()
	b := c.add(cfg, 1)
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "B", Data: "b:1"}) }
	})
	require.True(t, c.agree())
	m, _ := b.core.Configuration().Member("B")
	require.Equal(t, Member{ID: "B", Data: "b:1", StoreID: testStore("B")}, m)
	bodies := 0
	for _, m := range c.sentSince(0, Heartbeat) {
		if !m.Configuration.IsZero() {
			bodies++
		}
	}
	require.LessOrEqual(t, bodies, 2, "only while an answer shows an older one")
}

// Rule 18.
func TestChangesThatAreRefused(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(3), Member{ID: "L"})...))
	_, err := s.AddMember(s.now, Member{ID: "X"})
	require.ErrorIs(t, err, ErrNotLeader)
	s.win()
	_, err = s.AddMember(s.now, Member{ID: "X"})
	require.ErrorIs(t, err, ErrReconfigPending)
	s.confirm()
	before := s.State()

	tests := []struct {
		name string
		call func() (Effects, error)
		want error
	}{
		{"add an existing one", func() (Effects, error) { return s.AddMember(s.now, Member{ID: "B"}) }, ErrMemberExists},
		{"add a voter", func() (Effects, error) { return s.AddMember(s.now, Member{ID: "X", Voter: true}) }, ErrConfig},
		{"add without a name", func() (Effects, error) { return s.AddMember(s.now, Member{}) }, ErrConfig},
		{"add with a store", func() (Effects, error) {
			return s.AddMember(s.now, Member{ID: "X", StoreID: testStore("X")})
		}, ErrConfig},
		{"remove a stranger", func() (Effects, error) { return s.RemoveMember(s.now, "X") }, ErrUnknownMember},
		{"promote a stranger", func() (Effects, error) { return s.Promote(s.now, "X") }, ErrUnknownMember},
		{"demote oneself", func() (Effects, error) { return s.Demote(s.now, "A") }, ErrSelf},
		{"remove oneself", func() (Effects, error) { return s.RemoveMember(s.now, "A") }, ErrSelf},
		{"promote the silent", func() (Effects, error) {
			for _, id := range []string{"B", "C"} {
				s.step(s.heartbeatAnswer(id))
			}
			for range 4 {
				s.wait(50 * ms)
				s.step(s.heartbeatAnswer("B"))
			}
			return s.Promote(s.now, "L")
		}, ErrMemberSilent},
	}
	for _, tt := range tests {
		_, err := tt.call()
		require.ErrorIs(t, err, tt.want, tt.name)
		require.True(t, before.Equal(s.State()), tt.name)
	}

	// A change must be acknowledged before the next; one that changes nothing
	// is none.
	_, err = s.Promote(s.now, "B")
	require.NoError(t, err)
	require.True(t, before.Equal(s.State()))
	e, err := s.AddMember(s.now, Member{ID: "X"})
	require.NoError(t, err)
	require.True(t, e.Save)
	require.Len(t, s.hard.Configuration.Members, 5)
	_, err = s.RemoveMember(s.now, "X")
	require.ErrorIs(t, err, ErrReconfigPending)
}

func TestMembersAreLimited(t *testing.T) {
	members := voters(1)
	for i := range MaxMembers - 1 {
		members = append(members, Member{ID: fmt.Sprintf("listener-%02d", i)})
	}
	s := newSoloOf(t, testConfig("A", members...))
	s.electionAt = s.now
	s.wait(0)
	s.wait(50 * ms)
	require.NoError(t, s.mayReconfig())
	_, err := s.AddMember(s.now, Member{ID: "X"})
	require.ErrorIs(t, err, ErrConfig)
	s.hard.Configuration.Version = math.MaxUint64 - 1
	_, err = s.RemoveMember(s.now, "listener-01")
	require.ErrorIs(t, err, ErrTermLimit)
}

// Rule 20: the level goes up once every member speaks it, and no node follows a
// configuration above its own.
func TestLevelRisesOnceAllSpeakIt(t *testing.T) {
	c := newCluster(t, 3)
	for _, s := range c.servers {
		s.core.level = 2
	}
	c.server("C").core.level = 1
	c.electThat("A")
	c.run(time.Second)
	require.EqualValues(t, 1, c.leader().core.Configuration().Level)
	c.server("C").core.level = 2
	c.run(time.Second)
	require.EqualValues(t, 2, c.leader().core.Configuration().Level)
	require.EqualValues(t, 2, c.server("B").disk.State.Configuration.Level)

	b := c.server("B").core
	b.level = 1
	before := b.Counters().Dropped.Unsupported
	l := c.leader().core
	m := l.message(VoteRequest, "B")
	m.Promise, m.Term, m.Configuration = 150*ms, 9, l.hard.Configuration
	b.Step(b.now, m)
	require.Equal(t, before+1, b.Counters().Dropped.Unsupported)
	require.EqualValues(t, 1, b.Term())

	_, err := NewCore(c.server("B").cfg, b.State(), 1, 0)
	require.ErrorIs(t, err, ErrConfig)
}

// Rule 15: the first leader binds the stores that it hears.
func TestStoresAreBound(t *testing.T) {
	c := newCluster(t, 3)
	c.server("C").paused = true
	c.runUntil(10*300*ms, func() bool { return c.leader() != nil })
	c.run(300 * ms)
	for _, m := range c.leader().core.Configuration().Members {
		require.Equal(t, m.ID != "C", m.StoreID == testStore(m.ID))
	}
	version := c.leader().core.Configuration().Version
	require.EqualValues(t, 2, version, "all at once")
	c.server("C").resume()
	c.run(time.Second)
	require.Equal(t, version+1, c.leader().core.Configuration().Version)
}

// heartbeatWith returns a heartbeat of B that brings a configuration.
func (s *solo) heartbeatWith(next Configuration) Message {
	m := s.from("B", Heartbeat, max(1, next.Term))
	m.Configuration, m.ConfigurationID, m.Digest = next, next.ConfigurationID, next.Digest()
	return m
}

// A member campaigns from when it learns that it is a voter, and no longer.
func TestCampaignFollowsTheVote(t *testing.T) {
	s := newSoloOf(t, testConfig("A", Member{ID: "A"}, Member{ID: "B", Voter: true}))
	next := s.hard.Configuration.Clone()
	next.Version, next.Members[0].Voter = 2, true
	require.True(t, s.asked(s.heartbeatWith(next)))
	require.True(t, s.standsAt(s.electionAt))
	next = next.Clone()
	next.Version, next.Members[0].Voter = 3, false
	require.True(t, s.asked(s.heartbeatWith(next)))
	s.now = s.electionAt
	s.wait(0)
	require.Equal(t, Follower, s.Role())
	require.Zero(t, s.Counters().PreCampaigns)

	next = next.Clone()
	next.Version = 4
	forged := s.heartbeatWith(next)
	forged.Digest++
	s.unchanged(forged)
	require.EqualValues(t, 1, s.Counters().Dropped.Malformed)
}

// Rule 15: a refusal counts only from a configuration that is not older.
func TestRefusalFromAnOlderConfiguration(t *testing.T) {
	s := newSolo(t, 3)
	m := s.from("B", Refusal, 1)
	m.Reason = RefusedWiped
	s.step(m)
	require.Equal(t, RefusedWiped, s.last.Refused)
	next := s.hard.Configuration
	next.Version++
	s.install(next)
	s.step(m)
	require.Zero(t, s.last.Refused)
}

// Rule 17: a voter with an older configuration could not win, so that nobody
// hands over to it.
func TestResignPassesOverAnOlderConfiguration(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	s.confirm()
	_, err := s.AddMember(s.now, Member{ID: "L"})
	require.NoError(t, err)
	older := s.heartbeatAnswer("B")
	older.ConfigurationID.Version--
	older.Digest++
	s.step(older)
	s.step(s.heartbeatAnswer("C"))
	e, err := s.Resign(s.now)
	require.NoError(t, err)
	require.Len(t, e.Messages, 1)
	require.Equal(t, "C", e.Messages[0].To, "although B comes first by ID")
}

// Rule 5: nobody hands over to a voter that has been silent.
func TestResignPassesOverTheSilent(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	s.confirm()
	_, err := s.AddMember(s.now, Member{ID: "L"})
	require.NoError(t, err)
	s.step(s.heartbeatAnswer("C"))
	for range 4 {
		s.wait(50 * ms)
		older := s.heartbeatAnswer("B")
		older.ConfigurationID.Version--
		older.Digest++
		s.step(older)
	}
	e, err := s.Resign(s.now)
	require.NoError(t, err)
	require.Empty(t, e.Messages)
	require.Equal(t, Follower, s.Role())
}

// Rule 16: who does not vote cannot be made to campaign.
func TestListenerIsNotMadeToCampaign(t *testing.T) {
	s := newSolo(t, 3)
	listening := s.hard.Configuration.Clone()
	listening.Version++
	listening.Members[s.self].Voter = false
	s.install(listening)
	s.step(s.from("B", Heartbeat, 1))
	s.step(s.from("B", TimeoutNow, 1))
	require.Empty(t, s.last.Messages)
	require.EqualValues(t, 1, s.Term())
}

// Rule 17: what is no newer is not saved again.
func TestSameConfigurationIsNotInstalled(t *testing.T) {
	s := newSolo(t, 3)
	m := s.from("B", Heartbeat, 1)
	m.Configuration = s.hard.Configuration
	s.step(m)
	m.Sequence++
	s.step(m)
	require.False(t, s.last.Save)
}

// Rule 18: what a quorum has acknowledged in an earlier term does not count in a
// new one.
func TestReelectedLeaderWaitsForItsConfiguration(t *testing.T) {
	s := newSolo(t, 3)
	s.win()
	s.confirm()
	s.StepDown(s.now)
	s.win()
	require.Equal(t, s.quorum()+1, s.confirmed(), "in the term before")
	require.ErrorIs(t, s.mayReconfig(), ErrReconfigPending)
	s.confirm()
}

// Rule 15: a voter is bound to its store by the change that makes it one.
func TestPromotionBindsTheStore(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(3), Member{ID: "L"})...))
	s.win()
	for range 3 {
		s.wait(50 * ms)
		s.step(s.heartbeatAnswer("B"))
		s.step(s.heartbeatAnswer("C"))
	}
	s.step(s.heartbeatAnswer("L"))
	require.NoError(t, s.mayReconfig())
	e, err := s.Promote(s.now, "L")
	require.NoError(t, err)
	l, _ := e.State.Configuration.Member("L")
	require.Equal(t, testStore("L"), l.StoreID)
}

// Rule 18: lease, quorum check and changes count the answers of voters only.
func TestListenersDoNotCount(t *testing.T) {
	s := newSoloOf(t, testConfig("A", append(voters(3), Member{ID: "L"}, Member{ID: "M"}, Member{ID: "N"})...))
	s.win()
	for range 2 {
		s.wait(50 * ms)
		for _, id := range []string{"L", "M", "N"} {
			s.step(s.heartbeatAnswer(id))
		}
	}
	require.True(t, s.reigns(), "by the votes")
	require.EqualValues(t, s.Term(), s.hard.Configuration.Term)
	require.ErrorIs(t, s.mayReconfig(), ErrReconfigPending)
	s.wait(50 * ms)
	require.EqualValues(t, 1, s.last.Lost)
}

// Rule 15: a name stays bound, also while nobody speaks under it.
func TestSilentMembersStayBound(t *testing.T) {
	members := voters(3)
	members[2].StoreID = testStore("C")
	s := newSoloOf(t, testConfig("A", members...))
	s.win()
	for range 6 {
		s.wait(50 * ms)
		s.step(s.heartbeatAnswer("B"))
	}
	require.NoError(t, s.mayReconfig())
	require.Equal(t, testStore("B"), s.hard.Configuration.Members[1].StoreID)
	require.Equal(t, testStore("C"), s.hard.Configuration.Members[2].StoreID)
}

// Data and priority of any member, the leader included, change without touching
// who votes; so does whether another member is a witness.
func TestUpdateMember(t *testing.T) {
	c := newCluster(t, 3)
	c.electThat("A")
	c.run(300 * ms)
	before := c.leader().core.Configuration()
	update := func(m Member) func(l *Core) change {
		return func(l *Core) change {
			return func(now tick) (Effects, error) { return l.UpdateMember(now, m) }
		}
	}
	want := before.Clone()
	for i, id := range []string{"A", "B"} {
		m := &want.Members[i]
		m.Data, m.Priority, m.Witness = "at:"+id, -i, i > 0
		c.changeMember(update(Member{ID: id, Data: m.Data, Priority: m.Priority, Witness: m.Witness}))
	}
	c.run(200 * ms)
	want.Version += 2
	for _, s := range c.servers {
		require.Equal(t, want, s.core.Configuration())
	}
	require.EqualValues(t, 1, c.leader().core.Term())

	c.changeMember(update(want.Members[1]))
	require.Equal(t, want, c.leader().core.Configuration(), "nothing to change")

	s := newSolo(t, 3)
	s.win()
	_, err := s.UpdateMember(s.now, Member{ID: "B"})
	require.ErrorIs(t, err, ErrReconfigPending)
	s.confirm()
	for _, tt := range []struct {
		member Member
		want   error
	}{
		{Member{ID: "X"}, ErrUnknownMember},
		{Member{ID: "A", Witness: true}, ErrSelf},
		{Member{ID: "B", Priority: 1}, ErrConfig},
		{Member{ID: "B", Data: string(make([]byte, MaxConfigurationSize))}, ErrConfig},
	} {
		before := s.State()
		_, err := s.UpdateMember(s.now, tt.member)
		require.ErrorIs(t, err, tt.want)
		require.True(t, before.Equal(s.State()))
	}
}
