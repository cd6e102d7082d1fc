package httptransport

import (
	"context"
	"net/http"
	"sync"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/outbox"
)

// A Transport is a [transport.Transport] over HTTP. It is also the handler
// that receives: mount it in the host's server at the path of this member's
// URL. Make one with [New].
type Transport struct {
	cfg    Config
	roster *outbox.Roster
	// refusals logs what is counted in refused.
	refusals *outbox.RefusalLog
	client   *http.Client
	// endConnections ends the idle connections of a client of our own.
	endConnections func()

	// mu is taken before the roster's mutex.
	mu      sync.Mutex
	refused transport.Refused
	// requests counts the requests being answered, by peer.
	requests map[string]int
	// handle is the handler while Serve runs, else nil; calls are those of
	// it that have not returned.
	handle func(from string, frame []byte)
	calls  sync.WaitGroup
}

// New returns a transport that sends and receives once Serve runs. All
// mistakes in cfg are reported, joined. It takes time in proportion to the
// peers, as Serve does to start and to end.
func New(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	t := &Transport{
		cfg:      cfg,
		roster:   outbox.NewRoster(cfg.MaxFrame, cfg.Peers),
		refusals: outbox.NewRefusalLog(cfg.Logger),
		requests: map[string]int{},
	}
	t.cfg.Peers = nil // The roster holds them from here on.
	t.client, t.endConnections = cfg.newClient()
	return t, nil
}

// Send implements [transport.Transport]. Peers are those of [Config.Peers]
// and [Transport.SetPeer].
func (t *Transport) Send(to string, frame []byte) error { return t.roster.SendFlow("", to, frame) }

// SendFlow implements [transport.FlowSender].
func (t *Transport) SendFlow(flow, to string, frame []byte) error {
	return t.roster.SendFlow(flow, to, frame)
}

// SetPeer adds the peer name or changes its URL, which the next request uses.
// Frames that wait stay queued. A malformed URL is an error; after Serve the
// error is [transport.ErrClosed]. It takes constant time.
func (t *Transport) SetPeer(name, address string) error {
	if err := t.cfg.validatePeer(name, address); err != nil {
		return err
	}
	return t.roster.Set(name, address)
}

// RemovePeer removes the peer name. It ends the request to the peer and drops
// what waits for it; from then on the peer is unknown and its own requests are
// refused. If it is unknown already, the error is [transport.ErrUnknownPeer]. It
// takes constant time.
func (t *Transport) RemovePeer(name string) error { return t.roster.Remove(name) }

// Stats returns a snapshot of the counters, with an entry for each peer. The
// round-trip estimate is a moving average over the requests, the time in the
// peer's handler included. It takes time in proportion to the peers and to the
// flows that wait for them.
func (t *Transport) Stats() transport.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return transport.Stats{Peers: t.roster.Stats(), Refused: t.refused}
}

// Serve implements [transport.Transport]. The host's server runs on its own;
// its requests are answered while Serve runs.
func (t *Transport) Serve(ctx context.Context, handle func(from string, frame []byte)) error {
	defer t.endConnections()
	return t.roster.Run(ctx,
		func(ctx context.Context) error {
			t.setHandle(handle)
			<-ctx.Done()
			t.setHandle(nil)
			t.calls.Wait()
			return nil
		},
		func(ctx context.Context, p *outbox.Peer) {
			s := sender{t: t, peer: p, log: outbox.NewPeerLog(t.cfg.Logger, p.Name)}
			s.run(ctx)
		})
}

func (t *Transport) setHandle(handle func(from string, frame []byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handle = handle
}

// give calls the handler and reports whether there was one.
func (t *Transport) give(from string, frame []byte) bool {
	t.mu.Lock()
	handle := t.handle
	if handle == nil {
		t.mu.Unlock()
		return false
	}
	t.calls.Add(1) // Under the mutex, so that no call begins after the end.
	t.mu.Unlock()
	defer t.calls.Done()
	handle(from, frame)
	return true
}
