package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// GroupNameLimit is the longest name of a group of a [Mux] in bytes.
const GroupNameLimit = 255

// MuxConfig configures a [Mux].
type MuxConfig struct {
	// Transport carries the frames of all groups. Required. Nobody else may
	// send through it or serve it. If it is no [FlowSender], groups share one
	// send queue for each peer, and a flood of one can push out the frames of
	// others there.
	Transport Transport
}

// A Mux lets many groups, for instance clusters of package raft, share one
// Transport: one listener, and one connection to and from each peer, whatever
// the number of groups. Each group is a [Transport] of its own; make it with
// [Mux.Join]. All members of a group must use a Mux.
//
// A flood in one group starves no other. Each group has a send queue for each
// peer and a receive queue for each sender, bounded by [QueueFrames] and
// [QueueAge]. A handler that does not return holds up its own group only. A
// Mux adds the same cost to each frame, whatever the number of groups.
type Mux struct {
	transport Transport
	flows     FlowSender // nil: transport is none
	// buffers holds *[]byte, in which frames are composed.
	buffers sync.Pool
	// done is closed when Serve has returned.
	done chan struct{}

	// mu is never taken with a group's.
	mu      sync.RWMutex
	phase   phase
	groups  map[string]*Group
	refused MuxRefused
}

// MuxStats is a snapshot of the counters of a [Mux]. Those of Refused never
// decrease; those of a group begin anew each time that it joins.
type MuxStats struct {
	// Groups has an entry for each group that runs here, by name.
	Groups []GroupStats
	// Refused counts the frames of peers that went to no group.
	Refused MuxRefused
}

// MuxRefused counts frames that a [Mux] has dropped because they went to no
// group.
type MuxRefused struct {
	// Group: the group does not run here.
	Group uint64
	// Version: the version of the framing is unknown here.
	Version uint64
	// Frame: the frame is broken, for instance of a peer without a Mux.
	Frame uint64
}

// GroupStats counts the frames of one group, from its [Mux.Join] on.
type GroupStats struct {
	// Group is its name.
	Group string
	// Sent counts frames that the transport has queued, Received frames that
	// were given to the handler.
	Sent, Received uint64
	// Dropped counts frames that have arrived and were given up: Lost are
	// those that waited when the group's Serve ended.
	Dropped Dropped
	// Queued is the number of frames that wait for the handler.
	Queued int
}

// NewMux returns a Mux without groups over cfg.Transport. It takes constant time.
func NewMux(cfg MuxConfig) (*Mux, error) {
	if cfg.Transport == nil {
		return nil, errors.New("transport: a Mux needs a Transport")
	}
	m := &Mux{
		transport: cfg.Transport,
		buffers:   sync.Pool{New: func() any { return new([]byte) }},
		done:      make(chan struct{}),
		groups:    map[string]*Group{},
	}
	m.flows, _ = cfg.Transport.(FlowSender)
	return m, nil
}

// Join makes the [Transport] of this member in a group, whose name has 1 to
// [GroupNameLimit] bytes. From then on frames of the group wait for its Serve.
// The member leaves the group when that Serve returns, and may then join again;
// before that Join returns [ErrNameTaken]. To leave without serving, call Serve
// with a context that has ended. Once the Serve of the Mux has returned, Join
// returns [ErrClosed]. It takes constant time.
func (m *Mux) Join(group string) (*Group, error) {
	if group == "" || len(group) > GroupNameLimit {
		return nil, fmt.Errorf("transport: the name of a group must have 1 to %d bytes, not %d", GroupNameLimit, len(group))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == closed {
		return nil, ErrClosed
	}
	if m.groups[group] != nil {
		return nil, fmt.Errorf("%w: group %q", ErrNameTaken, group)
	}
	g := newGroup(m, group)
	m.groups[group] = g
	return g, nil
}

// Serve serves the transport until ctx ends, and returns what its Serve returns.
// Groups exchange frames while it runs. End them first: the Serve of a group
// that still runs when it returns fails with [ErrClosed]. Serve is called once;
// another call returns [ErrClosed].
func (m *Mux) Serve(ctx context.Context) error {
	if !m.enter(joined, serving) {
		return ErrClosed
	}
	err := m.transport.Serve(ctx, m.receive)
	m.enter(serving, closed)
	close(m.done)
	return err
}

// enter changes the phase and reports whether it was the first one given.
func (m *Mux) enter(from, to phase) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase != from {
		return false
	}
	m.phase = to
	return true
}

// Stats returns a snapshot of the counters. It costs time in proportion to the
// groups and what waits in them.
func (m *Mux) Stats() MuxStats {
	m.mu.RLock()
	s := MuxStats{Refused: m.refused}
	groups := slices.Collect(maps.Values(m.groups))
	m.mu.RUnlock()
	for _, g := range groups {
		s.Groups = append(s.Groups, g.Stats())
	}
	slices.SortFunc(s.Groups, func(a, b GroupStats) int { return strings.Compare(a.Group, b.Group) })
	return s
}

// receive is the handler of the transport. It leaves a copy of the frame with
// its group, so it never waits.
func (m *Mux) receive(from string, frame []byte) {
	name, payload, err := splitGroupFrame(frame)
	if err == nil {
		m.mu.RLock()
		g := m.groups[string(name)]
		m.mu.RUnlock()
		if g != nil && g.accept(from, payload) {
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case errors.Is(err, errGroupVersion):
		m.refused.Version++
	case err != nil:
		m.refused.Frame++
	default:
		m.refused.Group++
	}
}

// send sends frame with header in front as a frame of the flow. It copies
// both, into a buffer that is kept unless the frame is refused, for it may be
// of any size then.
func (m *Mux) send(flow, to string, header, frame []byte) error {
	buf, _ := m.buffers.Get().(*[]byte)
	*buf = append(append((*buf)[:0], header...), frame...)
	var err error
	if m.flows != nil {
		err = m.flows.SendFlow(flow, to, *buf)
	} else {
		err = m.transport.Send(to, *buf)
	}
	if err != nil {
		return withoutHeader(err, len(header))
	}
	m.buffers.Put(buf)
	return nil
}

// withoutHeader returns err as a caller must see it that knows nothing of the n
// bytes of the header.
func withoutHeader(err error, n int) error {
	if tooLarge, ok := errors.AsType[*TooLargeError](err); ok {
		return &TooLargeError{Size: max(tooLarge.Size-n, 0), Limit: max(tooLarge.Limit-n, 0)}
	}
	return err
}

// forget ends the membership of g.
func (m *Mux) forget(g *Group) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.groups, g.name)
}
