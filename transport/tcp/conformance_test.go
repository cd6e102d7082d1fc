package tcp_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/rads-project/constellation/transport/transporttest"
	"github.com/stretchr/testify/require"
)

func TestConforms(t *testing.T) {
	tests := []struct {
		name string
		// secure sets up TLS or its absence for the member cfg.Name.
		secure func(tb testing.TB) func(cfg *tcp.Config)
	}{
		{"plain", func(testing.TB) func(*tcp.Config) {
			return func(cfg *tcp.Config) { cfg.Insecure = true }
		}},
		{"mutual TLS", func(tb testing.TB) func(*tcp.Config) {
			tb.Helper()
			ca, err := testcert.NewAuthority(time.Now())
			require.NoError(tb, err)
			return func(cfg *tcp.Config) {
				cert, err := ca.Issue(2, time.Now().Add(30*time.Minute), cfg.Name)
				require.NoError(tb, err)
				cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: ca.Pool()}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Config{
				Network: func(tb testing.TB, names []string) func(string) transport.Transport {
					tb.Helper()
					return network(tb, names, tt.secure(tb))
				},
			})
		})
	}
}

// network returns a join for members on loopback. A member that restarts gets
// another address, which the others are told.
func network(tb testing.TB, names []string, secure func(*tcp.Config)) func(string) transport.Transport {
	tb.Helper()
	members, addresses := map[string]*tcp.Transport{}, map[string]string{}
	return func(name string) transport.Transport {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = l.Close() }) // For members that never serve.
		addresses[name] = l.Addr().String()
		cfg := tcp.Config{Cluster: "test", Name: name, Listener: l, Peers: map[string]string{}}
		secure(&cfg)
		for _, other := range names {
			if other == name {
				continue
			}
			cfg.Peers[other] = addresses[other]
			if cfg.Peers[other] == "" {
				cfg.Peers[other] = "127.0.0.1:1" // Set when it joins.
			}
			if m := members[other]; m != nil {
				// A member that has ended does not want to know.
				_ = m.SetPeer(name, addresses[name])
			}
		}
		t, err := tcp.New(cfg)
		require.NoError(tb, err)
		members[name] = t
		return t
	}
}
