package raft

import "time"

// process is the last process known to speak under a member's name (rule 15 of
// PROTOCOL.md).
type process struct {
	incarnation, boot uint64
	store             StoreID
	since             time.Duration // when it was first heard
	asked             uint64        // this node's last question before that
	request           uint64        // its own latest, by number
	twinsUntil        time.Duration // until when two are taken to be alive
	earlier           earlier
}

// earlier is what is known of a process that another one has followed, from the
// same store. Its last messages may come late, in any number, so that only what
// it does after the later one began shows that it lives on: then the store was
// copied, or put back from a backup.
type earlier struct {
	boot, request uint64        // its latest request, by number
	seenAt        time.Duration // the one that counted last
	seen          int           // how many have counted
	aliveUntil    time.Duration // until when it is taken to be alive
}

// livesAfter is how many new requests, each a maximal election timeout after the
// one before, show that a process lives on: its last message may be late, or its
// last burst of them, but hardly a second one so much later.
const livesAfter = 2

// heard reports whether anything came from the member yet.
func (p *process) heard() bool { return p.incarnation > 0 }

// identify keeps track of the process that speaks under a member's name. It
// reports whether exactly one live process uses the name, and this message comes
// from it. Rule 15: of two at once both are refused, for as long as both speak and
// one maximal election timeout longer. Two of one incarnation are certain to be
// two; an earlier one must have shown that it lives on.
func (c *Core) identify(p *peer, m *Message) bool {
	switch {
	case m.Incarnation > p.incarnation:
		p.renewProcess(m)
		p.process = process{
			incarnation: m.Incarnation, boot: m.Boot, store: m.StoreID,
			since: c.now, asked: c.sequence, twinsUntil: p.twinsUntil,
			earlier: earlier{boot: p.boot, request: p.request, seenAt: c.now},
		}
	case m.Boot != p.boot && (m.Incarnation == p.incarnation || m.StoreID != p.store):
		p.renewProcess(m)
		p.incarnation, p.boot, p.store, p.request = m.Incarnation, m.Boot, m.StoreID, 0
		p.twinsUntil = c.now + c.cfg.ElectionTimeoutMax
	case m.Incarnation < p.incarnation:
		c.refuseEarlier(p, m)
		return false
	}
	if m.Kind.isRequest() {
		p.request = max(p.request, m.Sequence)
	}
	if c.now < p.earlier.aliveUntil {
		p.twinsUntil = c.now + c.cfg.ElectionTimeoutMax
	}
	if c.now < p.twinsUntil {
		c.counters.Dropped.Twins++
		c.refuse(m, RefusedTwin)
		return false
	}
	p.shown, p.level = m.ConfigurationID, m.Level
	return true
}

// refuseEarlier drops a message of an earlier process. If that lives on, it is
// told why: beside the later one it is a twin, and without it, the state of a
// backup that was put back.
func (c *Core) refuseEarlier(p *peer, m *Message) {
	dropped := &c.counters.Dropped
	if !c.faults.trustLateFrames && !c.livesOn(p, m) {
		dropped.Late++
		return
	}
	p.earlier.aliveUntil = c.now + c.cfg.ElectionTimeoutMax
	if c.now < p.twinsUntil {
		dropped.Twins++
		c.refuse(m, RefusedTwin)
		return
	}
	dropped.Restored++
	c.refuse(m, RefusedRestored)
}

// livesOn reports whether a message of an earlier process shows that it goes on
// beside the later one: it answers what was asked since, or its own requests
// have gone on for long enough.
func (c *Core) livesOn(p *peer, m *Message) bool {
	e := &p.earlier
	switch {
	case m.Kind.isAnswer():
		return m.Sequence > p.asked
	case !m.Kind.isRequest():
		return false
	case m.Boot != e.boot:
		*e = earlier{boot: m.Boot, request: m.Sequence, seenAt: c.now}
		return false
	case m.Sequence <= e.request:
		return false
	}
	e.request = m.Sequence
	if c.now-e.seenAt >= c.cfg.ElectionTimeoutMax {
		e.seen, e.seenAt = e.seen+1, c.now
	}
	return e.seen >= livesAfter
}
