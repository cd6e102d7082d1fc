package raft

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// world is one state of a small cluster: three cores and the messages in
// flight. A core saves what it has decided within one action, so that its disk
// is its hard state. A world is immutable: an action clones the core that it is
// about.
type world struct {
	nodes    [worldSize]worldNode
	messages []Message
	// leaders and token are what the oracles remember: who won each term, and
	// the latest reign.
	leaders [maxWorldTerm + 1]string
	token   uint64
	// What may still happen.
	crashes, transfers, campaigns int
	broken                        string

	parent *world // if the walk is to be told
	action string
}

type worldNode struct {
	core *Core
	// clock is the local time; those of two nodes differ by the skew at most.
	clock time.Duration
}

const (
	worldSize    = 3
	maxWorldTerm = 3
	worldTick    = 1024 * time.Nanosecond
)

// worldID returns the name of a node.
func worldID(i int) string { return "ABC"[i : i+1] }

// worldIndex returns the node of that name, worldSize for none.
func worldIndex(id string) int {
	if id == "" {
		return worldSize
	}
	return int(id[0] - 'A')
}

// receiver returns the core that a message is for.
func (w *world) receiver(m *Message) *Core { return w.nodes[worldIndex(m.To)].core }

// useless reports whether a message can never again change anything, whatever
// comes before it. It might as well be lost.
func (w *world) useless(m *Message) bool {
	c := w.receiver(m)
	switch {
	case m.Term > c.hard.Term:
		return false
	case m.Kind == PreVoteAnswer || m.Kind == VoteAnswer || m.Kind == HeartbeatAnswer:
		return !w.awaited(m)
	case m.Kind == TimeoutNow:
		return m.Term < c.hard.Term || c.leader != "" && c.leader != m.From
	default:
		return false
	}
}

// awaited reports whether an answer is to what its receiver asks now.
func (w *world) awaited(m *Message) bool {
	c := w.receiver(m)
	switch m.Kind {
	case PreVoteAnswer:
		return c.role == PreCandidate && m.Sequence == c.campaign.sequence
	case VoteAnswer:
		return c.role == Candidate && m.Sequence == c.campaign.sequence && m.Term == c.hard.Term
	default:
		over := c.reign.ended && !c.faults.renewAfterTransfer
		return m.Granted && m.Term == c.hard.Term && w.age(c, m) < roundAge && !over
	}
}

// roundAge stands for a round of heartbeats too old for any lease.
const roundAge = 7

// age returns how many ticks ago a round of c was sent.
func (w *world) age(c *Core, m *Message) byte {
	sent, ok := c.sentAt(m.Sequence)
	now := w.nodes[c.self].clock
	if c.role != Leader || c.hard.Term != m.Term || !ok || now-sent >= c.cfg.ElectionTimeoutMin && !c.faults.leaseFromReceipt {
		return roundAge
	}
	return byte(min((now-sent)/worldTick, roundAge-1))
}

// encoder writes a world so that equal bytes mean equal futures: times are
// relative to the local clock and saturated where nothing tells them apart any
// more, sequence numbers give way to what they refer to, and what the role makes
// irrelevant is left out.
type encoder struct {
	w   *world
	to  [worldSize]int // node to its place
	at  [worldSize]int // place to its node
	buf []byte
}

// fingerprint returns the least hash over all renamings of the nodes: two worlds
// that differ only by names are one.
func (w *world) fingerprint(e *encoder) uint64 {
	e.w = w
	least := uint64(math.MaxUint64)
	for _, p := range [][worldSize]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		e.at = p
		for place, node := range p {
			e.to[node] = place
		}
		e.buf = e.buf[:0]
		e.world()
		least = min(least, hash64(e.buf))
	}
	return least
}

// hash64 is FNV-1a with a final mix.
func hash64(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

func (e *encoder) byte(b byte) { e.buf = append(e.buf, b) }

func (e *encoder) flags(f ...bool) {
	b := byte(0)
	for i, set := range f {
		if set {
			b |= 1 << i
		}
	}
	e.byte(b)
}

// name writes a node by its place.
func (e *encoder) name(id string) {
	i := worldIndex(id)
	if i < worldSize {
		i = e.to[i]
	}
	e.byte(byte(i))
}

// future writes how long until t, 0 if it has come.
func (e *encoder) future(t, now time.Duration) {
	if t == Never {
		e.byte(255)
		return
	}
	e.buf = binary.AppendUvarint(e.buf, uint64(max(0, t-now)))
}

// past writes how long ago t was, at most limit.
func (e *encoder) past(t, now, limit time.Duration) {
	e.buf = binary.AppendUvarint(e.buf, uint64(min(limit, now-t)))
}

func (e *encoder) world() {
	w := e.w
	least := w.nodes[0].clock
	for i := range w.nodes {
		least = min(least, w.nodes[i].clock)
	}
	for _, i := range e.at {
		e.future(w.nodes[i].clock, least)
		e.node(&w.nodes[i])
	}
	for term, id := range w.leaders {
		if !w.settled(uint64(term)) {
			e.name(id)
		}
	}
	if w.tokenMatters() {
		e.byte(byte(w.token))
	}
	e.byte(byte(w.crashes))
	e.byte(byte(w.transfers))
	e.byte(byte(w.campaigns))
	e.inFlight()
}

// settled reports whether nobody can win a term any more.
func (w *world) settled(term uint64) bool {
	for i := range w.nodes {
		c := w.nodes[i].core
		if c.hard.Term < term || c.hard.Term == term && c.role == Candidate {
			return false
		}
	}
	return true
}

// tokenMatters reports whether a reign could still begin that is not above the
// latest one.
func (w *world) tokenMatters() bool {
	for i := range w.nodes {
		c := w.nodes[i].core
		waits := c.role == Candidate || c.role == Leader && !c.reign.running && !c.reign.ended
		if c.hard.Term < w.token || c.hard.Term == w.token && (waits || c.faults.renewAfterTransfer) {
			return true
		}
	}
	return false
}

// inFlight writes the messages in an order of their own.
func (e *encoder) inFlight() {
	var parts [8][]byte
	start := len(e.buf)
	for i := range e.w.messages {
		from := len(e.buf)
		e.message(&e.w.messages[i])
		parts[i] = slices.Clone(e.buf[from:])
	}
	e.buf = e.buf[:start]
	sorted := parts[:len(e.w.messages)]
	slices.SortFunc(sorted, slices.Compare)
	for _, p := range sorted {
		e.buf = append(e.buf, p...)
	}
}

func (e *encoder) message(m *Message) {
	w := e.w
	from := w.nodes[worldIndex(m.From)].core
	e.byte(byte(m.Kind))
	e.name(m.From)
	e.name(m.To)
	e.byte(byte(m.Term))
	e.byte(byte(m.Transfer))
	e.flags(m.Granted, m.Incarnation < from.hard.Incarnation)
	switch m.Kind {
	case PreVoteRequest:
		e.flags(from.role == PreCandidate && m.Sequence == from.campaign.sequence)
	case VoteRequest:
		e.flags(from.role == Candidate && m.Sequence == from.campaign.sequence)
	case PreVoteAnswer, VoteAnswer:
		e.flags(w.awaited(m))
	case HeartbeatAnswer:
		e.byte(w.age(w.receiver(m), m))
	case Heartbeat:
		// Which of several comes first matters to their receiver.
		rank := byte(0)
		for i := range w.messages {
			o := &w.messages[i]
			if o.Kind == Heartbeat && o.To == m.To && o.Term == m.Term && o.Sequence < m.Sequence {
				rank++
			}
		}
		to := w.receiver(m)
		e.flags(m.Term == to.hard.Term && m.Sequence <= to.lastHeartbeat)
		e.byte(w.age(from, m))
		e.byte(rank)
	default:
	}
}

func (e *encoder) node(n *worldNode) {
	c := n.core
	e.byte(byte(c.hard.Term))
	e.name(c.hard.Vote)
	e.byte(byte(c.role))
	e.name(c.leader)
	e.future(c.promise.until, n.clock)
	if c.promise.until > n.clock {
		e.name(c.promise.to)
	}
	e.future(c.electionAt, n.clock)
	for _, i := range e.at {
		e.process(&c.peers[i], i, n.clock)
	}
	switch c.role {
	case PreCandidate:
		e.set(c.campaign.granted)
		e.set(c.campaign.refused)
	case Candidate:
		e.past(c.campaign.sentAt, n.clock, c.cfg.ElectionTimeoutMin)
		e.set(c.campaign.granted)
		e.set(c.campaign.refused)
		e.byte(byte(c.campaign.transfer))
	case Leader:
		e.tenure(c, n.clock)
	default:
	}
}

// process writes what a node knows of another's incarnation, which matters
// only while something of an earlier one may still arrive.
func (e *encoder) process(p *peer, i int, now time.Duration) {
	for j := range e.w.messages {
		m := &e.w.messages[j]
		current := e.w.nodes[i].core.hard.Incarnation
		if m.From == worldID(i) && m.Incarnation < current {
			e.flags(p.incarnation == current)
			e.past(p.since, now, 8*worldTick)
			return
		}
	}
}

func (e *encoder) set(s voterSet) {
	b := byte(0)
	for place, node := range e.at {
		if s.has(node) {
			b |= 1 << place
		}
	}
	e.byte(b)
}

func (e *encoder) tenure(c *Core, now time.Duration) {
	e.flags(c.reign.running, c.reign.ended, c.reign.transferring)
	e.future(c.reign.heartbeatAt, now)
	if c.reign.running {
		e.future(c.reign.leaseEnd, now)
	} else {
		e.future(c.reign.graceEnd, now)
	}
	if c.reign.ended && !c.faults.renewAfterTransfer {
		return
	}
	for _, i := range e.at {
		e.past(c.peers[i].acked, now, c.cfg.ElectionTimeoutMin)
	}
}
