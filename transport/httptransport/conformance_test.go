package httptransport_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/httptransport"
	"github.com/rads-project/constellation/transport/transporttest"
	"github.com/stretchr/testify/require"
)

// A host makes the servers and clients of one case: what a service has
// anyway. Members have URLs with their names, which the clients' dialer finds.
type host struct {
	tb testing.TB
	// server starts a server of its kind, client returns a client for it.
	server func(name string, handler http.Handler) *httptest.Server
	client func(name string, dial dialFunc) *http.Client
	scheme string
	// secure says who authenticates requests.
	secure func(*httptransport.Config)
	// major is the HTTP version that is expected.
	major int

	mu        sync.Mutex
	addresses map[string]string
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// join makes the member name, a server of its own included.
func (h *host) join(name string, names []string) transport.Transport {
	cfg := httptransport.Config{
		Cluster: "test", Name: name, Peers: map[string]string{}, Client: h.client(name, h.dial),
	}
	h.secure(&cfg)
	for _, other := range names {
		if other != name {
			cfg.Peers[other] = h.scheme + "://" + other + "/internal/frames"
		}
	}
	t, err := httptransport.New(cfg)
	require.NoError(h.tb, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/internal/frames", func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != h.major {
			h.tb.Errorf("request over %s", r.Proto)
		}
		t.ServeHTTP(w, r)
	})
	server := h.server(name, mux)
	h.tb.Cleanup(server.Close)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addresses[name] = server.Listener.Addr().String()
	return t
}

func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	actual := h.addresses[name]
	h.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, actual)
}

// clientOf returns a client over tr and ends its connections with the test.
func clientOf(tb testing.TB, tr *http.Transport) *http.Client {
	tb.Helper()
	tb.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func believe(cfg *httptransport.Config) { cfg.Insecure = true }

// http1 is a host of HTTP/1.1 without TLS.
func http1(tb testing.TB) *host {
	tb.Helper()
	return &host{
		tb: tb, scheme: "http", major: 1, addresses: map[string]string{}, secure: believe,
		server: func(_ string, handler http.Handler) *httptest.Server { return httptest.NewServer(handler) },
		client: func(_ string, dial dialFunc) *http.Client {
			return clientOf(tb, &http.Transport{DialContext: dial})
		},
	}
}

// http2 is a host of HTTP/2 without TLS.
func http2(tb testing.TB) *host {
	tb.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &host{
		tb: tb, scheme: "http", major: 2, addresses: map[string]string{}, secure: believe,
		server: func(_ string, handler http.Handler) *httptest.Server {
			s := httptest.NewUnstartedServer(handler)
			s.Config.Protocols = &protocols
			s.Start()
			return s
		},
		client: func(_ string, dial dialFunc) *http.Client {
			return clientOf(tb, &http.Transport{DialContext: dial, Protocols: &protocols})
		},
	}
}

// http2TLS is a host of HTTP/2 with mutual TLS.
func http2TLS(tb testing.TB) *host {
	tb.Helper()
	ca, err := testcert.NewAuthority(time.Now())
	require.NoError(tb, err)
	config := func(name string) *tls.Config {
		cert, err := ca.Issue(2, time.Now().Add(30*time.Minute), name)
		require.NoError(tb, err)
		return &tls.Config{
			Certificates: []tls.Certificate{cert},
			RootCAs:      ca.Pool(),
			ClientCAs:    ca.Pool(),
			ClientAuth:   tls.RequireAndVerifyClientCert,
		}
	}
	return &host{
		tb: tb, scheme: "https", major: 2, addresses: map[string]string{},
		secure: func(cfg *httptransport.Config) { cfg.Authenticate = httptransport.Certificate },
		server: func(name string, handler http.Handler) *httptest.Server {
			s := httptest.NewUnstartedServer(handler)
			s.TLS, s.EnableHTTP2 = config(name), true
			s.StartTLS()
			return s
		},
		client: func(name string, dial dialFunc) *http.Client {
			return clientOf(tb, &http.Transport{DialContext: dial, TLSClientConfig: config(name), ForceAttemptHTTP2: true})
		},
	}
}

func TestConforms(t *testing.T) {
	tests := []struct {
		name string
		host func(testing.TB) *host
	}{
		{"HTTP1", http1},
		{"HTTP2", http2},
		{"HTTP2 with mutual TLS", http2TLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Config{
				Network: func(tb testing.TB, names []string) func(string) transport.Transport {
					tb.Helper()
					h := tt.host(tb)
					return func(name string) transport.Transport { return h.join(name, names) }
				},
			})
		})
	}
}
