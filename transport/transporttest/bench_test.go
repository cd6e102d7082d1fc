package transporttest_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/httptransport"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

// pairs are the transports to compare: each makes the members a and b.
func pairs() []struct {
	name string
	make func(*testing.B) (a, b transport.Transport)
} {
	return []struct {
		name string
		make func(*testing.B) (a, b transport.Transport)
	}{
		{"Memory", memoryPair},
		{"TCP", func(b *testing.B) (x, y transport.Transport) {
			b.Helper()
			return tcpPair(b, func(cfg *tcp.Config) { cfg.Insecure = true })
		}},
		{"TCPmTLS", func(b *testing.B) (x, y transport.Transport) {
			b.Helper()
			configure := certificates(b)
			return tcpPair(b, func(cfg *tcp.Config) { cfg.TLS = configure(cfg.Name) })
		}},
		{"HTTP1", func(b *testing.B) (x, y transport.Transport) {
			b.Helper()
			return httpPair(b, "http", nil, (*httptest.Server).Start)
		}},
		{"HTTP2mTLS", func(b *testing.B) (x, y transport.Transport) {
			b.Helper()
			return httpPair(b, "https", certificates(b), (*httptest.Server).StartTLS)
		}},
	}
}

func memoryPair(b *testing.B) (x, y transport.Transport) {
	b.Helper()
	m, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(b, err)
	ends := [2]transport.Transport{}
	for i, name := range []string{"a", "b"} {
		ends[i], err = m.Join(name)
		require.NoError(b, err)
	}
	return ends[0], ends[1]
}

// certificates returns the TLS configuration of both sides by name.
func certificates(b *testing.B) func(name string) *tls.Config {
	b.Helper()
	ca, err := testcert.NewAuthority(time.Now())
	require.NoError(b, err)
	return func(name string) *tls.Config {
		cert, err := ca.Issue(2, time.Now().Add(30*time.Minute), name)
		require.NoError(b, err)
		return &tls.Config{
			Certificates: []tls.Certificate{cert},
			RootCAs:      ca.Pool(),
			ClientCAs:    ca.Pool(),
			ClientAuth:   tls.RequireAndVerifyClientCert,
		}
	}
}

func tcpPair(b *testing.B, secure func(*tcp.Config)) (x, y transport.Transport) {
	b.Helper()
	make1 := func(name string) (*tcp.Transport, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		cfg := tcp.Config{Cluster: "bench", Name: name, Listener: l}
		secure(&cfg)
		t, err := tcp.New(cfg)
		require.NoError(b, err)
		return t, l.Addr().String()
	}
	first, firstAddress := make1("a")
	second, secondAddress := make1("b")
	require.NoError(b, first.SetPeer("b", secondAddress))
	require.NoError(b, second.SetPeer("a", firstAddress))
	return first, second
}

// httpPair makes members with servers of their own, over TLS and HTTP/2 where
// secure is set.
func httpPair(
	b *testing.B, scheme string, secure func(name string) *tls.Config, start func(*httptest.Server),
) (x, y transport.Transport) {
	b.Helper()
	addresses := map[string]string{}
	make1 := func(name, other string) transport.Transport {
		client := &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return (&net.Dialer{}).DialContext(ctx, network, addresses[host])
			},
			ForceAttemptHTTP2: true,
		}
		b.Cleanup(client.CloseIdleConnections)
		cfg := httptransport.Config{
			Cluster: "bench", Name: name, Client: &http.Client{Transport: client}, Insecure: secure == nil,
			Peers: map[string]string{other: scheme + "://" + other + "/"},
		}
		if secure != nil {
			client.TLSClientConfig = secure(name)
			cfg.Authenticate = httptransport.Certificate
		}
		t, err := httptransport.New(cfg)
		require.NoError(b, err)
		server := httptest.NewUnstartedServer(t)
		if secure != nil {
			server.TLS, server.EnableHTTP2 = secure(name), true
		}
		start(server)
		b.Cleanup(server.Close)
		addresses[name] = server.Listener.Addr().String()
		return t
	}
	return make1("a", "b"), make1("b", "a")
}

// serveBoth serves a and b until the benchmark ends, b with handle, and
// returns once frames arrive there.
func serveBoth(b *testing.B, x, y transport.Transport, handleX, handleY func(string, []byte)) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	b.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	wg.Go(func() { _ = x.Serve(ctx, handleX) })
	wg.Go(func() { _ = y.Serve(ctx, handleY) })
}

// frameSize is about that of a heartbeat.
const frameSize = 128

// retry is how long a benchmark waits for a frame before it sends another:
// frames may be lost.
const retry = time.Second

// BenchmarkTransportThroughput sends frames of 128 bytes to one peer, half a
// queue at a time, so that none is dropped.
func BenchmarkTransportThroughput(b *testing.B) {
	for _, p := range pairs() {
		b.Run(p.name, func(b *testing.B) {
			x, y := p.make(b)
			window := make(chan struct{}, transport.QueueFrames/2)
			serveBoth(b, x, y, func(string, []byte) {}, func(string, []byte) {
				select {
				case <-window:
				default:
				}
			})
			frame := make([]byte, frameSize)
			send := func(n int) {
				timeout := time.NewTimer(retry)
				defer timeout.Stop()
				for range n {
					select {
					case window <- struct{}{}:
					default:
						timeout.Reset(retry)
						select {
						case window <- struct{}{}:
						case <-timeout.C: // Lost: go on without its place.
						}
					}
					if err := x.Send("b", frame); err != nil {
						b.Fatal(err)
					}
				}
			}
			send(1000) // Connections are made, buffers have grown.
			b.ReportAllocs()
			b.ResetTimer()
			send(b.N)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkTransportLatency sends a frame of 128 bytes to a peer, which
// answers it, and reports half of the time until the answer.
func BenchmarkTransportLatency(b *testing.B) {
	for _, p := range pairs() {
		b.Run(p.name, func(b *testing.B) {
			x, y := p.make(b)
			answered := make(chan struct{}, 1)
			serveBoth(b, x, y,
				func(string, []byte) {
					select {
					case answered <- struct{}{}:
					default:
					}
				},
				func(from string, frame []byte) { _ = y.Send(from, frame) })
			frame := make([]byte, frameSize)
			timeout := time.NewTimer(retry)
			defer timeout.Stop()
			ask := func() time.Duration {
				start := time.Now()
				for {
					if err := x.Send("b", frame); err != nil {
						b.Fatal(err)
					}
					timeout.Reset(retry)
					select {
					case <-answered:
						return time.Since(start) / 2
					case <-timeout.C:
					}
				}
			}
			for range 100 {
				ask()
			}
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				took = append(took, ask())
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}
