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
	// wake tells Serve that a frame may arrive earlier than it knew.
	wake chan struct{}

	// The rest is guarded by net.mu.

	phase phase
	inbox inbox
	// spare are for reuse: no more than were ever in flight at once.
	spare []*inFlight
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
	// waiting counts the frames from the peer in the inbox, by flow; a flow
	// without any has no entry.
	waiting map[string]int
	// transit is how long the latest frame from the peer was in flight.
	transit time.Duration
}

// Name returns the name under which the endpoint joined.
func (e *Endpoint) Name() string { return e.name }

// Send implements [Transport]. Members that never joined, and the endpoint
// itself, are unknown peers; a member that has stopped serving is a known one
// that loses every frame. It allocates nothing once the link is in use. It takes
// logarithmic time in the frames that are in flight to the receiver, and linear
// time when it drops the oldest.
func (e *Endpoint) Send(to string, frame []byte) error { return e.SendFlow("", to, frame) }

// SendFlow implements [FlowSender]. Frames are delivered in the order in which
// they arrive, so flows need not take turns.
func (e *Endpoint) SendFlow(flow, to string, frame []byte) error {
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
		f := dst.blankLocked()
		f.due, f.seq, f.sent = due, m.seq, now
		f.from, f.flow, f.out, f.extra = e.name, flow, out, i > 0
		f.frame = append(f.frame[:0], frame...)
		dst.acceptLocked(f)
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
		f, wait := e.next()
		if f != nil {
			handle(f.from, f.frame)
			e.recycle(f)
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
// plus that of the latest frame back. It takes time in proportion to the members
// that ever joined.
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
		f := e.removeLocked(0)
		f.finish(&f.out.Dropped.Lost)
	}
	e.spare = nil
}

// idle is how long Serve sleeps when nothing is in flight to it; only a bound,
// for a frame wakes it.
const idle = time.Hour

// next takes the next frame to handle out of the inbox, or says how long
// there will be none.
func (e *Endpoint) next() (*inFlight, time.Duration) {
	m := e.net
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for len(e.inbox) > 0 {
		if wait := e.inbox[0].due - now; wait > 0 {
			return nil, wait
		}
		f := e.removeLocked(0)
		switch {
		case !m.model.Connected(f.from, e.name):
			f.finish(&f.out.Dropped.Lost)
		case now-f.due > QueueAge:
			f.finish(&f.out.Dropped.Stale)
		default:
			f.finish(&f.out.Sent)
			from := e.peerLocked(f.from)
			from.stats.Received++
			from.transit = now - f.sent
			return f, 0
		}
		e.spare = append(e.spare, f)
	}
	return nil, idle
}

func (e *Endpoint) recycle(f *inFlight) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.spare = append(e.spare, f)
}

func (e *Endpoint) peerLocked(name string) *peer {
	p := e.peers[name]
	if p == nil {
		p = &peer{waiting: map[string]int{}}
		e.peers[name] = p
	}
	return p
}
