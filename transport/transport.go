package transport

import (
	"context"
	"time"
)

// A Transport moves frames between this member and its peers, as the contract
// in the package documentation says. Package transporttest checks an
// implementation.
type Transport interface {
	// Send queues a copy of frame for the peer to and never blocks. Nil means
	// queued; the frame may still be lost. Otherwise the error is
	// [ErrUnknownPeer], [ErrTooLarge] or [ErrClosed], and nothing is queued.
	Send(to string, frame []byte) error
	// Serve receives frames and gives each to handle with the name of its
	// sender, until ctx ends. It then waits for running handlers and returns
	// nil; an error means that the transport failed by itself. The handler
	// may run concurrently and must not keep frame. Serve is called once;
	// another call is [ErrClosed].
	Serve(ctx context.Context, handle func(from string, frame []byte)) error
}

// A FlowSender is a [Transport] that can keep flows of frames apart, as all of
// this module can. A [Mux] makes the frames of each group a flow of their own.
type FlowSender interface {
	Transport
	// SendFlow is Send for a frame of the named flow; Send is SendFlow of the
	// flow "". What waits for a peer is bounded for each flow by itself, so
	// that frames of one never push out those of another, and flows take turns
	// where they wait for the same peer. A flow without waiting frames costs
	// nothing, and the receiver does not learn the name of a flow.
	SendFlow(flow, to string, frame []byte) error
}

const (
	// QueueFrames is how many frames of one flow may wait for one peer in a
	// transport of this module. One more drops the oldest of the flow.
	QueueFrames = 64
	// QueueAge is how long a frame may wait for its peer. Older frames are
	// dropped.
	QueueAge = time.Second
	// DefaultMaxFrame is the longest frame in bytes that the transports of
	// this module carry unless they are configured otherwise.
	DefaultMaxFrame = 64 << 10
)
