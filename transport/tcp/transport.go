package tcp

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport"
)

// A Transport is a [transport.Transport] over TCP. Make one with [New].
type Transport struct {
	cfg Config
	// serverTLS is for accepted connections; nil: no TLS.
	serverTLS *tls.Config
	// added tells Serve that links wait to be started.
	added chan struct{}

	mu    sync.Mutex
	phase phase
	links map[string]*link
	// pending are the connections that introduce themselves, the oldest first.
	pending []net.Conn
	refused transport.Refused
}

// A phase is a part of a transport's life.
type phase int

const (
	made phase = iota
	serving
	closed
)

// New returns a transport that sends once Serve runs. All mistakes in cfg are
// reported at once; on an error the listener stays open.
func New(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Transport{
		cfg:   cfg.withDefaults(),
		added: make(chan struct{}, 1),
		links: map[string]*link{},
	}
	if cfg.TLS != nil {
		t.serverTLS = serverTLS(cfg.TLS)
	}
	for name, address := range cfg.Peers {
		t.links[name] = newLink(t, name, address)
	}
	t.cfg.Peers = nil // The links hold them from here on.
	return t, nil
}

// Send implements [transport.Transport]. Peers are those of [Config.Peers]
// and [Transport.SetPeer].
func (t *Transport) Send(to string, frame []byte) error {
	t.mu.Lock()
	l, phase := t.links[to], t.phase
	t.mu.Unlock()
	switch {
	case phase == closed:
		return transport.ErrClosed
	case l == nil:
		return &transport.UnknownPeerError{Peer: to}
	case len(frame) > t.cfg.MaxFrame:
		return &transport.TooLargeError{Size: len(frame), Limit: t.cfg.MaxFrame}
	}
	l.out.Put(time.Now(), frame)
	return nil
}

// SetPeer adds the peer name or changes its address, "host:port". The
// connection to it is made anew in either case, so that calling it with the
// same address puts a new certificate to use. Frames that wait stay queued.
func (t *Transport) SetPeer(name, address string) error {
	if err := t.cfg.validatePeer(name, address); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == closed {
		return transport.ErrClosed
	}
	if l := t.links[name]; l != nil {
		l.address = address
		notify(l.moved)
		return nil
	}
	t.links[name] = newLink(t, name, address)
	notify(t.added)
	return nil
}

// RemovePeer forgets the peer name: its connections are closed, what waits
// for it is dropped, and from then on it is unknown. A peer that is unknown
// already is [transport.ErrUnknownPeer].
func (t *Transport) RemovePeer(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.links[name]
	if l == nil {
		return &transport.UnknownPeerError{Peer: name}
	}
	delete(t.links, name)
	if l.stop != nil {
		l.stop()
	}
	if l.inbound != nil {
		_ = l.inbound.Close() // Never waits: it is the plain connection.
	}
	return nil
}

// Stats returns a snapshot of the counters, with an entry for each peer. The
// round-trip estimate is a moving average over the pings.
func (t *Transport) Stats() transport.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := transport.Stats{Refused: t.refused}
	for _, name := range slices.Sorted(maps.Keys(t.links)) {
		s.Peers = append(s.Peers, t.links[name].out.Stats(time.Now()))
	}
	return s
}

// Serve implements [transport.Transport]. It closes the listener before it
// returns. It fails if the listener is closed by anyone else.
func (t *Transport) Serve(ctx context.Context, handle func(from string, frame []byte)) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.end()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	s := &server{t: t, handle: handle}
	failed := make(chan error, 1)
	wg.Go(func() { failed <- s.acceptAll(ctx, &wg) })
	for {
		t.startLinks(ctx, &wg)
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-t.added:
		}
	}
}

func (t *Transport) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != made {
		return transport.ErrClosed
	}
	t.phase = serving
	return nil
}

func (t *Transport) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = closed
	for _, l := range t.links {
		l.out.Discard()
	}
}

// startLinks runs the links that nobody runs yet.
func (t *Transport) startLinks(ctx context.Context, wg *sync.WaitGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.links {
		if l.stop != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		l.stop = cancel
		wg.Go(func() {
			defer cancel()
			l.run(ctx)
		})
	}
}

// notify makes ch, which has room for one value, yield at least once more.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// forget takes back what notify did, if nobody has seen it yet.
func forget(ch chan struct{}) {
	select {
	case <-ch:
	default:
	}
}
