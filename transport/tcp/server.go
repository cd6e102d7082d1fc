package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport/internal/wire"
)

// A server is the accepting side of a transport while it serves.
type server struct {
	t      *Transport
	handle func(from string, frame []byte)
}

// acceptLast is the longest pause after a failure to accept, for instance for
// want of file descriptors.
const acceptLast = time.Second

// acceptAll accepts connections until ctx ends or the listener is closed.
func (s *server) acceptAll(ctx context.Context, wg *sync.WaitGroup) error {
	listener := s.t.cfg.Listener
	closeListener := func() { _ = listener.Close() }
	defer closeListener()
	defer context.AfterFunc(ctx, closeListener)()
	pause := time.Duration(0)
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(conn)
			wg.Go(func() { s.converse(ctx, conn) })
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return fmt.Errorf("tcp: accept: %w", err)
		default:
			pause = min(max(2*pause, 5*time.Millisecond), acceptLast)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// admit counts conn among the connections that introduce themselves. Where
// there are too many, the one that has taken longest is closed: a member
// needs milliseconds, so it is hardly ever a member's.
func (s *server) admit(conn net.Conn) {
	t := s.t
	t.mu.Lock()
	var oldest net.Conn
	if len(t.pending) == t.cfg.MaxPending {
		oldest = t.pending[0]
		t.pending = slices.Delete(t.pending, 0, 1)
		t.refused.Busy++
	}
	t.pending = append(t.pending, conn)
	t.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

// settle ends the introduction of conn, counts it under reason, nil for a
// good one, and reports whether it was still pending; if not, admit has
// closed and counted it.
func (s *server) settle(conn net.Conn, reason *uint64) bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	i := slices.Index(s.t.pending, conn)
	if i < 0 {
		return false
	}
	s.t.pending = slices.Delete(s.t.pending, i, i+1)
	if reason != nil {
		*reason++
	}
	return true
}

// converse serves one accepted connection to its end.
func (s *server) converse(ctx context.Context, raw net.Conn) {
	closeRaw := func() { _ = raw.Close() }
	defer closeRaw()
	defer context.AfterFunc(ctx, closeRaw)()
	conn, l, reason := s.welcome(ctx, raw)
	if l != nil {
		defer s.leave(l)
	}
	if !s.settle(raw, reason) || reason != nil {
		return
	}
	notify(l.knocked)
	if err := s.receive(conn, l); errors.Is(err, wire.ErrBroken) || errors.Is(err, wire.ErrTooLong) {
		s.t.mu.Lock()
		s.t.refused.Frame++
		s.t.mu.Unlock()
	}
}

// welcome hears the introduction on raw, judges it and answers. It returns
// the connection to use and the sender's link, whose seat it has taken, or the
// counter of the reason for which the connection is refused.
func (s *server) welcome(ctx context.Context, raw net.Conn) (net.Conn, *link, *uint64) {
	refused := &s.t.refused
	deadline := time.Now().Add(introduceTimeout)
	if err := raw.SetDeadline(deadline); err != nil {
		return nil, nil, &refused.Handshake
	}
	conn := raw
	if s.t.serverTLS != nil {
		secure := tls.Server(raw, s.t.serverTLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			if isCertificateError(err) {
				return nil, nil, &refused.Certificate
			}
			return nil, nil, &refused.Handshake
		}
		conn = secure
	}
	hello, err := wire.ReadHello(conn)
	if err != nil && !errors.Is(err, wire.ErrVersion) {
		return nil, nil, &refused.Handshake
	}
	var l *link
	verdict, reason := wire.RefusedVersion, &refused.Version
	if err == nil {
		l, verdict, reason = s.judge(ctx, raw, conn, hello, deadline)
	}
	if err := write(conn, verdict.Append(nil)); err != nil && reason == nil {
		reason = &refused.Handshake
	}
	if err := conn.SetDeadline(time.Time{}); err != nil && reason == nil {
		reason = &refused.Handshake
	}
	return conn, l, reason
}

// judge answers a hello that is well formed. If it accepts it, the link's
// seat is taken.
func (s *server) judge(
	ctx context.Context, raw, conn net.Conn, hello wire.Hello, deadline time.Time,
) (*link, wire.Verdict, *uint64) {
	refused := &s.t.refused
	if hello.Cluster != s.t.cfg.Cluster {
		return nil, wire.RefusedCluster, &refused.Cluster
	}
	if hello.To != s.t.cfg.Name {
		return nil, wire.RefusedReceiver, &refused.Receiver
	}
	if secure, ok := conn.(*tls.Conn); ok && checkName(secure.ConnectionState(), hello.From) != nil {
		return nil, wire.RefusedSender, &refused.Sender
	}
	s.t.mu.Lock()
	l := s.t.links[hello.From]
	s.t.mu.Unlock()
	if l == nil {
		return nil, wire.RefusedSender, &refused.Sender
	}
	if !s.sit(ctx, l, raw, deadline) {
		return nil, wire.RefusedBusy, &refused.Busy
	}
	return l, wire.Accepted, nil
}

// sit gives the seat of l to conn, which replaces the connection that has it.
// It waits for that one's handler, but only one connection may wait, and not
// beyond the deadline; it reports whether conn has the seat.
func (s *server) sit(ctx context.Context, l *link, conn net.Conn, deadline time.Time) bool {
	select {
	case l.queue <- struct{}{}:
		defer func() { <-l.queue }()
	default:
		return false
	}
	s.t.mu.Lock()
	old := l.inbound
	s.t.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	select {
	case l.seat <- struct{}{}:
	case <-time.After(time.Until(deadline)):
		return false
	case <-ctx.Done():
		return false
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.t.links[l.peer] != l {
		<-l.seat
		return false // The peer was removed meanwhile.
	}
	l.inbound = conn
	return true
}

// leave frees the seat of l.
func (s *server) leave(l *link) {
	s.t.mu.Lock()
	l.inbound = nil
	s.t.mu.Unlock()
	<-l.seat
}

// receive hands the frames on conn to the handler until the connection ends.
func (s *server) receive(conn net.Conn, l *link) error {
	r := wire.NewReader(conn, s.t.cfg.MaxFrame)
	var pong []byte
	for {
		if err := conn.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		kind, payload, err := r.Next()
		if err != nil {
			return err
		}
		switch {
		case kind == wire.Data:
			l.out.Received()
			s.handle(l.peer, payload)
		case kind == wire.Ping && len(payload) == pingSize:
			pong = wire.Append(pong[:0], wire.Pong, payload)
			if err := write(conn, pong); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: kind %d with %d bytes", wire.ErrBroken, kind, len(payload))
		}
	}
}
