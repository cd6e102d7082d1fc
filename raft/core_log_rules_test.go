package raft

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newClusterWithLogs starts voters that are in a term and whose logs have entries of
// these terms, from index 1, all on disk. They are past the silence after a start,
// and none stands of its own.
func newClusterWithLogs(t *testing.T, term uint64, off func(*server), logs ...[]uint64) *cluster {
	t.Helper()
	c := &cluster{t: t, logs: true, oracle: newOracle(), random: newRandom(1), tolerant: off != nil}
	first, err := NewConfiguration(voters(len(logs))...)
	require.NoError(t, err)
	first.Level = logLevel
	for i, terms := range logs {
		id := string(rune('A' + i))
		s := &server{c: c, cfg: testConfig(id), off: off}
		s.cfg.Rand, s.cfg.MaxAppend, s.cfg.Start = zeros{}, MaxMessageSize, Join()
		s.disk = StoredState{Found: true, State: HardState{
			Identity: Identity{Cluster: "test", Node: id, StoreID: testStore(id)},
			Term:     term, Configuration: first,
		}}
		for j, term := range terms {
			s.log.entries = append(s.log.entries, command(Position{term, uint64(j) + 1}))
		}
		c.servers = append(c.servers, s)
		s.start()
	}
	c.rest()
	c.run(160 * ms)
	return c
}

// command returns an entry which fills an Append of the least size alone. Its data
// says where it stands, as no two entries may be the same there that are not.
func command(at Position) Entry {
	data := make([]byte, MaxMessageSize-appendOverhead-entryHeaderSize)
	data[0], data[1] = byte(at.Term), byte(at.Index)
	return Entry{Index: at.Index, Term: at.Term, Kind: EntryCommand, Data: data}
}

// rest has nobody stand of its own.
func (c *cluster) rest() {
	for _, s := range c.servers {
		if s.up {
			s.core.electionAt = Never
		}
	}
}

// standsUntil has a server stand for election again and again until it has won.
func (c *cluster) standsUntilWon(id string) *server {
	c.t.Helper()
	s := c.server(id)
	for range 10 {
		c.rest()
		s.campaignsNow()
		c.run(10 * ms)
		if s.core.Role() == Leader {
			return s
		}
		c.run(300 * ms) // Others are bound no longer.
	}
	c.t.Fatalf("%s does not win:\n%s", id, c.tail())
	return nil
}

// Figure 7 of the paper: whatever a leader's followers have, they come to have what
// it has, and nothing is sent that they had.
func TestFigure7_LogsBecomeTheLeaders(t *testing.T) {
	leader := []uint64{1, 1, 1, 4, 4, 5, 5, 6, 6, 6}
	c := newClusterWithLogs(t, 7, nil,
		leader,
		[]uint64{1, 1, 1, 4, 4, 5, 5, 6, 6},
		[]uint64{1, 1, 1, 4},
		[]uint64{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
		[]uint64{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
		[]uint64{1, 1, 1, 4, 4, 4, 4},
		[]uint64{1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
	)
	a := c.standsUntilWon("A")
	c.run(500 * ms)
	for _, s := range c.servers {
		require.Equal(t, append(slices.Clone(leader), a.core.Term()), s.terms(), s.cfg.ID)
		require.Equal(t, s.core.log.entries, s.log.entries, s.cfg.ID)
		require.Len(t, s.log.applied, 11, s.cfg.ID)
	}
	sent := 0
	for _, m := range c.sent {
		sent += len(m.Entries)
	}
	lacking := 1 + 6 + 0 + 0 + 5 + 7 // of entries before the start
	probes := 2 * 6                  // the start, in vain and at last
	require.LessOrEqual(t, sent, lacking+probes+6)
}

// Each rule of the log is switched off here; with the rule on, the same schedule
// breaks nothing.
func TestLogNegativeControls(t *testing.T) {
	tests := []struct {
		name     string
		off      func(f *faults)
		schedule func(t *testing.T, off func(*server)) *cluster
		oracle   string
	}{
		{"rule 27: count entries of the own term alone", func(f *faults) { f.commitEarlierTerms = true }, figure8, "O12"},
		{"rule 33: commit before a change", func(f *faults) { f.reconfigUncommitted = true }, shrunkUncommitted, "O13"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on := tt.schedule(t, nil)
			require.Empty(t, on.oracle.broken)
			off := tt.schedule(t, func(s *server) { tt.off(&s.core.faults) })
			require.Contains(t, strings.Join(off.oracle.broken, "\n"), tt.oracle, off.tail())
		})
	}
}

// figure8 is figure 8 of the paper from (b) on: A has brought its entry of term 2 to
// a majority when it dies, and E, which has one of term 3 in its place, leads.
func figure8(t *testing.T, off func(*server)) *cluster {
	t.Helper()
	c := newClusterWithLogs(t, 3, off, []uint64{1, 2}, []uint64{1, 2}, []uint64{1}, []uint64{1}, []uint64{1, 3})
	c.deliver = func(m Message) (time.Duration, bool) {
		// C gets the entry of term 2 alone, not the start of A's term behind it.
		start := len(m.Entries) > 0 && m.Entries[0].Kind == EntryStart
		late := start && m.To == "C" && c.server("C").core.log.last().Index == 2
		return ms, !late && !strings.Contains("DE", m.From) && !strings.Contains("DE", m.To)
	}
	a := c.standsUntilWon("A")
	c.runUntil(200*ms, func() bool { return slices.Equal(c.server("C").terms(), []uint64{1, 2}) })
	c.run(5 * ms)
	require.EqualValues(t, 3, a.core.log.last().Index)
	a.crash()
	c.deliver = func(m Message) (time.Duration, bool) { return ms, m.From != "B" && m.To != "B" }
	c.run(300 * ms)
	e := c.standsUntilWon("E")
	c.run(200 * ms)
	require.Equal(t, []uint64{1, 3, e.core.Term()}, c.server("C").terms())
	return c
}

// shrunkUncommitted has A commit an entry on A, B and C of five, and remove C and B
// before D or E has it.
func shrunkUncommitted(t *testing.T, off func(*server)) *cluster {
	t.Helper()
	c := newClusterWithLogs(t, 1, off, nil, nil, nil, nil, nil)
	a := c.standsUntilWon("A")
	c.run(300 * ms)
	c.deliver = func(m Message) (time.Duration, bool) {
		return ms, m.Kind != Append || m.To != "D" && m.To != "E"
	}
	require.NoError(t, a.propose("x"))
	c.run(10 * ms)
	require.EqualValues(t, 2, a.core.log.commit)
	require.NoError(t, a.try(func(now tick) (Effects, error) { return a.core.RemoveMember(now, "C") }))
	c.run(60 * ms)
	err := a.try(func(now tick) (Effects, error) { return a.core.RemoveMember(now, "B") })
	if off == nil {
		require.ErrorIs(t, err, ErrReconfigPending)
		c.heal()
		c.run(200 * ms)
		require.NoError(t, a.try(func(now tick) (Effects, error) { return a.core.RemoveMember(now, "B") }))
		return c
	}
	require.NoError(t, err)
	c.run(60 * ms)
	a.crash()
	c.cut("DE", "ABC", false)
	c.run(300 * ms)
	c.standsUntilWon("D")
	return c
}

// Rule 29: an append that is lost is sent again once a heartbeat is answered that
// left well after it. Nothing else would.
func TestLostAppendIsSentAgain(t *testing.T) {
	for _, never := range []bool{false, true} {
		c := newLogCluster(t, 3)
		a, b := c.server("A"), c.server("B")
		a.core.faults.neverSendAgain = never
		lost := 0
		c.deliver = func(m Message) (time.Duration, bool) {
			if m.Kind == Append && m.To == "B" && lost == 0 {
				lost++
				return 0, false
			}
			return ms, true
		}
		require.NoError(t, a.propose("x"))
		c.run(200 * ms)
		require.Equal(t, 1, lost)
		require.Equal(t, never, len(b.commands()) == 0)
	}
}

// Rule 27: a reign begins once the application has applied the start of its term.
func TestReignWaitsForItsStart(t *testing.T) {
	c := newClusterWithLogs(t, 1, nil, []uint64{1}, []uint64{1}, []uint64{1})
	a := c.server("A")
	a.log.slow = 400 * ms
	c.standsUntilWon("A")
	c.run(300 * ms)
	require.Equal(t, Leader, a.core.Role())
	require.False(t, a.reigns())
	require.ErrorIs(t, a.propose("x"), ErrNotLeader)
	c.run(150 * ms)
	require.True(t, a.reigns(), "it has kept its lease meanwhile")
	require.Len(t, a.log.applied, 2)
	require.NoError(t, a.propose("x"))
}

// A leader whose lease lapses before its start is applied follows, as any other.
func TestLeaderWithoutReignLosesItsLease(t *testing.T) {
	c := newClusterWithLogs(t, 1, nil, nil, nil, nil)
	a := c.server("A")
	a.log.slow = time.Second
	c.standsUntilWon("A")
	c.isolate("A")
	c.run(140 * ms)
	require.Equal(t, Follower, a.core.Role())
	require.Zero(t, a.core.Counters().Reigns)
}

// Rule 29: what was under way to a process is sent again to the next one, from
// behind what its disk has.
func TestRestartedMemberIsProbed(t *testing.T) {
	c := newLogCluster(t, 3)
	a, b := c.server("A"), c.server("B")
	b.log.takes = 40 * ms
	require.NoError(t, a.propose("x"))
	c.run(10 * ms)
	require.EqualValues(t, 2, b.core.log.last().Index)
	b.restart()
	require.EqualValues(t, 1, b.core.log.last().Index, "it was not durable")
	c.run(60 * ms)
	require.Equal(t, []string{"x"}, b.commands())
}

// Rule 30: an append is a heartbeat, too, taken or refused.
func TestAppendsKeepTheLease(t *testing.T) {
	for _, off := range []bool{false, true} {
		c := newLogCluster(t, 3)
		a := c.server("A")
		a.core.faults.appendsKeepNoLease = off
		c.rest()
		a.core.electionAt = Never
		c.deliver = func(m Message) (time.Duration, bool) {
			return ms, m.Kind == Append && m.To == "B" || m.Kind == AppendAnswer
		}
		for range 20 {
			_ = a.propose("x")
			c.run(25 * ms)
		}
		require.Equal(t, !off, a.reigns())
	}

	s := newSoloLog(t)
	m := s.append(Position{1, 3})
	s.step(m)
	require.Equal(t, Position{Index: 1}, s.sent(AppendAnswer)[0].Conflict)
	require.True(t, s.sent(AppendAnswer)[0].Granted)
	until, to := s.PromisedUntil()
	require.Equal(t, s.now+150*ms, until)
	require.Equal(t, "B", to)
}

// Rule 32: who lacks something is handed nothing.
func TestNobodyHandsOverToAMemberBehind(t *testing.T) {
	c := newLogCluster(t, 3)
	a := c.server("A")
	c.deliver = func(m Message) (time.Duration, bool) { return ms, m.Kind != Append || m.To != "B" }
	require.NoError(t, a.propose("x"))
	c.run(60 * ms)
	transfer := func(now tick) (Effects, error) { return a.core.Transfer(now, "B") }
	err := a.try(transfer)
	require.ErrorIs(t, err, ErrMemberBehind)
	require.Equal(t, &BehindError{ID: "B", Match: 1, Last: 2}, err)
	successor, found := a.core.successor()
	require.True(t, found)
	require.Equal(t, "C", successor)
	require.True(t, a.core.awaitsSuccessor("B"))

	off := a.core.clone()
	off.faults.transferToBehind = true
	require.NoError(t, off.mayTransfer("B"))

	c.heal()
	c.run(150 * ms)
	require.NoError(t, a.try(transfer))
	c.runUntil(time.Second, c.agree)
	require.Equal(t, "B", c.ledBy())
}

// newSoloLog is newSolo for a core that keeps a log, whose members all do.
func newSoloLog(t *testing.T) *solo {
	t.Helper()
	s := newSolo(t, 3)
	s.level = logLevel
	s.hard.Configuration.Level = logLevel
	s.configure(s.hard.Configuration)
	return s
}

// append returns an append of B in its term 2 of entries of these terms after a
// position.
func (s *solo) append(previous Position, terms ...uint64) Message {
	m := s.from("B", Append, 2)
	m.Previous, m.Sequence = previous, 1
	for i, term := range terms {
		m.Entries = append(m.Entries, Entry{Index: previous.Index + 1 + uint64(i), Term: term, Kind: EntryStart})
	}
	return m
}

// saved says that all is durable, and returns the answers to appends.
func (s *solo) saved() []Message {
	s.last = s.Saved(s.now, s.log.last())
	return s.sent(AppendAnswer)
}

// Rule 28: an append is answered once it is durable, and what is durable under
// another term is none of it.
func TestAppendIsAnsweredOnceItIsDurable(t *testing.T) {
	for _, byIndex := range []bool{false, true} {
		s := newSoloLog(t)
		s.faults.savedByIndex = byIndex
		s.step(s.append(Position{}, 1, 1, 2))
		require.Empty(t, s.sent(AppendAnswer))
		require.Len(t, s.last.Append, 3)
		early := s.log.last()

		m := s.append(Position{1, 2}, 3, 3)
		m.Term = 3
		s.step(m)
		require.Equal(t, []uint64{1, 1, 3, 3}, terms(s.log.entries))
		require.Equal(t, Position{3, 3}, s.last.Append[0].position())
		s.last = s.Saved(s.now, early)
		require.Equal(t, byIndex, s.log.durable == 3)
		require.Empty(t, s.sent(AppendAnswer))

		answers := s.saved()
		require.Len(t, answers, 1)
		require.EqualValues(t, 4, answers[0].Match)
		require.EqualValues(t, 1, answers[0].Sequence)
	}
}

func terms(entries []Entry) []uint64 {
	var terms []uint64
	for _, e := range entries {
		terms = append(terms, e.Term)
	}
	return terms
}

// An append that comes late, or twice, takes nothing back.
func TestLateAppendTakesNothingBack(t *testing.T) {
	s := newSoloLog(t)
	s.step(s.append(Position{}, 1, 2))
	s.saved()
	s.step(s.append(Position{2, 2}, 2, 2))
	s.saved()
	for _, late := range []Message{s.append(Position{}, 1), s.append(Position{1, 1}, 2), s.append(Position{})} {
		s.step(late)
		require.Equal(t, []uint64{1, 2, 2, 2}, terms(s.log.entries))
		require.Empty(t, s.last.Append)
		require.EqualValues(t, 4, s.sent(AppendAnswer)[0].Match, "answered at once")
	}
}

// Rule 28: what a heartbeat says is committed is so here only as far as this log is
// known to be the leader's.
func TestHeartbeatCommitsNoMoreThanIsVerified(t *testing.T) {
	s := newSoloLog(t)
	s.step(s.append(Position{}, 1, 2))
	m := s.from("C", Heartbeat, 3) // It has the first alone.
	m.Commit = 2
	s.step(m)
	require.Zero(t, s.last.Commit)
	a := s.append(Position{1, 1}, 3)
	a.From, a.StoreID, a.Term, a.Commit = "C", testStore("C"), 3, 9
	s.step(a)
	require.EqualValues(t, 2, s.last.Commit)
	require.Equal(t, []uint64{1, 3}, terms(s.log.entries))
	require.Len(t, s.Committed(0), 2)
}

// What is committed is never taken back, whatever a message says.
func TestCommittedEntriesStay(t *testing.T) {
	s := newSoloLog(t)
	m := s.append(Position{}, 1, 2)
	m.Commit = 2
	s.step(m)
	require.EqualValues(t, 2, s.log.commit)
	for _, forged := range []Message{s.append(Position{}, 2), s.append(Position{1, 1}, 1), s.append(Position{2, 1}), s.append(Position{1, 2})} {
		before := s.Counters().Dropped.Conflicting
		s.step(forged)
		require.Equal(t, before+1, s.Counters().Dropped.Conflicting)
		require.Equal(t, []uint64{1, 2}, terms(s.log.entries))
		require.Empty(t, s.last.Messages)
	}
}

// Rule 31: what is not committed is bounded.
func TestUncommittedCommandsAreBounded(t *testing.T) {
	for _, off := range []bool{false, true} {
		c := newLogCluster(t, 3)
		a := c.server("A")
		a.core.cfg.MaxUncommitted, a.core.faults.proposeWithoutBound = 30, off
		require.NoError(t, a.propose("xx"))
		err := a.propose("yy", "z")
		if off {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrFull)
		require.EqualValues(t, 2, a.core.log.last().Index, "nothing is appended")
		require.NoError(t, a.propose("zz"))
		c.run(60 * ms)
		require.Zero(t, a.core.reign.uncommitted)
		require.NoError(t, a.propose("yy", ""))
	}
}

func TestProposalsThatAreRefused(t *testing.T) {
	c := newLogCluster(t, 3)
	require.ErrorIs(t, c.server("B").propose("x"), ErrNotLeader)
	a := c.server("A")
	require.ErrorIs(t, a.propose(string(make([]byte, a.core.appendRoom()-entryHeaderSize+1))), ErrTooLarge)
	require.NoError(t, a.propose(string(make([]byte, a.core.appendRoom()-entryHeaderSize))))

	plain := newCluster(t, 3)
	l := plain.electThat("A")
	require.ErrorIs(t, l.propose("x"), ErrNoLog)
}

// Rule 20: a member that keeps no log keeps the others from replicating one, but not
// from electing a leader.
func TestReplicationWaitsForEveryMember(t *testing.T) {
	c := &cluster{t: t, logs: true, oracle: newOracle(), random: newRandom(1)}
	members := voters(3)
	for i, m := range members {
		c.logs = i < 2
		c.add(testConfig(m.ID, members...), 1)
	}
	a := c.electThat("A")
	c.run(time.Second)
	require.True(t, a.reigns())
	require.ErrorIs(t, a.propose("x"), ErrNoLog)
	require.Empty(t, c.sentSince(0, Append))

	c.logs = true
	c.server("C").restart()
	c.run(time.Second)
	require.NoError(t, c.leader().propose("x"))
	c.run(100 * ms)
	require.Equal(t, []string{"x"}, c.server("C").commands())
}

// Rule 33: a witness that alone has the longest log stands, hands on what it has, and
// never reigns; so does who abstains.
func TestLongestLogIsHandedOn(t *testing.T) {
	tests := []struct {
		name                  string
		witness, unfit, never bool
	}{
		{"a witness has it", true, false, false},
		{"one that abstains has it", false, true, false},
		{"negative control", true, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClusterWithLogs(t, 2, nil, []uint64{1}, []uint64{1, 1, 2}, []uint64{1})
			c.server("C").crash()
			a, b := c.server("A"), c.server("B")
			b.core.faults.neverBridge = tt.never
			b.core.abstains = tt.unfit
			for _, s := range c.servers[:2] {
				next := s.core.hard.Configuration.Clone()
				next.Members[1].Witness, next.Version = tt.witness, 2
				s.core.configure(next)
				s.core.dirty = true
				s.call(s.core.Tick)
				s.core.resetElection()
			}
			c.run(3 * time.Second)
			require.Zero(t, b.core.Counters().Reigns)
			require.Equal(t, !tt.never, a.reigns())
			if !tt.never {
				require.Equal(t, []uint64{1, 1, 2}, a.terms()[:3])
			}
		})
	}
}

// Rule 33: a member that lacks something does not become a voter, and the refusal
// says how far it is.
func TestPromoteWaitsForTheLog(t *testing.T) {
	c := newLogCluster(t, 3)
	a := c.server("A")
	require.NoError(t, a.propose("x"))
	cfg := testConfig("D")
	cfg.Start = Join()
	d := c.add(cfg, 1)
	c.deliver = func(m Message) (time.Duration, bool) { return ms, m.Kind != Append || m.To != "D" }
	c.changeMember(func(l *Core) change {
		return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "D"}) }
	})
	promote := func(now tick) (Effects, error) { return a.core.Promote(now, "D") }
	require.Equal(t, &BehindError{ID: "D", Match: 0, Last: 2}, a.try(promote))
	c.heal()
	c.run(200 * ms)
	require.NoError(t, a.try(promote))
	require.Equal(t, []string{"x"}, d.commands())
}
