package tcp

import (
	"context"
	"crypto/tls"
	"sync"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/outbox"
)

// A Transport is a [transport.Transport] over TCP. Make one with [New].
type Transport struct {
	cfg    Config
	roster *outbox.Roster
	// refusals logs what is counted in refused.
	refusals *outbox.RefusalLog
	// serverTLS is for accepted connections; nil: no TLS.
	serverTLS *tls.Config

	// mu is taken before the roster's mutex, never with a slot's.
	mu sync.Mutex
	// pending are the connections that introduce themselves.
	pending *pendingSet
	// slots are those of the peers that have connected, by name.
	slots   map[string]*inboundSlot
	refused transport.Refused
}

// New returns a transport that sends once Serve runs. All mistakes in cfg are
// reported, joined; on an error the listener stays open. It takes time in
// proportion to the peers, as Serve does to start and to end.
func New(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	t := &Transport{
		cfg:      cfg,
		roster:   outbox.NewRoster(cfg.MaxFrame, cfg.Peers),
		refusals: outbox.NewRefusalLog(cfg.Logger),
		pending:  newPendingSet(cfg.MaxPending),
		slots:    map[string]*inboundSlot{},
	}
	t.cfg.Peers = nil // The roster holds them from here on.
	if cfg.TLS != nil {
		t.cfg.TLS = baseTLS(cfg.TLS, cfg.Name)
		t.serverTLS = serverTLS(t.cfg.TLS)
	}
	return t, nil
}

// Send implements [transport.Transport]. Peers are those of [Config.Peers]
// and [Transport.SetPeer].
func (t *Transport) Send(to string, frame []byte) error { return t.roster.SendFlow("", to, frame) }

// SendFlow implements [transport.FlowSender].
func (t *Transport) SendFlow(flow, to string, frame []byte) error {
	return t.roster.SendFlow(flow, to, frame)
}

// SetPeer adds the peer name or changes its address, "host:port". It always
// makes a new connection, so calling it with the same address puts a new
// certificate to use. Frames that wait stay queued. A malformed address is an
// error; after Serve the error is [transport.ErrClosed]. It takes constant time.
func (t *Transport) SetPeer(name, address string) error {
	if err := t.cfg.validatePeer(name, address); err != nil {
		return err
	}
	return t.roster.Set(name, address)
}

// RemovePeer removes the peer name. It closes the peer's connections and drops
// what waits for it; from then on the peer is unknown. If it is unknown already,
// the error is [transport.ErrUnknownPeer]. It takes constant time.
func (t *Transport) RemovePeer(name string) error {
	if err := t.roster.Remove(name); err != nil {
		return err
	}
	t.mu.Lock()
	s := t.slots[name]
	delete(t.slots, name)
	t.mu.Unlock()
	if s != nil {
		s.remove()
	}
	return nil
}

// Stats returns a snapshot of the counters, with an entry for each peer. The
// round-trip estimate is a moving average over the pings. It takes time in
// proportion to the peers and to the flows that wait for them.
func (t *Transport) Stats() transport.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return transport.Stats{Peers: t.roster.Stats(), Refused: t.refused}
}

// Serve implements [transport.Transport]. It closes the listener before it
// returns. It fails if anyone else closes the listener.
func (t *Transport) Serve(ctx context.Context, handle func(from string, frame []byte)) error {
	s := &server{t: t, handle: handle}
	return t.roster.Run(ctx, s.acceptAll, func(ctx context.Context, p *outbox.Peer) {
		l := link{cfg: &t.cfg, peer: p, log: outbox.NewPeerLog(t.cfg.Logger, p.Name)}
		l.run(ctx)
	})
}

// count counts a refusal.
func (t *Transport) count(reason *uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*reason++
}
