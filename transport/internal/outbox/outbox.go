package outbox

import (
	"sync"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/fairqueue"
	"github.com/rads-project/constellation/transport/internal/wire"
)

// An Outbox is the queue to one peer, flow by flow, and its counters. Make one
// with [New].
type Outbox struct {
	ready Signal

	mu    sync.Mutex
	queue *fairqueue.Queue
	stats transport.PeerStats
	// connections counts those made so far.
	connections uint64
}

// New returns an empty outbox for the peer name.
func New(name string) *Outbox {
	return &Outbox{
		ready: NewSignal(),
		queue: fairqueue.New(transport.QueueFrames, transport.QueueAge),
		stats: transport.PeerStats{Peer: name},
	}
}

// Put queues a copy of frame in flow. If the flow has too many frames, its
// oldest gives way.
func (o *Outbox) Put(now time.Time, flow string, frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue.Push(now, flow, frame)
	o.ready.Give()
}

// Ready yields a value after frames were put. It may also do so when they
// have been taken meanwhile.
func (o *Outbox) Ready() <-chan struct{} { return o.ready }

// Take moves frames, encoded for the wire, from the queue to dst until dst
// has limit bytes or the queue is empty; it takes one frame at least if there
// is one. Flows take turns, frame by frame. It returns dst and the number of
// frames, whose fate the caller reports with [Outbox.Sent] or [Outbox.Lost].
// Frames that remain make [Outbox.Ready] yield again.
func (o *Outbox) Take(dst []byte, now time.Time, limit int) ([]byte, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := 0; ; n++ {
		_, frame, ok := o.queue.Front(now)
		if !ok {
			return dst, n
		}
		if n > 0 && len(dst)+wire.Overhead+len(frame) > limit {
			o.ready.Give()
			return dst, n
		}
		dst = wire.Append(dst, wire.Data, frame)
		o.queue.Pop()
	}
}

// Discard drops all that waits: it will not be sent any more.
func (o *Outbox) Discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.Dropped.Lost += uint64(o.queue.Clear())
}

// Sent counts n frames as handed to the network.
func (o *Outbox) Sent(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.Sent += uint64(n)
}

// Lost counts n frames as lost after they were taken.
func (o *Outbox) Lost(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.Dropped.Lost += uint64(n)
}

// Received counts a frame from the peer.
func (o *Outbox) Received() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.Received++
}

// Connected counts a new connection to the peer.
func (o *Outbox) Connected() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connections++
	o.stats.Reconnects = o.connections - 1
}

// Reached notes that the peer answers.
func (o *Outbox) Reached() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.LastError = nil
}

// Failed notes that the peer could not be reached, and why.
func (o *Outbox) Failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.Failures++
	o.stats.LastError = err
}

// RoundTrip adds a measurement to the estimate, a moving average in which it
// weighs an eighth.
func (o *Outbox) RoundTrip(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stats.RoundTrip == 0 {
		o.stats.RoundTrip = d
		return
	}
	o.stats.RoundTrip += (d - o.stats.RoundTrip) / 8
}

// Expired returns how many frames have been dropped while they waited.
func (o *Outbox) Expired(now time.Time) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue.Expire(now)
	drops := o.queue.Drops()
	return drops.Full + drops.Stale
}

// Stats returns a snapshot of the counters.
func (o *Outbox) Stats(now time.Time) transport.PeerStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue.Expire(now)
	s := o.stats
	drops := o.queue.Drops()
	s.Dropped.Full, s.Dropped.Stale = drops.Full, drops.Stale
	s.Queued = o.queue.Len()
	return s
}
