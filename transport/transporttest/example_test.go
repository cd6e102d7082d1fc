package transporttest_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rads-project/constellation/transport"
)

// A Switchboard is a network of channels: what a service's own transport can
// look like, complete. TestOwnTransport runs the conformance suite on it.
type Switchboard struct {
	mu    sync.Mutex
	lines map[string]*Line
}

// Join makes the transport of the member name.
func (s *Switchboard) Join(name string) *Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &Line{
		board:  s,
		name:   name,
		frames: make(chan letter, transport.QueueFrames),
		closed: make(chan struct{}),
	}
	s.lines[name] = l
	return l
}

func (s *Switchboard) line(name string) *Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[name]
}

// A letter is a frame and its sender.
type letter struct {
	from  string
	frame []byte
}

// A Line is the transport of one member of a Switchboard.
type Line struct {
	board  *Switchboard
	name   string
	frames chan letter
	served atomic.Bool
	closed chan struct{}
}

// Send implements transport.Transport.
func (l *Line) Send(to string, frame []byte) error {
	select {
	case <-l.closed:
		return transport.ErrClosed
	default:
	}
	peer := l.board.line(to)
	if peer == nil || peer == l {
		return &transport.UnknownPeerError{Peer: to}
	}
	if len(frame) > transport.DefaultMaxFrame {
		return &transport.TooLargeError{Size: len(frame), Limit: transport.DefaultMaxFrame}
	}
	for out := (letter{l.name, bytes.Clone(frame)}); ; {
		select {
		case peer.frames <- out:
			return nil
		default: // Full: the oldest letter gives way.
		}
		select {
		case <-peer.frames:
		default:
		}
	}
}

// Serve implements transport.Transport.
func (l *Line) Serve(ctx context.Context, handle func(from string, frame []byte)) error {
	if l.served.Swap(true) {
		return transport.ErrClosed
	}
	defer close(l.closed)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case in := <-l.frames:
			handle(in.from, in.frame)
		}
	}
	return nil
}

// A service's own transport needs two methods. This one moves frames over
// channels, keeps the contract and passes the conformance suite.
func Example() {
	board := &Switchboard{lines: map[string]*Line{}}
	var a, b transport.Transport = board.Join("a"), board.Join("b")

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = b.Serve(ctx, func(from string, frame []byte) {
			fmt.Printf("b got %q from %s\n", frame, from)
			cancel()
		})
	})
	if err := a.Send("b", []byte("hello")); err != nil {
		fmt.Println(err)
	}
	wg.Wait()
	fmt.Println(b.Send("a", nil))
	// Output:
	// b got "hello" from a
	// transport: closed
}
