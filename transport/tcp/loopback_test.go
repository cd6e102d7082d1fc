package tcp_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

// patience bounds what a test waits for on a machine that does other things.
const patience = 30 * time.Second

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair makes two members that know each other, over real sockets.
func pair(t *testing.T) (a, b *tcp.Transport, addressA, addressB string) {
	t.Helper()
	la, lb := listen(t), listen(t)
	addressA, addressB = la.Addr().String(), lb.Addr().String()
	a, err := tcp.New(tcp.Config{
		Cluster: "test", Name: "a", Listener: la, Peers: map[string]string{"b": addressB}, Insecure: true,
	})
	require.NoError(t, err)
	b, err = tcp.New(tcp.Config{
		Cluster: "test", Name: "b", Listener: lb, Peers: map[string]string{"a": addressA}, Insecure: true,
	})
	require.NoError(t, err)
	return a, b, addressA, addressB
}

// deliver sends text until it arrives, as the network may lose frames.
func deliver(t *testing.T, from transport.Transport, to, text string, arrivals <-chan arrival) {
	t.Helper()
	again := time.NewTicker(20 * ms)
	defer again.Stop()
	deadline := time.After(patience)
	require.NoError(t, from.Send(to, []byte(text)))
	for {
		select {
		case got := <-arrivals:
			if got.text == text {
				return
			}
		case <-again.C:
			require.NoError(t, from.Send(to, []byte(text)))
		case <-deadline:
			require.FailNow(t, "frame did not arrive", "%q", text)
		}
	}
}

func TestLoopbackReconnectsLeakNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	a, b, _, addressB := pair(t)
	atA, stopA := serve(t, a)
	arrivals, stopB := serve(t, b)
	deliver(t, a, "b", "first", arrivals)
	deliver(t, b, "a", "first", atA)
	settled := runtime.NumGoroutine()
	for i := range 1000 {
		require.NoError(t, a.SetPeer("b", addressB))
		deliver(t, a, "b", strconv.Itoa(i), arrivals)
	}
	requireGoroutines(t, settled)
	stopA()
	stopB()
	requireGoroutines(t, before)
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	poll := time.NewTicker(ms)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-poll.C {
		require.False(t, time.Now().After(deadline), what)
	}
}

// requireGoroutines waits until no more than n goroutines are left.
func requireGoroutines(t *testing.T, n int) {
	t.Helper()
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= n })
}

// Very many connections at once, some silent and some with garbage: the
// members' traffic goes on and the flood leaves nothing behind.
// CONSTELLATION_LONG=1 makes it ten times as many.
func TestLoopbackFlood(t *testing.T) {
	flood := 1000
	if os.Getenv("CONSTELLATION_LONG") != "" {
		flood = 10_000
	}
	before := runtime.NumGoroutine()
	a, b, addressA, _ := pair(t)
	arrivals, stopA := serve(t, a)
	_, stopB := serve(t, b)
	deliver(t, b, "a", "before", arrivals)
	open := make([]net.Conn, 0, 200)
	for i := range flood {
		if i%cap(open) == 0 { // Stays within the limit of open files.
			for _, conn := range open {
				require.NoError(t, conn.Close())
			}
			open = open[:0]
			deliver(t, b, "a", "during "+strconv.Itoa(i), arrivals)
		}
		conn, err := net.Dial("tcp", addressA)
		require.NoError(t, err)
		if i%2 == 0 {
			_, _ = conn.Write([]byte("garbage, and rather a lot of it"))
		}
		open = append(open, conn)
		if i%cap(open) == cap(open)-1 {
			eventually(t, "the flood does not pile up", func() bool {
				return runtime.NumGoroutine() < before+2*tcp.DefaultMaxPending
			})
		}
	}
	deliver(t, b, "a", "after", arrivals)
	for _, conn := range open {
		require.NoError(t, conn.Close())
	}
	eventually(t, "each connection is counted", func() bool { return a.Stats().Refused.Total() >= uint64(flood) })
	stopA()
	stopB()
	requireGoroutines(t, before)
}

func TestLoopbackRoundTrip(t *testing.T) {
	a, b, _, _ := pair(t)
	serve(t, a)
	arrivals, _ := serve(t, b)
	eventually(t, "an estimate", func() bool { return peerStats(t, a, "b").RoundTrip > 0 })
	deliver(t, a, "b", "the same connection carries frames", arrivals)
}

func TestLoopbackDoesNotAllocate(t *testing.T) {
	a, b, _, _ := pair(t)
	_, stopA := serve(t, a)
	defer stopA()
	arrived := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = b.Serve(ctx, func(string, []byte) {
			select {
			case arrived <- struct{}{}:
			default:
			}
		})
	})
	again := time.NewTicker(second)
	defer again.Stop()
	frame := make([]byte, 200)
	round := func() {
		for {
			_ = a.Send("b", frame)
			select {
			case <-arrived:
				return
			case <-again.C: // Lost.
			}
		}
	}
	for range 2 * transport.QueueFrames { // Every slot of the queue has its buffer.
		round()
	}
	allocs := testing.AllocsPerRun(1000, round)
	cancel()
	wg.Wait()
	require.Zero(t, allocs)
}
