package tcp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

func good() wire.Hello { return wire.Hello{Cluster: "test", From: "b", To: "a"} }

func TestRefusedIntroductions(t *testing.T) {
	edit := func(change func(*wire.Hello)) []byte {
		h := good()
		change(&h)
		return h.Append(nil)
	}
	version := good().Append(nil)
	binary.BigEndian.PutUint16(version[4:], wire.Version+1)
	tests := []struct {
		name  string
		hello []byte
		reply wire.Reply
		want  transport.Refused
	}{
		{"another version", version, wire.RefusedVersion, transport.Refused{Version: 1}},
		{
			"another cluster", edit(func(h *wire.Hello) { h.Cluster = "prod" }),
			wire.RefusedCluster,
			transport.Refused{Cluster: 1},
		},
		{
			"another receiver", edit(func(h *wire.Hello) { h.To = "c" }),
			wire.RefusedReceiver,
			transport.Refused{Receiver: 1},
		},
		{
			"unknown sender", edit(func(h *wire.Hello) { h.From = "z" }),
			wire.RefusedSender,
			transport.Refused{Sender: 1},
		},
		{
			"the member's own name", edit(func(h *wire.Hello) { h.From = "a" }),
			wire.RefusedSender,
			transport.Refused{Sender: 1},
		},
		{
			"everything wrong counts once", edit(func(h *wire.Hello) { *h = wire.Hello{Cluster: "x", From: "y", To: "z"} }),
			wire.RefusedCluster,
			transport.Refused{Cluster: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				a := n.member(t, "a", "b")
				arrivals, _ := serve(t, a)
				conn := n.connectToA(t)
				go func() { _, _ = conn.Write(tt.hello) }()
				reply, err := wire.ReadReply(conn)
				require.NoError(t, err)
				require.Equal(t, tt.reply, reply)
				requireClosed(t, conn, 0)
				synctest.Wait()
				require.Equal(t, tt.want, a.Stats().Refused)
				require.Empty(t, drain(arrivals))
			})
		})
	}
}

// A sender that goes before it is answered is counted once: under the reason for
// which it would have been refused, or else as an introduction cut short.
func TestIntroductionsWithoutAnAnswer(t *testing.T) {
	other := good()
	other.Cluster = "prod"
	for _, tt := range []struct {
		hello wire.Hello
		want  transport.Refused
	}{
		{good(), transport.Refused{Handshake: 1}},
		{other, transport.Refused{Cluster: 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newPipeNet()
			a := n.member(t, "a", "b")
			serve(t, a)
			conn := n.connectToA(t)
			_, err := conn.Write(tt.hello.Append(nil))
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			synctest.Wait()
			require.Equal(t, tt.want, a.Stats().Refused)
		})
	}
}

func TestHostileIntroductionsAreCutOff(t *testing.T) {
	hello := good().Append(nil)
	tests := []struct {
		name  string
		bytes []byte
		after time.Duration
	}{
		{"silence", nil, 2 * second},
		{"half a hello and silence", hello[:len(hello)-1], 2 * second},
		{"garbage", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0},
		{"a hello of 64 KiB", append([]byte("cnst\x00\x01\xff\xff"), make([]byte, 1000)...), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				a := n.member(t, "a", "b")
				serve(t, a)
				conn := n.connectToA(t)
				go func() { _, _ = conn.Write(tt.bytes) }()
				requireClosed(t, conn, tt.after)
				synctest.Wait()
				require.Equal(t, transport.Refused{Handshake: 1}, a.Stats().Refused)
			})
		})
	}
}

func TestHostileFramesAreCutOff(t *testing.T) {
	frame := wire.Append(nil, wire.Data, []byte("payload"))
	broken := bytes.Clone(frame)
	broken[len(broken)-1]++
	tests := []struct {
		name  string
		bytes []byte
		after time.Duration
		want  transport.Refused
	}{
		{"silence", nil, 2 * second, transport.Refused{}},
		{"half a frame and silence", frame[:len(frame)-1], 2 * second, transport.Refused{}},
		{"a gigabyte", []byte{0x40, 0, 0, 0, 1, 2, 3, 4}, 0, transport.Refused{Frame: 1}},
		{
			"one byte too long", wire.Append(nil, wire.Data, make([]byte, transport.DefaultMaxFrame+1)), 0,
			transport.Refused{Frame: 1},
		},
		{"a broken frame", broken, 0, transport.Refused{Frame: 1}},
		{"an unknown kind", wire.Append(nil, 9, nil), 0, transport.Refused{Frame: 1}},
		{"a pong nobody asked for", wire.Append(nil, wire.Pong, make([]byte, 8)), 0, transport.Refused{Frame: 1}},
		{"a ping to echo much", wire.Append(nil, wire.Ping, make([]byte, 1000)), 0, transport.Refused{Frame: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				a := n.member(t, "a", "b")
				arrivals, _ := serve(t, a)
				conn := n.connectToA(t)
				require.Equal(t, wire.Accepted, introduce(t, conn, good()))
				go func() { _, _ = conn.Write(tt.bytes) }()
				requireClosed(t, conn, tt.after)
				synctest.Wait()
				require.Equal(t, tt.want, a.Stats().Refused)
				require.Empty(t, drain(arrivals))
			})
		})
	}
}

// A peer that sends pings and reads no answer does not hold a goroutine.
func TestPingFlooderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		serve(t, n.member(t, "a", "b"))
		conn := n.connectToA(t)
		require.Equal(t, wire.Accepted, introduce(t, conn, good()))
		start := time.Now()
		var err error
		for err == nil {
			_, err = conn.Write(wire.Append(nil, wire.Ping, make([]byte, 8)))
		}
		require.Equal(t, second, time.Since(start))
	})
}

// A thousand silent connections: of those that introduce themselves at most
// MaxPending are kept, members still get in, and traffic goes on.
func TestFloodOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b, c := n.member(t, "a", "b", "c"), n.member(t, "b", "a"), n.member(t, "c", "a")
		arrivals, _ := serve(t, a)
		serve(t, b)
		synctest.Wait()
		const flood = 1000
		var first net.Conn
		for i := range flood {
			conn := n.connectToA(t)
			if i == 0 {
				first = conn
			}
			if i%100 == 50 {
				require.NoError(t, b.Send("a", []byte("ordinary")))
			}
			if i == flood/2 {
				serve(t, c)
				synctest.Wait() // so that the flood goes on after c has got in
			}
		}
		requireClosed(t, first, 0)
		require.NoError(t, c.Send("a", []byte("newcomer")))
		synctest.Wait()
		require.Zero(t, peerStats(t, b, "a").Reconnects, "the member's connection stood")
		all := drain(arrivals)
		require.Len(t, all, 11)
		require.Contains(t, all, arrival{"c", "newcomer"})
		refused := a.Stats().Refused
		require.Equal(t, uint64(flood-tcp.DefaultMaxPending), refused.Busy)
		time.Sleep(3 * second)
		require.Equal(t, transport.Refused{Busy: refused.Busy, Handshake: tcp.DefaultMaxPending}, a.Stats().Refused,
			"each connection counts once")
	})
}

func TestNewerConnectionReplacesTheOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		arrivals, _ := serve(t, n.member(t, "a", "b"))
		older, newer := n.connectToA(t), n.connectToA(t)
		require.Equal(t, wire.Accepted, introduce(t, older, good()))
		require.Equal(t, wire.Accepted, introduce(t, newer, good()))
		requireClosed(t, older, 0)
		_, err := newer.Write(wire.Append(nil, wire.Data, []byte("newer")))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, []arrival{{"b", "newer"}}, drain(arrivals))
	})
}

// While a handler does not return, a member that connects again and again
// holds no more than one further connection.
func TestStuckHandlerBoundsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		stuck := make(chan struct{})
		serveWith(t, a, func(string, []byte) { <-stuck })
		defer close(stuck)
		first := n.connectToA(t)
		require.Equal(t, wire.Accepted, introduce(t, first, good()))
		_, err := first.Write(wire.Append(nil, wire.Data, nil))
		require.NoError(t, err)
		waiting := n.connectToA(t)
		_, err = waiting.Write(good().Append(nil))
		require.NoError(t, err)
		synctest.Wait()
		for range 100 {
			conn := n.connectToA(t)
			require.Equal(t, wire.RefusedBusy, introduce(t, conn, good()))
			requireClosed(t, conn, 0)
		}
		start := time.Now()
		reply, err := wire.ReadReply(waiting)
		require.NoError(t, err)
		require.Equal(t, wire.RefusedBusy, reply, "the wait has an end too")
		require.Equal(t, 2*second, time.Since(start))
		synctest.Wait()
		require.Equal(t, uint64(101), a.Stats().Refused.Busy)
	})
}

// A connection that waits for its slot when the peer is removed gets none.
func TestRemovedPeerGetsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		stuck := make(chan struct{})
		serveWith(t, a, func(string, []byte) { <-stuck })
		first, waiting := n.connectToA(t), n.connectToA(t)
		require.Equal(t, wire.Accepted, introduce(t, first, good()))
		_, err := first.Write(wire.Append(nil, wire.Data, nil))
		require.NoError(t, err)
		_, err = waiting.Write(good().Append(nil))
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, a.RemovePeer("b"))
		close(stuck)
		reply, err := wire.ReadReply(waiting)
		require.NoError(t, err)
		require.Equal(t, wire.RefusedBusy, reply)
		requireClosed(t, waiting, 0)
	})
}

// Whatever a stranger writes, it is cut off, no frame of it arrives, and a
// member's frames do.
func FuzzIntroduction(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(wire.Hello{Cluster: "other", From: "b", To: "a"}.Append(nil))
	f.Add(wire.Append(wire.Hello{Cluster: "test", From: "z", To: "a"}.Append(nil), wire.Data, []byte("forged")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if h, err := wire.ReadHello(bytes.NewReader(stream)); err == nil && h == good() {
			return // That is the member itself.
		}
		synctest.Test(t, func(t *testing.T) {
			n := newPipeNet()
			a, b := n.member(t, "a", "b"), n.member(t, "b", "a")
			arrivals, _ := serve(t, a)
			serve(t, b)
			synctest.Wait()
			stranger := n.connectToA(t)
			go func() { _, _ = stranger.Write(stream) }()
			_, err := io.ReadAll(stranger)
			require.NoError(t, err, "the stranger is cut off")
			require.NoError(t, b.Send("a", []byte("ordinary")))
			synctest.Wait()
			require.Equal(t, []arrival{{"b", "ordinary"}}, drain(arrivals))
			require.Equal(t, uint64(1), a.Stats().Refused.Total())
		})
	})
}

func TestConfigMistakesAreReportedAtOnce(t *testing.T) {
	_, err := tcp.New(tcp.Config{
		Peers:    map[string]string{"": "x", "b": ""},
		MaxFrame: -1, MaxPending: -1,
	})
	for _, part := range []string{
		"name of a cluster", "name of a member", "name of a peer", `peer "b" has no address`, "no listener",
		"MaxFrame -1", "MaxPending -1", "neither TLS nor Insecure",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = tcp.New(tcp.Config{Cluster: "test", Name: "a", Insecure: true, MaxFrame: 1<<30 + 1})
	require.ErrorContains(t, err, "MaxFrame 1073741825")
	a := newPipeNet().member(t, "a")
	require.ErrorContains(t, a.SetPeer("a", "x"), "this member itself")
	require.Error(t, a.SetPeer("b", ""))
}

func TestMalformedAddressesAreRefused(t *testing.T) {
	config := func(addresses ...string) tcp.Config {
		cfg := tcp.Config{Cluster: "test", Name: "a", Listener: listen(t), Insecure: true, Peers: map[string]string{}}
		for _, address := range addresses {
			cfg.Peers["peer at "+address] = address
		}
		return cfg
	}
	malformed := []string{
		"nonsense", "", ":7000", "host:", "host:0", "host:65536", "host:-1", "host:http", "http://host:7000", "::1:7000",
		"[::1]", "host:7000:7000",
	}
	_, err := tcp.New(config(malformed...))
	for _, address := range malformed {
		require.ErrorContains(t, err, fmt.Sprintf("peer %q", "peer at "+address), "all mistakes are reported at once")
	}
	fine := []string{"127.0.0.1:7000", "[::1]:1", "[fe80::1%eth0]:7000", "node-1.example:65535"}
	a, err := tcp.New(config(fine...))
	require.NoError(t, err)
	for _, address := range malformed {
		require.Error(t, a.SetPeer("b", address), address)
	}
	for _, address := range fine {
		require.NoError(t, a.SetPeer("b", address))
	}

	own := config("nonsense", "")
	own.Dial = newPipeNet().dial
	_, err = tcp.New(own)
	require.ErrorContains(t, err, `peer "peer at " has no address`)
	require.NotContains(t, err.Error(), "nonsense", "a Dial of the host's own says what an address is")
}

// brokenListener accepts nothing.
type brokenListener struct {
	net.Listener
	closed atomic.Bool
}

func (l *brokenListener) Accept() (net.Conn, error) { return nil, errors.New("too many open files") }
func (l *brokenListener) Close() error              { l.closed.Store(true); return nil }

// The listener is closed when Serve has returned, also if accepting fails in the
// instant in which ctx ends.
func TestServeClosesABrokenListener(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		l := new(brokenListener)
		a, err := tcp.New(tcp.Config{Cluster: "test", Name: "a", Listener: l, Insecure: true})
		require.NoError(t, err)
		_ = a.Serve(ended, func(string, []byte) {})
		require.True(t, l.closed.Load())
	}
}

func TestServeClosesTheListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a, err := tcp.New(tcp.Config{Cluster: "test", Name: "a", Listener: l, Insecure: true})
	require.NoError(t, err)
	_, stop := serve(t, a)
	stop()
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
