package raft

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// cluster drives a handful of cores in virtual time, without goroutines, and
// checks the oracles after every call of a core. It is made for scenarios that
// a reader can follow; what it lacks on purpose is random faults.
type cluster struct {
	t       *testing.T
	now     time.Duration // true time
	servers []*server     // in ID order
	random  *rand.Rand
	events  eventHeap
	order   int
	oracle  oracle

	// deliver decides what becomes of a message: after how long it arrives, and
	// whether at all. Nil: after 1 ms.
	deliver func(m Message) (time.Duration, bool)
	// sent holds every message that left a server.
	sent []Message
	// logs says that servers which start keep one.
	logs bool
	// tolerant servers go on after an oracle is broken: for negative controls.
	tolerant bool
	// log is the transcript.
	log []string
}

// server is a core with its disk and its clock.
type server struct {
	c    *cluster
	cfg  Config
	core *Core
	disk StoredState
	boot uint64

	up      bool
	paused  bool
	saving  bool
	inbox   []func() // what came while paused or saving
	saves   int
	saveFor time.Duration
	saveErr error
	early   bool // send before save: the negative control of rule 12
	dead    error
	off     func(*server) // switches a rule off, after every start

	// The local clock shows base at the true time since, and runs drift parts
	// per million faster than true time.
	since, base time.Duration
	drift       int64

	log journal // with c.logs

	led     uint64 // the reign published to the application, 0 if none
	refused RefusalReason
}

type event struct {
	at    time.Duration
	order int
	run   func()
}

type eventHeap []event

func (h eventHeap) Len() int      { return len(h) }
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h *eventHeap) Push(x any) { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// voters returns n members that vote: A, B, C and so on.
func voters(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{ID: string(rune('A' + i)), Voter: true}
	}
	return members
}

// testStore is the identity of the first store under a name.
func testStore(id string) StoreID {
	var s StoreID
	copy(s[:], id)
	return s
}

// testConfig is what servers run with unless a test says otherwise.
func testConfig(id string, members ...Member) Config {
	return Config{ID: id, Cluster: "test", Start: Bootstrap(0, members...)}
}

// newCluster starts n voters.
func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	return newClusterOf(t, 1, voters(n)...)
}

// newClusterOf starts these members.
func newClusterOf(t *testing.T, seed uint64, members ...Member) *cluster {
	t.Helper()
	c := &cluster{t: t, random: rand.New(rand.NewPCG(seed, 0)), oracle: newOracle()}
	for _, m := range members {
		c.add(testConfig(m.ID, members...), seed)
	}
	return c
}

// add starts one more server.
func (c *cluster) add(cfg Config, seed uint64) *server {
	c.t.Helper()
	cfg.Rand = rand.NewPCG(seed, uint64(len(c.servers))+1)
	s := &server{c: c, cfg: cfg}
	c.servers = append(c.servers, s)
	s.start()
	return s
}

func (c *cluster) server(id string) *server {
	c.t.Helper()
	for _, s := range c.servers {
		if s.cfg.ID == id {
			return s
		}
	}
	c.t.Fatalf("no server %q", id)
	return nil
}

// start begins a run from the disk.
func (s *server) start() {
	s.c.t.Helper()
	s.startAs(testStore(s.cfg.ID))
}

// startAs is start with the identity that a new store gets.
func (s *server) startAs(fresh StoreID) {
	s.c.t.Helper()
	state, err := StartState(s.cfg, s.disk, fresh)
	require.NoError(s.c.t, err)
	s.disk = StoredState{State: state, Found: true}
	s.boot++
	s.since, s.base = s.c.now, 0
	if s.c.logs {
		s.core, err = NewCoreWithLog(s.cfg, state, s.log.start(s.c.now), s.boot, s.local())
	} else {
		s.core, err = NewCore(s.cfg, state, s.boot, s.local())
	}
	require.NoError(s.c.t, err)
	s.up, s.paused, s.saving, s.inbox, s.dead = true, false, false, nil, nil
	if s.off != nil {
		s.off(s)
		if s.core.faults.noBlackout {
			s.core.promise = promise{}
		}
	}
	s.begin()
	s.c.oracle.started(s)
	s.c.logf("%s starts in term %d", s.cfg.ID, state.Term)
}

// crash ends a run. The disk keeps what was saved.
func (s *server) crash() {
	s.c.logf("%s crashes", s.cfg.ID)
	s.up, s.led = false, 0
	s.core = nil
}

func (s *server) restart() {
	s.c.t.Helper()
	s.crash()
	s.start()
}

// local returns what the server's clock shows.
func (s *server) local() time.Duration {
	elapsed := int64(s.c.now - s.since)
	return s.base + time.Duration(elapsed+elapsed*s.drift/perMillion)
}

// trueTime returns the first instant at which the clock shows at least t.
func (s *server) trueTime(t time.Duration) time.Duration {
	rate := perMillion + s.drift
	local := int64(t - s.base)
	return s.since + time.Duration((local/rate)*perMillion+((local%rate)*perMillion+rate-1)/rate)
}

// call runs one call of the core, now or when the server is free.
func (s *server) call(f func(now time.Duration) Effects) {
	if !s.up {
		return
	}
	if s.paused || s.saving {
		boot := s.boot
		s.inbox = append(s.inbox, func() {
			if s.boot == boot {
				s.call(f)
			}
		})
		return
	}
	s.perform(f(s.local()))
}

// try is call for what may be refused.
func (s *server) try(f func(now time.Duration) (Effects, error)) error {
	s.c.t.Helper()
	require.True(s.c.t, s.up && !s.paused && !s.saving)
	e, err := f(s.local())
	s.perform(e)
	return err
}

// perform carries out effects in the order of rule 12.
func (s *server) perform(e Effects) {
	e.Messages = slices.Clone(e.Messages)
	s.c.oracle.logs(s)
	if s.core.Role() == Leader {
		s.c.oracle.leads(s)
	}
	if e.Lost != 0 {
		s.publishLost(e.Lost)
	}
	if s.early {
		s.sendAll(e.Messages)
		e.Messages = nil
	}
	switch {
	case !e.Save:
		s.gain(e)
	case s.saveErr != nil:
		s.fail(s.saveErr)
	case s.saveFor == 0:
		s.save(e)
	default:
		s.saving = true
		boot := s.boot
		s.c.at(s.saveFor, func() {
			if s.up && s.boot == boot {
				s.saving = false
				s.save(e)
				s.wake()
			}
		})
	}
	s.c.oracle.check(s.c)
}

func (s *server) save(e Effects) {
	s.disk.State = e.State.Clone()
	s.saves++
	s.gain(e)
}

func (s *server) gain(e Effects) {
	s.write(e.Append)
	s.log.proven = s.log.proven || e.Proven
	if e.Led != 0 {
		s.c.logf("%s leads term %d", s.cfg.ID, e.Led)
		s.c.oracle.lead(s, e.Led)
		s.led = e.Led
	}
	if e.Refused != 0 {
		s.refused = e.Refused
	}
	s.sendAll(e.Messages)
	s.keepChunk(e.Chunk)
	s.restore(e.Restore)
	s.apply(e.Commit)
	s.log.compact(e.Compact)
}

func (s *server) publishLost(term uint64) {
	s.c.logf("%s loses term %d", s.cfg.ID, term)
	s.c.oracle.lose(s, term)
	s.led = 0
}

// fail ends the run as a node does that cannot save.
func (s *server) fail(err error) {
	if s.led != 0 {
		s.publishLost(s.led)
	}
	s.crash()
	s.dead = err
}

// wake does what had to wait.
func (s *server) wake() {
	inbox := s.inbox
	s.inbox = nil
	for _, f := range inbox {
		f()
	}
}

func (s *server) resume() {
	s.paused = false
	s.wake()
}

func (s *server) sendAll(messages []Message) {
	for _, m := range messages {
		s.log.fill(&m)
		s.c.oracle.send(s, &m)
		s.c.sent = append(s.c.sent, m)
		s.c.logf("%s", transcribe(m))
		after, ok := ms, true
		if s.c.deliver != nil {
			after, ok = s.c.deliver(m)
		}
		if ok {
			s.c.at(after, func() { s.c.receive(m) })
		}
	}
}

// receive hands a message to its receiver, after a trip through the codec.
func (c *cluster) receive(m Message) {
	b, err := m.AppendBinary(nil)
	require.NoError(c.t, err)
	var decoded Message
	require.NoError(c.t, decoded.UnmarshalBinary(b))
	for _, s := range c.servers {
		if s.cfg.ID == m.To {
			s.call(func(now time.Duration) Effects { return s.core.Step(now, decoded) })
		}
	}
}

// at schedules something.
func (c *cluster) at(after time.Duration, run func()) {
	c.order++
	heap.Push(&c.events, event{at: c.now + after, order: c.order, run: run})
}

// next returns the server whose deadline comes first, and when that is.
func (c *cluster) next() (*server, time.Duration) {
	var first *server
	at := Never
	for _, s := range c.servers {
		if !s.up || s.paused || s.saving || s.core.Deadline() == Never {
			continue
		}
		if due := max(c.now, s.trueTime(s.core.Deadline())); due < at {
			first, at = s, due
		}
	}
	return first, at
}

// stepOnce does the next thing, if that is not after limit.
func (c *cluster) stepOnce(limit time.Duration) bool {
	s, at := c.next()
	if len(c.events) > 0 && c.events[0].at <= min(at, limit) {
		e := heap.Pop(&c.events).(event)
		c.now = max(c.now, e.at)
		e.run()
		c.oracle.check(c)
		return true
	}
	if s == nil || at > limit {
		return false
	}
	c.now = at
	s.call(func(now time.Duration) Effects { return s.core.Tick(now) })
	return true
}

// run lets d of true time pass.
func (c *cluster) run(d time.Duration) {
	limit := c.now + d
	for c.stepOnce(limit) {
	}
	c.now = limit
	c.oracle.check(c)
}

// runUntil lets time pass until done, at most d.
func (c *cluster) runUntil(d time.Duration, done func() bool) {
	c.t.Helper()
	limit := c.now + d
	for !done() {
		if !c.stepOnce(limit) {
			c.t.Fatalf("not done after %v:\n%s", d, c.tail())
		}
	}
}

// elect lets time pass until some server leads that all others which are up and
// can hear it follow.
func (c *cluster) elect() *server {
	c.t.Helper()
	c.runUntil(10*300*ms, func() bool { return c.leader() != nil && c.agree() })
	return c.leader()
}

// electThat makes a given server win.
func (c *cluster) electThat(id string) *server {
	c.t.Helper()
	s := c.server(id)
	for _, o := range c.servers {
		if o.up {
			o.core.electionAt = o.local() + 500*ms
		}
	}
	s.core.electionAt = s.local() + 151*ms
	c.runUntil(400*ms, func() bool { return s.reigns() && c.agree() })
	return s
}

// reigns reports whether the application on this server may act.
func (s *server) reigns() bool {
	if !s.up || s.led == 0 {
		return false
	}
	end, running := s.core.Reign()
	return running && s.local() < end
}

// leader returns the server that reigns.
func (c *cluster) leader() *server {
	for _, s := range c.servers {
		if s.reigns() {
			return s
		}
	}
	return nil
}

// agree reports whether all that are up name the same leader and term.
func (c *cluster) agree() bool {
	l := c.leader()
	for _, s := range c.servers {
		if s.up && l != nil && (s.core.Leader() != l.cfg.ID || s.core.Term() != l.core.Term()) {
			return false
		}
	}
	return l != nil
}

// cut drops what goes between the two sides, from left to right only if oneWay.
func (c *cluster) cut(left, right string, oneWay bool) {
	c.deliver = func(m Message) (time.Duration, bool) {
		forth := strings.Contains(left, m.From) && strings.Contains(right, m.To)
		back := strings.Contains(right, m.From) && strings.Contains(left, m.To)
		return ms, !forth && (oneWay || !back)
	}
}

func (c *cluster) heal() { c.deliver = nil }

// ledBy names the leader, "" if there is none.
func (c *cluster) ledBy() string {
	if l := c.leader(); l != nil {
		return l.cfg.ID
	}
	return ""
}

// isolate cuts one server off.
func (c *cluster) isolate(id string) { c.isolateAll(id) }

// isolateAll cuts each of these servers off, from each other too.
func (c *cluster) isolateAll(ids string) {
	c.deliver = func(m Message) (time.Duration, bool) {
		return ms, !strings.Contains(ids, m.From) && !strings.Contains(ids, m.To)
	}
}

// sentSince returns the messages of a kind sent after the first n of all.
func (c *cluster) sentSince(n int, kind MessageKind) []Message {
	var found []Message
	for _, m := range c.sent[n:] {
		if m.Kind == kind {
			found = append(found, m)
		}
	}
	return found
}

func (c *cluster) logf(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf("%9.3f ", float64(c.now)/1e6)+fmt.Sprintf(format, args...))
}

func (c *cluster) tail() string { return strings.Join(c.log[max(0, len(c.log)-60):], "\n") }

// transcribe writes a message as one line.
func transcribe(m Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s->%s %v term=%d", m.From, m.To, m.Kind, m.Term)
	if m.Sequence != 0 {
		fmt.Fprintf(&b, " seq=%d", m.Sequence)
	}
	switch m.Kind {
	case PreVoteAnswer, VoteAnswer, HeartbeatAnswer, AppendAnswer:
		fmt.Fprintf(&b, " granted=%t", m.Granted)
	case Refusal:
		fmt.Fprintf(&b, " reason=%d", m.Reason)
	default:
	}
	if m.Transfer != 0 {
		fmt.Fprintf(&b, " transfer=%d", m.Transfer)
	}
	fmt.Fprintf(&b, " config=%v", m.ConfigurationID)
	if m.Kind == Heartbeat && !m.Configuration.IsZero() {
		b.WriteString(" +body")
	}
	b.WriteString(transcribeLog(m))
	return b.String()
}

var errDisk = errors.New("disk on fire")

// loseAll is a network that delivers nothing.
func loseAll(Message) (time.Duration, bool) { return 0, false }

type (
	tick   = time.Duration
	change = func(now tick) (Effects, error)
)

// changeMember has the leader change the membership, once it may.
func (c *cluster) changeMember(by func(leader *Core) change) {
	c.t.Helper()
	c.runUntil(10*300*ms, func() bool {
		l := c.leader()
		if l == nil {
			return false
		}
		err := l.try(by(l.core))
		if !errors.Is(err, ErrReconfigPending) {
			require.NoError(c.t, err)
		}
		return err == nil
	})
	c.run(200 * ms)
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
