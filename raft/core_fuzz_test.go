package raft

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever a message says and whenever it comes, a core does not panic, and
// what it does keeps to its contract.
func checkAnyHistory(t *rapid.T) {
	cfg := testConfig("A", append(voters(rapid.IntRange(1, 4).Draw(t, "voters")), Member{ID: "L"})...)
	if rapid.IntRange(0, 4).Draw(t, "join") == 0 {
		cfg.Start = Join()
	}
	cfg.Rand = rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)
	state, err := StartState(cfg, StoredState{}, testStore("A"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCore(cfg, state, 1, 0)
	if rapid.Bool().Draw(t, "log") {
		if !state.Configuration.IsZero() {
			state.Configuration.Level = rapid.Uint32Range(1, logLevel).Draw(t, "level")
		}
		c, err = NewCoreWithLog(cfg, state, StoredLog{}, 1, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	now, led := time.Duration(0), uint64(0)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		now += time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 10, 60, 150, 400}).Draw(t, "after")) * ms
		before := c.State()
		var e Effects
		id := rapid.SampledFrom([]string{"A", "B", "L", "X", ""}).Draw(t, "id")
		switch rapid.IntRange(0, 19).Draw(t, "call") {
		case 0:
			e = c.Step(now, anyMessage().Draw(t, "message"))
		case 1:
			e = c.Tick(now)
		case 2:
			e, _ = c.Campaign(now)
		case 3:
			e, _ = c.Transfer(now, id)
		case 4:
			e, _ = c.Resign(now)
		case 5:
			e = c.StepDown(now)
		case 6:
			e, _ = c.AddMember(now, Member{ID: id})
		case 7:
			e, _ = c.RemoveMember(now, id)
		case 8:
			e, _ = c.Promote(now, id)
		case 9:
			e, _ = c.UpdateMember(now, Member{
				ID: id, Priority: rapid.IntRange(MinPriority-1, 1).Draw(t, "priority"), Witness: rapid.Bool().Draw(t, "witness"),
			})
		case 10:
			_, e, _ = c.Propose(now, make([]byte, rapid.SampledFrom([]int{0, 1, 60_000, 70_000}).Draw(t, "data")))
		case 11:
			e = c.Saved(now, c.log.last())
		case 12:
			e = c.Saved(now, anyPosition().Draw(t, "saved"))
		case 13:
			e = c.Applied(now, anyNumber().Draw(t, "applied"))
		default:
			e = c.Step(now, likelyMessage(c).Draw(t, "message"))
		}
		led = checkEffects(t, c, before, e, led)
	}
}

// likelyMessage draws a message that a member might send to c.
func likelyMessage(c *Core) *rapid.Generator[Message] {
	return rapid.Custom(func(t *rapid.T) Message {
		id := rapid.SampledFrom([]string{"B", "C", "L"}).Draw(t, "from")
		m := c.message(MessageKind(rapid.IntRange(1, int(lastMessageKind)).Draw(t, "kind")), "A")
		m.From, m.StoreID, m.Incarnation, m.Boot = id, testStore(id), 1, 1
		m.Term += rapid.Uint64Range(0, 2).Draw(t, "term")
		m.Sequence = c.sequence - rapid.Uint64Range(0, 2).Draw(t, "ago")
		if m.Kind.isAnswer() && rapid.IntRange(0, 3).Draw(t, "stray") > 0 {
			m.Asker = c.boot
		}
		m.Granted = rapid.IntRange(0, 3).Draw(t, "refused") > 0
		m.Abstains = m.Kind == HeartbeatAnswer && rapid.Bool().Draw(t, "abstains")
		if m.Kind == Refusal {
			m.Reason = RefusedTwin
		}
		if m.Kind.isRequest() {
			m.Promise = rapid.SampledFrom([]time.Duration{150 * ms, 100 * ms, time.Second}).Draw(t, "promise")
			if m.Kind != Append {
				m.Configuration = c.hard.Configuration
			}
			if rapid.IntRange(0, 5).Draw(t, "configuration") == 0 {
				m.Configuration = anyConfiguration().Draw(t, "other")
				m.ConfigurationID, m.Digest = m.Configuration.ConfigurationID, m.Configuration.Digest()
			}
		}
		if m.Kind == VoteRequest && rapid.Bool().Draw(t, "transfer") {
			m.Transfer = m.Term - 1
		}
		drawLog(t, c, &m)
		return m
	})
}

// drawLog draws what a message says of a log: often what fits that of c.
func drawLog(t *rapid.T, c *Core, m *Message) {
	last := c.log.last().Index
	near := func(name string) uint64 { return last + 1 - min(last+1, rapid.Uint64Range(0, 3).Draw(t, name)) }
	switch {
	case m.Kind == Append:
		index := near("previous")
		term, found := c.log.term(index)
		if !found || rapid.IntRange(0, 3).Draw(t, "other") == 0 {
			term = min(m.Term, 1)
		}
		if index > 0 {
			m.Previous = Position{max(term, 1), index}
		}
		for i := range rapid.Uint64Range(0, 2).Draw(t, "entries") {
			m.Entries = append(m.Entries, Entry{
				Index: index + 1 + i, Term: max(m.Previous.Term, rapid.Uint64Range(1, m.Term+1).Draw(t, "term")), Kind: EntryCommand,
			})
		}
		m.Commit = rapid.Uint64Range(0, last+1).Draw(t, "commit")
	case m.Kind == Heartbeat:
		m.Commit = rapid.Uint64Range(0, last+1).Draw(t, "commit")
	case m.Granted && (m.Kind == HeartbeatAnswer || m.Kind == AppendAnswer):
		m.Match = near("match")
		if m.Kind == AppendAnswer && rapid.IntRange(0, 2).Draw(t, "conflicts") == 0 {
			m.Conflict = Position{rapid.Uint64Range(0, m.Term).Draw(t, "conflict"), near("at") + 1}
		}
	}
}

// checkEffects checks what must hold of every call. It returns the running
// reign.
func checkEffects(t *rapid.T, c *Core, before HardState, e Effects, led uint64) uint64 {
	if e.Save == before.Equal(c.State()) && !e.Save || e.Save && !e.State.Equal(c.State()) {
		t.Fatalf("state went from %+v to %+v, to be saved: %t", before, c.State(), e.Save)
	}
	if after := max(c.cfg.ElectionTimeoutMin, c.State().LongestPromise); c.promise.until-c.now > after {
		t.Fatalf("is bound for %v, but would keep silent for %v only", c.promise.until-c.now, after)
	}
	if c.Term() < before.Term {
		t.Fatalf("state went back from %+v to %+v", before, c.State())
	}
	if c.Term() == before.Term && before.Vote != "" && c.State().Vote != before.Vote {
		t.Fatalf("vote of term %d went from %q to %q", c.Term(), before.Vote, c.State().Vote)
	}
	if e.Lost != 0 {
		if e.Lost != led {
			t.Fatalf("lost %d while leading %d", e.Lost, led)
		}
		led = 0
	}
	if e.Led != 0 {
		if led != 0 {
			t.Fatalf("leads %d while leading %d", e.Led, led)
		}
		led = e.Led
	}
	if _, running := c.Reign(); running != (led != 0) {
		t.Fatalf("reign runs: %t, but %d was announced", running, led)
	}
	if c.Deadline() < c.now {
		t.Fatalf("deadline %v is before %v", c.Deadline(), c.now)
	}
	checkLog(t, c, e)
	for _, m := range e.Messages {
		if !m.wellFormed() || m.From != "A" || m.To == "A" {
			t.Fatalf("sends %+v", m)
		}
		if _, err := m.AppendBinary(nil); err != nil {
			t.Fatal(err)
		}
	}
	return led
}

// checkLog checks what must hold of the log after every call.
func checkLog(t *rapid.T, c *Core, e Effects) {
	if err := validateEntries(c.log.base, c.log.entries, c.Term()); err != nil {
		t.Fatal(err)
	}
	last := c.log.last().Index
	if c.log.applied > c.log.commit || c.log.commit > last || c.log.durable > last || c.received.matched > last {
		t.Fatalf("%+v, of which %d are the leader's", c.log, c.received.matched)
	}
	if n := len(e.Append); n > 0 && e.Append[n-1].position() != c.log.last() {
		t.Fatalf("asks for %v, ends with %v", e.Append, c.log.last())
	}
	if e.Commit != 0 && e.Commit != c.log.commit {
		t.Fatalf("tells of %d, has committed %d", e.Commit, c.log.commit)
	}
	if c.reign.uncommitted < 0 {
		t.Fatalf("%d bytes are not committed", c.reign.uncommitted)
	}
	for i := range c.peers {
		p := &c.peers[i].progress
		if c.role == Leader && (p.match > last || p.next > last+1 || p.next != 0 && p.match >= p.next) {
			t.Fatalf("%+v of %d entries", *p, last)
		}
	}
}

func TestAnyHistory(t *testing.T) { rapid.Check(t, checkAnyHistory) }
func FuzzStep(f *testing.F)       { f.Fuzz(rapid.MakeFuzz(checkAnyHistory)) }

// The idle cost: a leader and a follower in steady state allocate nothing.
func TestHeartbeatsDoNotAllocate(t *testing.T) {
	leader := newSoloOf(t, testConfig("A", voters(5)...))
	leader.win()
	leader.confirm()
	cfg := testConfig("B", voters(5)...)
	follower := newSoloOf(t, cfg)
	buf := make([]byte, 0, MaxMessageSize)
	now := leader.now
	round := func() {
		now += 50 * ms
		for _, m := range leader.Tick(now).Messages {
			buf, _ = m.AppendBinary(buf[:0])
			if m.To != "B" {
				continue
			}
			a := follower.Step(now, m).Messages[0]
			leader.Step(now, a)
			a.From, a.StoreID = "C", testStore("C")
			leader.Step(now, a)
		}
	}
	round() // The follower's configuration may be renewed.
	round()
	require.Zero(t, testing.AllocsPerRun(200, round))
	require.True(t, leader.reigns())
	require.EqualValues(t, 1, leader.Counters().Reigns)
}
