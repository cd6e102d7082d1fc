package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
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
func (s *server) acceptAll(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
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
			wg.Go(func() { s.serve(ctx, conn) })
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

// admit counts conn among the connections that introduce themselves. If there
// are too many, it closes the one that the set gives up.
func (s *server) admit(conn net.Conn) {
	t := s.t
	t.mu.Lock()
	removed := t.pending.add(conn)
	if removed != nil {
		t.refused.Busy++
	}
	t.mu.Unlock()
	if removed != nil {
		_ = removed.Close()
		s.logRefused(removed, &t.refused.Busy)
	}
}

// logRefused logs that conn was refused. No lock is held.
func (s *server) logRefused(conn net.Conn, reason *uint64) {
	s.t.refusals.Refused(&s.t.refused, reason, conn.RemoteAddr().String())
}

// endPending ends the introduction of conn, counts it under reason, nil for
// a good one, and reports whether it was still pending; if not, admit has
// closed and counted it.
func (s *server) endPending(conn net.Conn, reason *uint64) bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if !s.t.pending.remove(conn) {
		return false
	}
	if reason != nil {
		*reason++
	}
	return true
}

// serve serves one accepted connection to its end.
func (s *server) serve(ctx context.Context, raw net.Conn) {
	closeRaw := func() { _ = raw.Close() }
	defer closeRaw()
	defer context.AfterFunc(ctx, closeRaw)()
	in, reason := s.introduce(ctx, raw)
	if in != nil {
		defer in.slot.release()
	}
	if !s.endPending(raw, reason) {
		return
	}
	if reason == nil {
		reason = s.receiveAll(in)
	}
	if reason != nil && ctx.Err() == nil {
		s.logRefused(raw, reason)
	}
}

// receiveAll gives the frames of in to the handler until the connection ends. It
// returns the counter of the reason for which it was cut off, nil if it was not.
func (s *server) receiveAll(in *inboundConn) *uint64 {
	in.peer.RetryHint.Give()
	if err := s.receive(in); !errors.Is(err, wire.ErrBroken) && !errors.Is(err, wire.ErrTooLong) {
		return nil
	}
	s.t.count(&s.t.refused.Frame)
	return &s.t.refused.Frame
}

// introduce reads the introduction on raw, judges it and answers. It returns
// the inbound connection, which has its slot, or the counter of the reason for
// which the connection is refused; both if the answer could not be written.
func (s *server) introduce(ctx context.Context, raw net.Conn) (*inboundConn, *uint64) {
	refused := &s.t.refused
	deadline := time.Now().Add(introduceTimeout)
	if err := raw.SetDeadline(deadline); err != nil {
		return nil, &refused.Handshake
	}
	conn := raw
	if s.t.serverTLS != nil {
		secure := tls.Server(raw, s.t.serverTLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			if isCertificateError(err) {
				return nil, &refused.Certificate
			}
			return nil, &refused.Handshake
		}
		conn = secure
	}
	hello, err := wire.ReadHello(conn)
	if err != nil && !errors.Is(err, wire.ErrVersion) {
		return nil, &refused.Handshake
	}
	var in *inboundConn
	reply, reason := wire.RefusedVersion, &refused.Version
	if err == nil {
		in, reply, reason = s.judge(conn, hello)
	}
	if in != nil && !in.slot.acquire(ctx, raw, deadline) {
		in, reply, reason = nil, wire.RefusedBusy, &refused.Busy
	}
	if err := write(conn, reply.Append(nil)); err != nil && reason == nil {
		reason = &refused.Handshake
	}
	return in, reason
}

// judge answers a hello that is well formed.
func (s *server) judge(conn net.Conn, hello wire.Hello) (*inboundConn, wire.Reply, *uint64) {
	refused := &s.t.refused
	// The sender proves its name first: any other answer would tell a stranger
	// which cluster and which member are here.
	if secure, ok := conn.(*tls.Conn); ok && checkName(secure.ConnectionState(), hello.From) != nil {
		return nil, wire.RefusedSender, &refused.Sender
	}
	if hello.Cluster != s.t.cfg.Cluster {
		return nil, wire.RefusedCluster, &refused.Cluster
	}
	if hello.To != s.t.cfg.Name {
		return nil, wire.RefusedReceiver, &refused.Receiver
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	peer := s.t.roster.Peer(hello.From)
	if peer == nil {
		return nil, wire.RefusedSender, &refused.Sender
	}
	slot := s.t.slots[peer.Name]
	if slot == nil {
		slot = newInboundSlot()
		s.t.slots[peer.Name] = slot
	}
	return &inboundConn{conn, peer, slot}, wire.Accepted, nil
}

// receive gives the frames of in to the handler until the connection ends.
func (s *server) receive(in *inboundConn) error {
	r := wire.NewReader(in.conn, s.t.cfg.MaxFrame)
	var pong []byte
	for {
		if err := in.conn.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		kind, payload, err := r.Next()
		if err != nil {
			return err
		}
		switch {
		case kind == wire.Data:
			in.peer.Out.Received()
			s.handle(in.peer.Name, payload)
		case kind == wire.Ping && len(payload) == pingSize:
			pong = wire.Append(pong[:0], wire.Pong, payload)
			if err := write(in.conn, pong); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: kind %d with %d bytes", wire.ErrBroken, kind, len(payload))
		}
	}
}
