package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport/internal/outbox"
	"github.com/rads-project/constellation/transport/internal/wire"
)

// A link sends to one peer: it connects, introduces itself, writes what the
// outbox holds, and connects again after a failure.
type link struct {
	cfg  *Config
	peer *outbox.Peer
	log  *outbox.PeerLog
}

// errMoved ends a connection because SetPeer was called.
var errMoved = errors.New("tcp: the address was set again")

// run keeps a connection to the peer until ctx ends.
func (l *link) run(ctx context.Context) {
	backoff := outbox.NewBackoff(l.cfg.Name, l.peer.Name)
	for {
		err := l.session(ctx, backoff)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errMoved) {
			continue
		}
		l.peer.Out.Failed(err)
		l.log.Failed(err)
		l.log.Look(l.peer.Out.Expired(time.Now()))
		l.peer.Pause(ctx, backoff)
	}
}

// session makes one connection and uses it until it fails.
func (l *link) session(ctx context.Context, backoff *outbox.Backoff) error {
	raw, conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	// Closing raw, not what is around it, never waits for the peer.
	closeRaw := func() { _ = raw.Close() }
	defer closeRaw()
	defer context.AfterFunc(ctx, closeRaw)()
	connected := time.Now()
	l.peer.Out.Connected()
	l.peer.Out.Reached()
	l.log.Reached()

	p := &pinger{out: l.peer.Out}
	broken := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { broken <- p.readPongs(conn) })
	err = l.writeAll(ctx, conn, p, broken)
	closeRaw()
	wg.Wait()
	// That the peer connected while the connection stood says nothing about
	// the time after it.
	l.peer.RetryHint.Forget()
	// Only a connection that lasted shows that the trouble is over; one that
	// is made and lost at once must not be made again at once.
	if time.Since(connected) > outbox.BackoffLast {
		backoff.Reset()
	}
	return err
}

// connect makes a connection and introduces this member on it, unless ctx ends
// or the address moves before that. Of what it returns, raw is the connection
// to close and conn the one to use.
func (l *link) connect(ctx context.Context) (raw, conn net.Conn, err error) {
	address := l.peer.Address()
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-l.peer.Moved:
			cancel(errMoved)
		case <-ctx.Done():
		}
	})
	defer func() {
		cancel(nil)
		watching.Wait()
		if cause := context.Cause(ctx); errors.Is(cause, errMoved) {
			err = cause
		}
		if err != nil && raw != nil {
			_ = raw.Close()
		}
	}()
	dialCtx, dialed := context.WithTimeout(ctx, dialTimeout)
	defer dialed()
	if raw, err = l.cfg.dial(dialCtx, address); err != nil {
		return nil, nil, fmt.Errorf("tcp: connect: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn, err = l.introduce(ctx, raw)
	return raw, conn, err
}

// introduce says hello on conn, within TLS where it is configured, and waits
// for the reply. It returns the connection to use, on which every read and
// write sets a deadline of its own.
func (l *link) introduce(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(introduceTimeout)); err != nil {
		return nil, err
	}
	if base := l.cfg.TLS; base != nil {
		secure := tls.Client(conn, clientTLS(base, l.peer.Name))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("tcp: handshake: %w", err)
		}
		conn = secure
	}
	hello := wire.Hello{Cluster: l.cfg.Cluster, From: l.cfg.Name, To: l.peer.Name}
	if _, err := conn.Write(hello.Append(nil)); err != nil {
		return nil, err
	}
	reply, err := wire.ReadReply(conn)
	if err != nil {
		return nil, fmt.Errorf("tcp: no answer to the introduction: %w", err)
	}
	if reply != wire.Accepted {
		return nil, fmt.Errorf("tcp: %q refused the connection: %v", l.peer.Name, reply)
	}
	return conn, nil
}

// writeAll writes frames and pings until ctx ends, the address moves, a write
// fails or the reading side breaks.
func (l *link) writeAll(ctx context.Context, conn net.Conn, p *pinger, broken <-chan error) error {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	out := l.peer.Out
	buf := p.ping(nil)
	for taken := 0; ; {
		if err := write(conn, buf); err != nil {
			out.Lost(taken)
			return err
		}
		if out.Sent(taken); taken > 0 {
			l.log.Look(out.Expired(time.Now()))
		}
		buf, taken = buf[:0], 0
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-broken:
			return err
		case <-l.peer.Moved:
			return errMoved
		case <-ticker.C:
			buf = p.ping(buf)
		case <-out.Ready():
			buf, taken = out.Take(buf, time.Now(), batchSize)
		}
	}
}

// write writes b or fails within the time that a peer may take for it.
func write(conn net.Conn, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := conn.Write(b)
	return err
}
