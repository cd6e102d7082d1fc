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

// A link is what a transport has with one peer. It sends: it connects,
// introduces itself, writes what the outbox holds, and connects again after a
// failure. And it knows the connection that was accepted from the peer.
type link struct {
	t    *Transport
	peer string
	out  *outbox.Outbox
	// moved says that the address was set anew, knocked that the peer has
	// connected to this member and so is alive.
	moved, knocked chan struct{}
	// seat holds a value while an accepted connection is in use, queue while
	// another one waits for the seat.
	seat, queue chan struct{}

	// The rest is guarded by t.mu.

	address string
	// stop ends run; nil: it does not run yet.
	stop context.CancelFunc
	// inbound is the accepted connection in use, if there is one.
	inbound net.Conn
}

func newLink(t *Transport, peer, address string) *link {
	return &link{
		t:       t,
		peer:    peer,
		out:     outbox.New(peer),
		moved:   make(chan struct{}, 1),
		knocked: make(chan struct{}, 1),
		seat:    make(chan struct{}, 1),
		queue:   make(chan struct{}, 1),
		address: address,
	}
}

// errMoved ends a connection because the address was set anew.
var errMoved = errors.New("tcp: the address was set anew")

// run keeps a connection to the peer until ctx ends.
func (l *link) run(ctx context.Context) {
	defer l.out.Discard()
	backoff := outbox.NewBackoff(l.t.cfg.Name, l.peer)
	for {
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errMoved) {
			continue
		}
		l.out.Failed(err)
		// Only a connection that lasted shows that the trouble is over; one
		// that is made and lost at once must not be made again at once.
		if time.Since(began) > outbox.BackoffLast {
			backoff.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-l.moved:
		case <-l.knocked:
		case <-time.After(backoff.Next()):
		}
	}
}

// session makes one connection and uses it until it fails.
func (l *link) session(ctx context.Context) error {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	raw, err := l.t.cfg.Dial(dialCtx, "tcp", l.target())
	cancel()
	if err != nil {
		return err
	}
	// Closing raw, not what is around it, never waits for the peer.
	closeRaw := func() { _ = raw.Close() }
	defer closeRaw()
	defer context.AfterFunc(ctx, closeRaw)()
	conn, err := l.introduce(ctx, raw)
	if err != nil {
		return err
	}
	l.out.Connected()
	l.out.Reached()

	p := &pinger{out: l.out}
	broken := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { broken <- p.readPongs(conn) })
	err = l.writeAll(ctx, conn, p, broken)
	closeRaw()
	wg.Wait()
	// That the peer connected while the connection stood says nothing about
	// the time after it.
	forget(l.knocked)
	return err
}

// target returns the address to connect to.
func (l *link) target() string {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	forget(l.moved)
	return l.address
}

// introduce says hello on conn, within TLS where it is configured, and waits
// for the verdict. It returns the connection to use.
func (l *link) introduce(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(introduceTimeout)); err != nil {
		return nil, err
	}
	if base := l.t.cfg.TLS; base != nil {
		secure := tls.Client(conn, clientTLS(base, l.peer))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	hello := wire.Hello{Cluster: l.t.cfg.Cluster, From: l.t.cfg.Name, To: l.peer}
	if _, err := conn.Write(hello.Append(nil)); err != nil {
		return nil, err
	}
	verdict, err := wire.ReadVerdict(conn)
	if err != nil {
		return nil, fmt.Errorf("tcp: no answer to the introduction: %w", err)
	}
	if verdict != wire.Accepted {
		return nil, fmt.Errorf("tcp: %q refused the connection: %v", l.peer, verdict)
	}
	return conn, conn.SetDeadline(time.Time{})
}

// writeAll writes frames and pings until ctx ends, the address moves, a write
// fails or the reading side breaks.
func (l *link) writeAll(ctx context.Context, conn net.Conn, p *pinger, broken <-chan error) error {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	buf := p.ping(nil)
	for taken := 0; ; {
		if err := write(conn, buf); err != nil {
			l.out.Lost(taken)
			return err
		}
		l.out.Sent(taken)
		buf, taken = buf[:0], 0
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-broken:
			return err
		case <-l.moved:
			return errMoved
		case <-ticker.C:
			buf = p.ping(buf)
		case <-l.out.Ready():
			buf, taken = l.out.Take(buf, time.Now(), batchSize)
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
