package tcp

import (
	"context"
	"net"
	"sync"
	"time"
)

// A seat is for the one accepted connection of a peer. A newer connection
// replaces the one that sits; while that one's handler has not returned, the
// newer one waits, and only one may.
type seat struct {
	// taken holds a value while a connection sits, queue while one waits.
	taken, queue chan struct{}

	mu   sync.Mutex
	conn net.Conn
	// removed says that the peer is no peer any more.
	removed bool
}

func newSeat() *seat {
	return &seat{taken: make(chan struct{}, 1), queue: make(chan struct{}, 1)}
}

// sit closes the connection that sits, waits until it has left, at most until
// the deadline, and takes its place. It reports whether conn sits.
func (s *seat) sit(ctx context.Context, conn net.Conn, deadline time.Time) bool {
	select {
	case s.queue <- struct{}{}:
		defer func() { <-s.queue }()
	default:
		return false
	}
	s.closeConn()
	select {
	case s.taken <- struct{}{}:
	case <-time.After(time.Until(deadline)):
		return false
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		<-s.taken
		return false
	}
	s.conn = conn
	return true
}

// leave frees the seat.
func (s *seat) leave() {
	s.mu.Lock()
	s.conn = nil
	s.mu.Unlock()
	<-s.taken
}

// clear closes the connection that sits and lets no other one sit.
func (s *seat) clear() {
	s.mu.Lock()
	s.removed = true
	s.mu.Unlock()
	s.closeConn()
}

func (s *seat) closeConn() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}
