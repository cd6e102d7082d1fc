package tcp

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport/internal/outbox"
)

// An inboundConn is an accepted connection whose introduction was good.
type inboundConn struct {
	conn net.Conn
	peer *outbox.Peer
	slot *inboundSlot
}

// An inboundSlot is for the one inbound connection of a peer. A newer connection
// replaces the one that is served; while that one's handler has not returned,
// the newer one waits, and only one may.
type inboundSlot struct {
	// active is full while a connection is served, next while one waits to
	// replace it.
	active, next chan struct{}

	mu   sync.Mutex
	conn net.Conn
	// removed says that the peer is no peer any more.
	removed bool
}

func newInboundSlot() *inboundSlot {
	return &inboundSlot{active: make(chan struct{}, 1), next: make(chan struct{}, 1)}
}

// acquire closes the connection that is served, waits until it has released
// the slot, at most until the deadline, and takes its place. It reports whether
// conn has the slot.
func (s *inboundSlot) acquire(ctx context.Context, conn net.Conn, deadline time.Time) bool {
	select {
	case s.next <- struct{}{}:
		defer func() { <-s.next }()
	default:
		return false
	}
	s.closeConn()
	select {
	case s.active <- struct{}{}:
	case <-time.After(time.Until(deadline)):
		return false
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		<-s.active
		return false
	}
	s.conn = conn
	return true
}

// release frees the slot.
func (s *inboundSlot) release() {
	s.mu.Lock()
	s.conn = nil
	s.mu.Unlock()
	<-s.active
}

// remove closes the connection that is served; no other one gets the slot.
func (s *inboundSlot) remove() {
	s.mu.Lock()
	s.removed = true
	s.mu.Unlock()
	s.closeConn()
}

func (s *inboundSlot) closeConn() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}
