package tcp_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/transport/internal/wire"
)

// answered accepts a connection and answers its hello.
func answered(t *testing.T, l net.Listener, with wire.Reply) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	require.NoError(t, err)
	_, err = wire.ReadHello(conn)
	require.NoError(t, err)
	_, err = conn.Write(with.Append(nil))
	require.NoError(t, err)
	return conn
}

// Serve ends at once, also while a peer takes nothing of what is written to it.
func TestServeEndsDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, deaf := n.member(t, "a", "b"), n.listen("b")
		defer func() { _ = deaf.Close() }()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- a.Serve(ctx, func(string, []byte) {}) }()
		conn := answered(t, deaf, wire.Accepted)
		defer func() { _ = conn.Close() }()
		synctest.Wait() // It writes its first ping.
		start := time.Now()
		cancel()
		require.NoError(t, <-served)
		require.Zero(t, time.Since(start))
	})
}

// A connection that the peer refuses is closed at once and not left behind.
func TestRefusedConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, l := n.member(t, "a", "b"), n.listen("b")
		defer func() { _ = l.Close() }()
		serve(t, a)
		conn := answered(t, l, wire.RefusedCluster)
		requireClosed(t, conn, 0)
	})
}

// An address that changes during an attempt ends that, which is no failure, and is
// tried without a pause.
func TestMoveDuringAnAttemptIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		n.listen("nowhere") // Nobody accepts there.
		a, b := n.member(t, "a"), n.member(t, "b", "a")
		require.NoError(t, a.SetPeer("b", "nowhere"))
		serve(t, a)
		atB, _ := serve(t, b)
		synctest.Wait()
		require.NoError(t, a.Send("b", []byte("moved")))
		require.NoError(t, a.SetPeer("b", "b"))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "moved"}}, drain(atB))
		require.Zero(t, peerStats(t, a, "b").Failures)
	})
}

// What a peer says on the connection to it, other than the answer to a ping, means
// nothing and breaks nothing; that it hangs up is told.
func TestNonsenseInsteadOfPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, l := n.member(t, "a", "b"), n.listen("b")
		defer func() { _ = l.Close() }()
		serve(t, a)
		conn := answered(t, l, wire.Accepted)
		_, ping, err := wire.NewReader(conn, 8).Next()
		require.NoError(t, err)
		first := append([]byte(nil), ping...)
		time.Sleep(30 * ms)
		for _, nonsense := range [][]byte{
			wire.Append(nil, wire.Pong, first[:3]), wire.Append(nil, wire.Data, first), wire.Append(nil, wire.Ping, first),
		} {
			_, err = conn.Write(nonsense)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Zero(t, peerStats(t, a, "b").RoundTrip)
		require.NoError(t, peerStats(t, a, "b").LastError)
		_, err = conn.Write(wire.Append(nil, wire.Pong, first))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 30*ms, peerStats(t, a, "b").RoundTrip)
		require.NoError(t, conn.Close())
		synctest.Wait()
		require.ErrorContains(t, peerStats(t, a, "b").LastError, "closed by the peer")
	})
}
