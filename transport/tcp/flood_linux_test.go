package tcp_test

import (
	"net"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

// dialFrom connects to address from the loopback address ip. All of 127/8 is
// this machine's on Linux.
func dialFrom(t *testing.T, ip, address string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Over real sockets: a member at 127.0.0.2 is in the middle of its
// introduction when 127.0.0.1 opens far more silent connections than may be
// pending. The flood loses its own connections, the member none.
func TestLoopbackFloodKeepsNoMemberElsewhereOut(t *testing.T) {
	const limit, flood = 8, 100
	l := listen(t)
	a, err := tcp.New(tcp.Config{
		Cluster: "test", Name: "a", Listener: l, Insecure: true, MaxPending: limit,
		Peers: map[string]string{"b": "127.0.0.2:1"},
	})
	require.NoError(t, err)
	arrivals, _ := serve(t, a)
	refused := func() uint64 { return a.Stats().Refused.Total() }
	// On a machine that stands still for longer than an introduction may take,
	// the member is cut off for that; so the whole is tried again.
	for start, before := time.Now(), refused(); ; start, before = time.Now(), refused() {
		member := dialFrom(t, "127.0.0.2", l.Addr().String())
		for range flood {
			dialFrom(t, "127.0.0.1", l.Addr().String())
		}
		eventually(t, "the flood is cut down", func() bool { return refused() >= before+flood-limit+1 })
		hello := good().Append(nil)
		_, err := member.Write(append(hello, wire.Append(nil, wire.Data, []byte("in"))...))
		require.NoError(t, err)
		reply, err := wire.ReadReply(member)
		if err != nil && time.Since(start) > second {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, wire.Accepted, reply)
		break
	}
	require.Equal(t, arrival{"b", "in"}, <-arrivals)
}
