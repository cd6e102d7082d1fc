package transport

import (
	"context"
	"maps"
	"slices"
	"time"
)

// An Endpoint is the [Transport] of one member of a [Memory]. Make one with
// [Memory.Join].
type Endpoint struct {
	net  *Memory
	name string
	// wake tells Serve that a parcel may fall due earlier than it knew.
	wake chan struct{}

	// The rest is guarded by net.mu.

	phase phase
	inbox inbox
	// spare are parcels for reuse: no more than were ever waiting at once.
	spare []*parcel
	peers map[string]*peer
}

// A phase is a part of an endpoint's life.
type phase int

const (
	joined phase = iota
	serving
	closed
)

// A peer is what an endpoint knows about another member.
type peer struct {
	stats PeerStats
	// waiting counts the parcels from the peer in the inbox.
	waiting int
	// transit is how long the latest parcel from the peer was under way.
	transit time.Duration
}

// Name returns the name under which the endpoint joined.
func (e *Endpoint) Name() string { return e.name }

// Send implements [Transport]. Members that never joined, and the endpoint
// itself, are unknown peers; a member that has stopped serving is a known one
// that loses every frame. It allocates nothing once the link is in use.
func (e *Endpoint) Send(to string, frame []byte) error {
	m := e.net
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.phase == closed {
		return ErrClosed
	}
	dst := m.members[to]
	if dst == nil || dst == e {
		return &UnknownPeerError{Peer: to}
	}
	if len(frame) > m.maxFrame {
		return &TooLargeError{Size: len(frame), Limit: m.maxFrame}
	}
	now := m.now()
	m.times = m.model.Send(m.times[:0], now, e.name, to, len(frame))
	out := &e.peerLocked(to).stats
	if len(m.times) == 0 || dst.phase == closed {
		out.Dropped.Lost++
		return nil
	}
	for i, due := range m.times {
		m.seq++
		p := dst.blankLocked()
		p.due, p.seq, p.sent = due, m.seq, now
		p.from, p.out, p.extra = e.name, out, i > 0
		p.frame = append(p.frame[:0], frame...)
		dst.acceptLocked(p)
	}
	return nil
}

// Serve implements [Transport]. It runs handle on the calling goroutine, one
// frame at a time, so a slow handler holds up this member's own frames only.
func (e *Endpoint) Serve(ctx context.Context, handle func(from string, frame []byte)) error {
	if err := e.begin(); err != nil {
		return err
	}
	defer e.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		p, wait := e.next()
		if p != nil {
			handle(p.from, p.frame)
			e.recycle(p)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-timer.C:
		}
	}
	return nil
}

// Stats returns a snapshot of the endpoint's counters, with an entry for each
// other member that ever joined. Frames under way count as queued. The
// round-trip estimate is the time that the latest frame took to the peer,
// plus that of the latest frame back.
func (e *Endpoint) Stats() Stats {
	m := e.net
	m.mu.Lock()
	defer m.mu.Unlock()
	var s Stats
	for _, name := range slices.Sorted(maps.Keys(m.members)) {
		if name == e.name {
			continue
		}
		there, back := m.members[name].peerLocked(e.name), e.peerLocked(name)
		ps := back.stats
		ps.Peer = name
		if there.transit > 0 && back.transit > 0 {
			ps.RoundTrip = there.transit + back.transit
		}
		s.Peers = append(s.Peers, ps)
	}
	return s
}

func (e *Endpoint) begin() error {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.phase != joined {
		return ErrClosed
	}
	e.phase = serving
	return nil
}

func (e *Endpoint) end() {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.phase = closed
	for len(e.inbox) > 0 {
		p := e.removeLocked(0)
		p.settle(&p.out.Dropped.Lost)
	}
	e.spare = nil
}

// idle is how long Serve sleeps when nothing is under way to it; only a bound,
// for a parcel wakes it.
const idle = time.Hour

// next takes the next parcel to handle out of the inbox, or says how long
// there will be none.
func (e *Endpoint) next() (*parcel, time.Duration) {
	m := e.net
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for len(e.inbox) > 0 {
		if wait := e.inbox[0].due - now; wait > 0 {
			return nil, wait
		}
		p := e.removeLocked(0)
		switch {
		case !m.model.Connected(p.from, e.name):
			p.settle(&p.out.Dropped.Lost)
		case now-p.due > QueueAge:
			p.settle(&p.out.Dropped.Stale)
		default:
			p.settle(&p.out.Sent)
			from := e.peerLocked(p.from)
			from.stats.Received++
			from.transit = now - p.sent
			return p, 0
		}
		e.spare = append(e.spare, p)
	}
	return nil, idle
}

func (e *Endpoint) recycle(p *parcel) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.spare = append(e.spare, p)
}

func (e *Endpoint) peerLocked(name string) *peer {
	p := e.peers[name]
	if p == nil {
		p = &peer{}
		e.peers[name] = p
	}
	return p
}
