package transport

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport/internal/fairqueue"
)

// A Group is the [Transport] of this member in one group of a [Mux]. Make one
// with [Mux.Join].
type Group struct {
	mux  *Mux
	name string
	// header goes before each frame.
	header []byte
	// wake tells Serve that frames wait.
	wake chan struct{}

	mu    sync.Mutex
	phase phase
	// inbox holds what has arrived, by sender.
	inbox *fairqueue.Queue
	stats GroupStats
}

func newGroup(m *Mux, name string) *Group {
	return &Group{
		mux:    m,
		name:   name,
		header: groupHeader(name),
		wake:   make(chan struct{}, 1),
		inbox:  fairqueue.New(QueueFrames, QueueAge),
		stats:  GroupStats{Group: name},
	}
}

// Name returns the name of the group.
func (g *Group) Name() string { return g.name }

// Send implements [Transport]. Peers are those of the Mux's transport, and the
// longest frame is 2 bytes and the group's name shorter than its. The cost is
// that of the transport's Send and of copying the frame once more.
func (g *Group) Send(to string, frame []byte) error {
	if g.ended() {
		return ErrClosed
	}
	if err := g.mux.send(g.name, to, g.header, frame); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Sent++
	return nil
}

func (g *Group) ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.phase == closed
}

// Serve implements [Transport]. It runs handle on the calling goroutine, one
// frame at a time; the senders take turns. If the Serve of the Mux returns
// before ctx ends, the error is [ErrClosed].
func (g *Group) Serve(ctx context.Context, handle func(from string, frame []byte)) error {
	if !g.begin() {
		return ErrClosed
	}
	defer g.end()
	var buf []byte
	for ctx.Err() == nil {
		select {
		case <-g.mux.done:
			return fmt.Errorf("%w: the Serve of the Mux has returned", ErrClosed)
		default:
		}
		from, frame, ok := g.take(buf[:0])
		if ok {
			buf = frame
			handle(from, frame)
			continue
		}
		select {
		case <-ctx.Done():
		case <-g.mux.done:
		case <-g.wake:
		}
	}
	return nil
}

// Stats returns a snapshot of the group's counters. It costs time in proportion
// to what waits.
func (g *Group) Stats() GroupStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inbox.Expire(time.Now())
	s, drops := g.stats, g.inbox.Drops()
	s.Dropped.Full, s.Dropped.Stale = drops.Full, drops.Stale
	s.Queued = g.inbox.Len()
	return s
}

func (g *Group) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase != joined {
		return false
	}
	g.phase = serving
	return true
}

func (g *Group) end() {
	g.mux.forget(g)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = closed
	g.stats.Dropped.Lost += uint64(g.inbox.Clear())
}

// accept queues a copy of a frame that has arrived and reports whether the
// group still takes any.
func (g *Group) accept(from string, frame []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == closed {
		return false
	}
	g.inbox.Push(time.Now(), from, frame)
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return true
}

// take moves the frame whose turn it is to dst.
func (g *Group) take(dst []byte) (from string, frame []byte, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from, next, ok := g.inbox.Front(time.Now())
	if !ok {
		return "", nil, false
	}
	frame = append(dst, next...)
	g.inbox.Pop()
	g.stats.Received++
	return from, frame, true
}
