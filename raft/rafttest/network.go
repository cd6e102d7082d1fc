package rafttest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"
)

// Errors of the network between the nodes of a Cluster.
var (
	errCrashed     = errors.New("rafttest: node has crashed")
	errUnknownPeer = errors.New("rafttest: unknown peer")
)

// network carries frames between endpoints, each after the same latency.
type network struct {
	latency time.Duration

	mu        sync.Mutex
	endpoints map[string]*endpoint
	cut       map[ends]bool
}

// ends are those of a link, which is one direction between two nodes.
type ends struct{ from, to string }

func newNetwork(latency time.Duration) *network {
	return &network{latency: latency, endpoints: make(map[string]*endpoint), cut: make(map[ends]bool)}
}

// attach returns a new endpoint for a node, in place of the one it had.
func (w *network) attach(id string) *endpoint {
	e := &endpoint{network: w, id: id, crashed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endpoints[id] = e
	return e
}

// route returns where a frame goes, nil if the link is cut.
func (w *network) route(l ends) (*endpoint, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to := w.endpoints[l.to]
	if to == nil {
		return nil, errUnknownPeer
	}
	if w.cut[l] {
		return nil, nil
	}
	return to, nil
}

// setCut cuts or mends links.
func (w *network) setCut(cut bool, links ...ends) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range links {
		w.cut[l] = cut
	}
}

// heal mends all links.
func (w *network) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
}

// endpoint is the raft.Transport of one node, until that crashes or stops.
type endpoint struct {
	network *network
	id      string
	crashed chan struct{}

	mu      sync.Mutex // held while handler runs, which never sends
	handler func(from string, frame []byte)
	down    bool
}

// Send implements raft.Transport.
func (e *endpoint) Send(to string, frame []byte) error {
	l := ends{e.id, to}
	peer, err := e.network.route(l)
	if err != nil || peer == nil || e.isDown() {
		return err
	}
	frame = bytes.Clone(frame)
	time.AfterFunc(e.network.latency, func() {
		if now, err := e.network.route(l); err == nil && now == peer {
			peer.deliver(e.id, frame)
		}
	})
	return nil
}

// Serve implements raft.Transport.
func (e *endpoint) Serve(ctx context.Context, handler func(from string, frame []byte)) error {
	e.setHandler(handler)
	defer e.setHandler(nil)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.crashed:
		return errCrashed
	}
}

func (e *endpoint) setHandler(handler func(from string, frame []byte)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handler = handler
}

func (e *endpoint) deliver(from string, frame []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handler != nil && !e.down {
		e.handler(from, frame)
	}
}

// crash makes Serve fail. Nothing goes in or out from now on.
func (e *endpoint) crash() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.down {
		e.down = true
		close(e.crashed)
	}
}

func (e *endpoint) isDown() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down
}
