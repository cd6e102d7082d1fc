package outbox

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport"
)

// A Roster is the peers of one transport. Make one with [NewRoster].
type Roster struct {
	maxFrame int
	added    Signal

	mu    sync.Mutex
	phase phase
	peers map[string]*Peer
}

// A phase is a part of a roster's life.
type phase int

const (
	made phase = iota
	running
	closed
)

// A Peer is a member that frames are sent to.
type Peer struct {
	// Name is its name.
	Name string
	// Out holds what waits for it.
	Out *Outbox
	// Moved says that the address was set again. RetryHint says that the peer
	// has shown a sign of life, so that an attempt is worth its while.
	Moved, RetryHint Signal

	roster *Roster
	// address and stop are guarded by roster.mu; stop is nil until the peer
	// is run.
	address string
	stop    context.CancelFunc
}

// NewRoster returns a roster of the given peers, addresses by name, whose
// frames have at most maxFrame bytes.
func NewRoster(maxFrame int, peers map[string]string) *Roster {
	r := &Roster{maxFrame: maxFrame, added: NewSignal(), peers: map[string]*Peer{}}
	for name, address := range peers {
		r.addLocked(name, address)
	}
	return r
}

func (r *Roster) addLocked(name, address string) {
	r.peers[name] = &Peer{
		Name:      name,
		Out:       New(name),
		Moved:     NewSignal(),
		RetryHint: NewSignal(),
		roster:    r,
		address:   address,
	}
}

// SendFlow queues a copy of frame as [transport.FlowSender] says.
func (r *Roster) SendFlow(flow, to string, frame []byte) error {
	r.mu.Lock()
	p, phase := r.peers[to], r.phase
	r.mu.Unlock()
	switch {
	case phase == closed:
		return transport.ErrClosed
	case p == nil:
		return &transport.UnknownPeerError{Peer: to}
	case len(frame) > r.maxFrame:
		return &transport.TooLargeError{Size: len(frame), Limit: r.maxFrame}
	}
	p.Out.Put(time.Now(), flow, frame)
	return nil
}

// Set adds a peer or sets its address again. Once the roster has run it
// answers [transport.ErrClosed].
func (r *Roster) Set(name, address string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase == closed {
		return transport.ErrClosed
	}
	if p := r.peers[name]; p != nil {
		p.address = address
		p.Moved.Give()
		return nil
	}
	r.addLocked(name, address)
	r.added.Give()
	return nil
}

// Remove forgets a peer and ends what runs for it. An unknown one is
// [transport.ErrUnknownPeer].
func (r *Roster) Remove(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[name]
	if p == nil {
		return &transport.UnknownPeerError{Peer: name}
	}
	delete(r.peers, name)
	if p.stop != nil {
		p.stop()
	}
	return nil
}

// Peer returns the peer name; nil: there is none.
func (r *Roster) Peer(name string) *Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[name]
}

// Stats returns the counters of all peers, by name.
func (r *Roster) Stats() []transport.PeerStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	var stats []transport.PeerStats
	for _, name := range slices.Sorted(maps.Keys(r.peers)) {
		stats = append(stats, r.peers[name].Out.Stats(time.Now()))
	}
	return stats
}

// Run runs receive, and send for each peer, until ctx ends or receive fails,
// and returns when all of them have returned: nil when ctx has ended, else
// the error of receive. A second Run is [transport.ErrClosed].
func (r *Roster) Run(
	ctx context.Context, receive func(ctx context.Context) error, send func(ctx context.Context, p *Peer),
) error {
	if !r.begin() {
		return transport.ErrClosed
	}
	defer r.end()
	var wg sync.WaitGroup
	defer wg.Wait()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	received := make(chan error, 1)
	wg.Go(func() { received <- receive(inner) })
	for {
		r.startPeers(inner, &wg, send)
		select {
		case <-ctx.Done():
			return nil
		case err := <-received:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-r.added:
		}
	}
}

func (r *Roster) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != made {
		return false
	}
	r.phase = running
	return true
}

// end closes the roster; what still waits is lost.
func (r *Roster) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = closed
	for _, p := range r.peers {
		p.Out.Discard()
	}
}

// startPeers runs send for the peers for which it does not run yet.
func (r *Roster) startPeers(ctx context.Context, wg *sync.WaitGroup, send func(ctx context.Context, p *Peer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		if p.stop != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		p.stop = cancel
		wg.Go(func() {
			defer cancel()
			send(ctx, p)
		})
	}
}

// Address returns the address to use from now on.
func (p *Peer) Address() string {
	p.roster.mu.Lock()
	defer p.roster.mu.Unlock()
	p.Moved.Forget()
	return p.address
}

// Pause waits until it is time to try again: the backoff is over, the peer has
// a new address, a retry hint is given, or ctx ends. A hint helps once until
// the next success, for a peer may be alive and yet out of reach.
func (p *Peer) Pause(ctx context.Context, b *Backoff) {
	hint := p.RetryHint
	if b.hurried {
		hint = nil
	}
	select {
	case <-ctx.Done():
	case <-p.Moved:
	case <-hint:
		b.hurried = true
	case <-time.After(b.Next()):
	}
}
