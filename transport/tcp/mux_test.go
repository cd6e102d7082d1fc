package tcp_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/rads-project/constellation/transport/transporttest"
	"github.com/stretchr/testify/require"
)

// serveMux serves m until stop is called.
func serveMux(tb testing.TB, m *transport.Mux) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- m.Serve(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		require.NoError(tb, <-served)
	})
}

func TestMuxConforms(t *testing.T) {
	transporttest.Run(t, transporttest.Config{
		MaxFrame: transport.DefaultMaxFrame - 2 - len("group"),
		Network: func(tb testing.TB, names []string) func(string) transport.Transport {
			tb.Helper()
			join := network(tb, names, func(cfg *tcp.Config) { cfg.Insecure = true })
			muxes := map[string]*transport.Mux{}
			for _, name := range names {
				m, err := transport.NewMux(transport.MuxConfig{Transport: join(name)})
				require.NoError(tb, err)
				muxes[name] = m
			}
			for _, m := range muxes {
				tb.Cleanup(serveMux(tb, m))
			}
			return func(name string) transport.Transport {
				g, err := muxes[name].Join("group")
				require.NoError(tb, err)
				return g
			}
		},
	})
}

// countingListener counts the connections that it has accepted.
type countingListener struct {
	*pipeListener

	accepted int
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.pipeListener.Accept()
	if err == nil {
		l.accepted++ // Only one goroutine accepts.
	}
	return conn, err
}

// A thousand groups of three members are three processes, each with one
// listener and four connections: one to and one from each peer. All groups
// speak at the same instant and no frame is lost.
func TestThousandGroupsOfThreeCostFourConnectionsAProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const groups = 1000
		n, names := newPipeNet(), []string{"a", "b", "c"}
		listeners := map[string]*countingListener{}
		carriers := map[string]*tcp.Transport{}
		var muxes []*transport.Mux
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		received := make([]int, 3*groups)
		for at, name := range names {
			listeners[name] = &countingListener{pipeListener: n.listen(name)}
			peers := map[string]string{"a": "a", "b": "b", "c": "c"}
			delete(peers, name)
			carrier, err := tcp.New(tcp.Config{
				Cluster: "test", Name: name, Listener: listeners[name], Peers: peers, Insecure: true, Dial: n.dial,
			})
			require.NoError(t, err)
			carriers[name] = carrier
			m, err := transport.NewMux(transport.MuxConfig{Transport: carrier})
			require.NoError(t, err)
			for i := range groups {
				g, err := m.Join("group " + strconv.Itoa(i))
				require.NoError(t, err)
				for peer := range peers {
					require.NoError(t, g.Send(peer, []byte("heartbeat")))
				}
				wg.Go(func() { _ = g.Serve(ctx, func(string, []byte) { received[at*groups+i]++ }) })
			}
			muxes = append(muxes, m)
		}
		for _, m := range muxes {
			defer serveMux(t, m)()
		}
		time.Sleep(second / 2)
		cancel()
		wg.Wait()
		for i, frames := range received {
			require.Equal(t, 2, frames, "group %d", i%groups)
		}
		for _, name := range names {
			require.Equal(t, 2, listeners[name].accepted)
			require.Len(t, n.attempts(name), 2, "two connections were made to it, none failed")
			for _, peer := range carriers[name].Stats().Peers {
				require.Zero(t, peer.Dropped.Total())
			}
		}
	})
}
