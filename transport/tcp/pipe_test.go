package tcp_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

const (
	ms     = time.Millisecond
	second = time.Second
)

// A pipeNet is a network of net.Pipes. Nothing in it waits outside a
// testing/synctest bubble, so timeouts pass at once and exactly.
type pipeNet struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	// dials are the attempts so far, by address.
	dials map[string][]time.Time
}

func newPipeNet() *pipeNet {
	return &pipeNet{listeners: map[string]*pipeListener{}, dials: map[string][]time.Time{}}
}

// errNobody is what dialing an address without a listener gives.
var errNobody = errors.New("nobody listens")

func (n *pipeNet) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.dials[address] = append(n.dials[address], time.Now())
	n.mu.Unlock()
	if l == nil {
		return nil, errNobody
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, errNobody
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *pipeNet) attempts(address string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[address]
}

func (n *pipeNet) listen(address string) *pipeListener {
	l := &pipeListener{net: n, address: address, conns: make(chan net.Conn), done: make(chan struct{}), flaws: make(chan error, 20)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return l
}

type pipeListener struct {
	net     *pipeNet
	address string
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
	// flaws are errors that Accept returns before anything else.
	flaws chan error
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.flaws:
		return nil, err
	default:
	}
	select {
	case err := <-l.flaws:
		return nil, err
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[l.address] == l {
			delete(l.net.listeners, l.address)
		}
	})
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: l.address, Net: "pipe"} }

// member makes a transport that is named like its address. Its peers are
// named like theirs.
func (n *pipeNet) member(t *testing.T, name string, peers ...string) *tcp.Transport {
	t.Helper()
	return n.logging(t, nil, name, peers...)
}

// logging makes a member that logs.
func (n *pipeNet) logging(t *testing.T, logger *slog.Logger, name string, peers ...string) *tcp.Transport {
	t.Helper()
	addresses := map[string]string{}
	for _, p := range peers {
		addresses[p] = p
	}
	tr, err := tcp.New(tcp.Config{
		Cluster: "test", Name: name, Listener: n.listen(name), Peers: addresses, Insecure: true, Dial: n.dial, Logger: logger,
	})
	require.NoError(t, err)
	return tr
}

// An arrival is a frame that a handler was given.
type arrival struct{ from, text string }

// serve serves tr until stop is called or the test ends; frames arrive in
// the channel, which drops what does not fit.
func serve(t *testing.T, tr transport.Transport) (arrivals <-chan arrival, stop func()) {
	t.Helper()
	ch := make(chan arrival, 1000)
	stop = serveWith(t, tr, func(from string, frame []byte) {
		select {
		case ch <- arrival{from, string(frame)}:
		default:
		}
	})
	return ch, stop
}

func serveWith(t *testing.T, tr transport.Transport, handle func(string, []byte)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tr.Serve(ctx, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
	})
	t.Cleanup(stop)
	return stop
}

// drain returns what has arrived so far.
func drain(arrivals <-chan arrival) []arrival {
	var all []arrival
	for {
		select {
		case a := <-arrivals:
			all = append(all, a)
		default:
			return all
		}
	}
}

// peerStats returns the statistics about the peer name.
func peerStats(t *testing.T, tr *tcp.Transport, name string) transport.PeerStats {
	t.Helper()
	for _, p := range tr.Stats().Peers {
		if p.Peer == name {
			return p
		}
	}
	require.Fail(t, "no statistics", "peer %q", name)
	return transport.PeerStats{}
}

// connectToA opens a raw connection to the member a.
func (n *pipeNet) connectToA(t *testing.T) net.Conn {
	t.Helper()
	conn, err := n.dial(t.Context(), "", "a")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// introduce says hello on conn and returns the reply.
func introduce(t *testing.T, conn net.Conn, hello wire.Hello) wire.Reply {
	t.Helper()
	_, err := conn.Write(hello.Append(nil))
	require.NoError(t, err)
	reply, err := wire.ReadReply(conn)
	require.NoError(t, err)
	return reply
}

// requireClosed checks that the other side closes conn after exactly d.
func requireClosed(t *testing.T, conn net.Conn, d time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.Equal(t, d, time.Since(start))
}
