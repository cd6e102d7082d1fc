package transport

import (
	"context"
	"time"
)

// A Transport sends frames from this member to its peers and receives theirs,
// by the contract in the package documentation. Package transporttest checks an
// implementation.
type Transport interface {
	// Send queues a copy of frame for the peer to and never blocks. Nil means
	// queued; the frame may still be lost. Otherwise the error is
	// [ErrUnknownPeer], [ErrTooLarge] or [ErrClosed], and nothing is queued.
	// In this module it costs the copying of the frame, whatever the number
	// of peers, flows and waiting frames, unless a method says otherwise.
	Send(to string, frame []byte) error
	// Serve receives frames until ctx ends. It calls handle with each frame
	// and the name of its sender. The handler may run concurrently and must
	// not keep frame. When ctx ends, Serve waits for running handlers and
	// returns nil. Any error means that the transport itself has failed. Serve
	// is called once; another call returns [ErrClosed].
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
