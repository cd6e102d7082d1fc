package raft

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// encoder writes a world so that equal bytes mean equal futures: times are
// relative to the local clock and saturated where nothing tells them apart any
// more, sequence numbers give way to what they refer to, and what can no longer
// matter is left out.
type encoder struct {
	w   *world
	to  [worldSize + 1]byte // node to its place, worldSize to itself
	at  [worldSize]int      // place to its node
	buf []byte
}

// renamings are the orders of three nodes.
func renamings() [6][worldSize]int {
	return [6][worldSize]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
}

// fingerprint returns the least hash over the renamings of the nodes: two worlds
// that differ only by names are one. Of the six, only those count that put the
// nodes in the order of what does not depend on names.
func (w *world) fingerprint(e *encoder) uint64 {
	e.w = w
	var nameless [worldSize]uint64
	e.to = [worldSize + 1]byte{0, 0, 0, 1}
	for i := range w.nodes {
		e.buf = e.buf[:0]
		e.node(i)
		nameless[i] = hash64(e.buf)
	}
	least := uint64(math.MaxUint64)
	for _, p := range renamings() {
		if nameless[p[0]] > nameless[p[1]] || nameless[p[1]] > nameless[p[2]] {
			continue
		}
		e.at = p
		e.to[worldSize] = worldSize
		for place, node := range p {
			e.to[node] = byte(place)
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
func (e *encoder) name(id string) { e.byte(e.to[worldIndex(id)]) }

// future writes how long until t, 0 if it has come.
func (e *encoder) future(t, now time.Duration) {
	e.buf = binary.AppendUvarint(e.buf, uint64(max(0, t-now)))
}

func (e *encoder) world() {
	w := e.w
	for _, i := range e.at {
		e.node(i)
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
	e.relics()
	e.inFlight()
}

// relics writes whom the relics concern. What they say never changes; but with
// the rule off that keeps them apart by who has asked, it matters how far each
// node is from asking under the same number.
func (e *encoder) relics() {
	for i := range e.w.relics {
		m := &e.w.relics[i]
		e.name(m.From)
		e.name(m.To)
		if c := e.w.receiver(m); c.faults.countStrayAnswers {
			e.byte(byte(min(c.sequence, m.Sequence+1)))
		}
	}
}

// node writes one node and, if clocks differ, by how much.
func (e *encoder) node(i int) {
	w := e.w
	c, now := w.nodes[i].core, w.nodes[i].clock
	least := now
	for j := range w.nodes {
		least = min(least, w.nodes[j].clock)
	}
	e.future(now, least)
	e.flags(c.isElectable())
	e.byte(byte(c.hard.Term))
	role := w.role(i)
	e.byte(byte(role))
	e.pledge(i)
	e.future(c.promise.until, now)
	if c.promise.until > now {
		e.name(c.promise.to)
	}
	switch role {
	case Candidate:
		e.future(c.campaign.sentAt+c.lease, now) // Of a lease that it would bring.
	case Leader:
		e.leaderState(c, now)
	default:
	}
}

// pledge writes whom a node has voted for and whose term it is. Both matter to a
// request of that term, the leader only where there was no vote, and the leader
// to a transfer besides.
func (e *encoder) pledge(i int) {
	c := e.w.nodes[i].core
	vote, leader := "", ""
	if e.w.voteMatters(i) {
		vote, leader = c.hard.Vote, c.leader
		if vote != "" {
			leader = ""
		}
	}
	if e.w.transferMatters() {
		leader = c.leader
	}
	e.name(vote)
	e.name(leader)
}

// leaderState writes a leader's reign. Its lease ends with what two of three have
// answered, which is itself and the later one of the others: so the end says
// all that later answers can build on.
func (e *encoder) leaderState(c *Core, now time.Duration) {
	e.flags(c.reign.running, c.reign.ended, c.reign.transferring)
	e.future(c.reign.heartbeatAt, now)
	if c.reign.running {
		e.future(c.reign.leaseEnd, now)
	} else {
		e.future(c.reign.graceEnd, now)
	}
	if c.faults.renewAfterTransfer {
		e.future(c.majorityAck()+c.lease, now)
	}
}

// inFlight writes the messages that matter in an order of their own.
func (e *encoder) inFlight() {
	start := len(e.buf)
	var parts [8][]byte
	n := 0
	for i := range e.w.messages {
		from := len(e.buf)
		if e.message(&e.w.messages[i]); len(e.buf) > from {
			parts[n] = e.buf[from:len(e.buf):len(e.buf)]
			n++
		}
	}
	if n < 2 || n == 2 && slices.Compare(parts[0], parts[1]) <= 0 {
		return // It is in order already, as good as always.
	}
	slices.SortFunc(parts[:n], slices.Compare)
	e.buf = append(e.buf[:start], slices.Concat(parts[:n]...)...)
}

func (e *encoder) message(m *Message) {
	w := e.w
	means := w.meaning(m)
	if means == meansNothing {
		return
	}
	e.byte(byte(means))
	e.name(m.To)
	switch means {
	case meansTerm:
		e.byte(byte(m.Term))
	case meansQuestion, meansGreeting:
		e.name(m.From)
	case meansCampaign:
		e.byte(byte(m.Kind))
		if m.Kind == PreVoteRequest || m.Kind == VoteRequest {
			e.name(m.From)
		}
		e.flags(m.Transfer != 0)
	case meansLateRequest:
		e.name(m.From)
		e.byte(byte(m.Term))
		e.flags(m.Transfer != 0, w.awaited(m))
	case meansLease:
		e.byte(w.age(m))
		e.byte(byte(m.Kind))
		if m.Kind == Heartbeat {
			e.name(m.From)
			e.byte(byte(m.Term))
			e.byte(e.rank(m))
			e.flags(w.awaited(m))
		}
	case meansOrder:
		e.name(m.From)
		e.byte(byte(m.Term))
	default:
	}
}

// rank returns which of several heartbeats to one node is the first: it matters
// which of them comes first. 0 stands for one that resets nothing.
func (e *encoder) rank(m *Message) byte {
	if e.w.isOld(m) {
		return 0
	}
	rank := byte(1)
	for i := range e.w.messages {
		o := &e.w.messages[i]
		if o.Kind == Heartbeat && o.To == m.To && o.Term == m.Term && o.Sequence < m.Sequence && !e.w.isOld(o) {
			rank++
		}
	}
	return rank
}
