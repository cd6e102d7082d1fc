package tcp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

func newAuthority(t *testing.T) *testcert.Authority {
	t.Helper()
	ca, err := testcert.NewAuthority(time.Now())
	require.NoError(t, err)
	return ca
}

// issue returns a certificate for names that is valid for the next half hour.
func issue(t *testing.T, ca *testcert.Authority, names ...string) tls.Certificate {
	t.Helper()
	return issueUntil(t, ca, time.Now().Add(30*time.Minute), names...)
}

func issueUntil(t *testing.T, ca *testcert.Authority, until time.Time, names ...string) tls.Certificate {
	t.Helper()
	cert, err := ca.Issue(2, until, names...)
	require.NoError(t, err)
	return cert
}

// secureMember makes a member that uses TLS and is named like its address.
func (n *pipeNet) secureMember(t *testing.T, name string, cfg *tls.Config, peer string) *tcp.Transport {
	t.Helper()
	tr, err := tcp.New(tcp.Config{
		Cluster: "test", Name: name, Listener: n.listen(name), Peers: map[string]string{peer: peer},
		TLS: cfg, Dial: n.dial,
	})
	require.NoError(t, err)
	return tr
}

func TestTLSCarriesFramesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		// One of the pools stands for both.
		a := n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
		}, "b")
		b := n.secureMember(t, "b", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "other.example", "b")}, ClientCAs: ca.Pool(),
		}, "a")
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		require.NoError(t, a.Send("b", []byte("there")))
		require.NoError(t, b.Send("a", []byte("back")))
		time.Sleep(ms)
		require.Equal(t, []arrival{{"b", "back"}}, drain(atA))
		require.Equal(t, []arrival{{"a", "there"}}, drain(atB))
		require.Zero(t, a.Stats().Refused.Total())
	})
}

func TestTLSRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := newAuthority(t), newAuthority(t)
		tests := []struct {
			name   string
			client *tls.Config
			want   transport.Refused
		}{
			{"no certificate", &tls.Config{}, transport.Refused{Certificate: 1}},
			{
				"certificate of another authority",
				&tls.Config{Certificates: []tls.Certificate{issue(t, stranger, "b")}},
				transport.Refused{Certificate: 1},
			},
			{
				"expired certificate",
				&tls.Config{Certificates: []tls.Certificate{issueUntil(t, ca, time.Now().Add(-time.Minute), "b")}},
				transport.Refused{Certificate: 1},
			},
			{
				"certificate of another member",
				&tls.Config{Certificates: []tls.Certificate{issue(t, ca, "c")}},
				transport.Refused{Sender: 1},
			},
			{
				"wildcard certificate",
				&tls.Config{Certificates: []tls.Certificate{issue(t, ca, "*", "*.b")}},
				transport.Refused{Sender: 1},
			},
			{
				"version 1.2 of TLS",
				&tls.Config{Certificates: []tls.Certificate{issue(t, ca, "b")}, MaxVersion: tls.VersionTLS12},
				transport.Refused{Handshake: 1},
			},
		}
		n := newPipeNet()
		for _, tt := range tests {
			a := n.secureMember(t, "a", &tls.Config{
				Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
			}, "b")
			arrivals, stop := serve(t, a)
			tt.client.RootCAs, tt.client.ServerName = ca.Pool(), "a"
			conn := tls.Client(n.connectToA(t), tt.client)
			_, _ = conn.Write(good().Append(nil))
			reply, err := wire.ReadReply(conn)
			require.True(t, err != nil || reply != wire.Accepted, tt.name)
			synctest.Wait()
			require.Equal(t, tt.want, a.Stats().Refused, tt.name)
			require.Empty(t, drain(arrivals), tt.name)
			stop()
		}
	})
}

// A sender whose certificate does not name it gets one answer, whichever
// cluster and member it looks for.
func TestTLSStrangersLearnNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		a := n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
		}, "b")
		serve(t, a)
		hellos := []wire.Hello{
			good(),
			{Cluster: "prod", From: "b", To: "a"},
			{Cluster: "test", From: "b", To: "c"},
			{Cluster: "test", From: "nobody", To: "a"},
		}
		for _, hello := range hellos {
			conn := tls.Client(n.connectToA(t), &tls.Config{
				Certificates: []tls.Certificate{issue(t, ca, "c")}, RootCAs: ca.Pool(), ServerName: "a",
			})
			require.Equal(t, wire.RefusedSender, introduce(t, conn, hello), hello)
		}
		synctest.Wait()
		require.Equal(t, transport.Refused{Sender: uint64(len(hellos))}, a.Stats().Refused)
	})
}

// A session that is resumed would not show a certificate, which may have
// expired since.
func TestTLSSessionsAreNotResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		serve(t, n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
		}, "b"))
		client := &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "b")}, RootCAs: ca.Pool(), ServerName: "a",
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
		for range 3 {
			conn := tls.Client(n.connectToA(t), client)
			require.Equal(t, wire.Accepted, introduce(t, conn, good()))
			require.False(t, conn.ConnectionState().DidResume)
		}
	})
}

// A stranger that has taken a member's address gets no frame either.
func TestTLSRefusesImpostorsAtTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := newAuthority(t), newAuthority(t)
		tests := []struct {
			name string
			cert tls.Certificate
			want string
		}{
			{"certificate of another authority", issue(t, stranger, "b"), "unknown authority"},
			{"certificate of another member", issue(t, ca, "c"), "not b"},
			{"wildcard certificate", issue(t, ca, "*.b", "*"), "not b"},
			{"expired certificate", issueUntil(t, ca, time.Now().Add(-time.Minute), "b"), "expired"},
		}
		for _, tt := range tests {
			n := newPipeNet()
			a := n.secureMember(t, "a", &tls.Config{
				Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
			}, "b")
			b := n.secureMember(t, "b", &tls.Config{Certificates: []tls.Certificate{tt.cert}, RootCAs: ca.Pool()}, "a")
			_, stopA := serve(t, a)
			arrivals, stopB := serve(t, b)
			require.NoError(t, a.Send("b", []byte("secret")))
			// Longer than the introduction: on a pipe without a buffer, both
			// sides may write until then.
			time.Sleep(5 * second)
			require.Empty(t, drain(arrivals), tt.name)
			require.ErrorContains(t, peerStats(t, a, "b").LastError, tt.want, tt.name)
			stopA()
			stopB()
		}
	})
}

// A wildcard satisfies the standard library's check of a host name, but may
// not stand for a member.
func TestTLSWildcardIsNoMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		a := n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
		}, "b.example")
		b := n.secureMember(t, "b.example", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "*.example")}, RootCAs: ca.Pool(),
		}, "a")
		serve(t, a)
		serve(t, b)
		time.Sleep(5 * second)
		require.ErrorContains(t, peerStats(t, a, "b.example").LastError, "names another member")
		require.Positive(t, a.Stats().Refused.Sender)
	})
}

// Certificates are asked for at each handshake: a member whose certificate
// has expired goes on with the new one, without a restart.
func TestTLSRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		var current atomic.Pointer[tls.Certificate]
		rotate := func(until time.Time) {
			cert := issueUntil(t, ca, until, "b")
			current.Store(&cert)
		}
		start := time.Now()
		rotate(start.Add(10 * time.Minute))
		a := n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issueUntil(t, ca, start.Add(50*time.Minute), "a")}, RootCAs: ca.Pool(),
		}, "b")
		b := n.secureMember(t, "b", &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
			RootCAs:        ca.Pool(),
		}, "a")
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		reconnect := func() {
			require.NoError(t, a.SetPeer("b", "b"))
			require.NoError(t, b.SetPeer("a", "a"))
			time.Sleep(5 * second)
		}
		exchange := func() int {
			require.NoError(t, a.Send("b", nil))
			require.NoError(t, b.Send("a", nil))
			time.Sleep(second)
			return len(drain(atA)) + len(drain(atB))
		}
		time.Sleep(second)
		require.Equal(t, 2, exchange())

		time.Sleep(15 * time.Minute)
		require.Equal(t, 2, exchange(), "connections that stand are not cut")
		reconnect()
		require.Zero(t, exchange(), "the certificate has expired")
		require.Positive(t, a.Stats().Refused.Certificate)

		rotate(time.Now().Add(20 * time.Minute))
		time.Sleep(5 * second) // The next attempts use it.
		require.Equal(t, 2, exchange())
	})
}

// The host may check more, and what it refuses counts as a certificate. Its
// checks are not asked about a stranger who shows none.
func TestTLSHostMayCheckMore(t *testing.T) {
	revoked := errors.New("revoked")
	tests := []struct {
		name  string
		check func(*tls.Config)
	}{
		{"VerifyConnection", func(cfg *tls.Config) {
			cfg.VerifyConnection = func(cs tls.ConnectionState) error {
				_ = cs.PeerCertificates[0]
				return revoked
			}
		}},
		{"VerifyPeerCertificate", func(cfg *tls.Config) {
			cfg.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
				_ = raw[0]
				return revoked
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, ca := newPipeNet(), newAuthority(t)
				checking := &tls.Config{Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool()}
				tt.check(checking)
				a := n.secureMember(t, "a", checking, "b")
				b := n.secureMember(t, "b", &tls.Config{
					Certificates: []tls.Certificate{issue(t, ca, "b")}, RootCAs: ca.Pool(),
				}, "a")
				serve(t, a)
				serve(t, b)
				time.Sleep(5 * second)
				refused := a.Stats().Refused.Certificate
				require.Positive(t, refused)
				require.ErrorIs(t, peerStats(t, a, "b").LastError, revoked)

				require.NoError(t, a.RemovePeer("b"))
				require.NoError(t, b.RemovePeer("a"))
				synctest.Wait()
				refused = a.Stats().Refused.Certificate
				stranger := tls.Client(n.connectToA(t), &tls.Config{RootCAs: ca.Pool(), ServerName: "a"})
				_, _ = stranger.Write(good().Append(nil))
				_, err := wire.ReadReply(stranger)
				require.Error(t, err)
				synctest.Wait()
				require.Equal(t, refused+1, a.Stats().Refused.Certificate)
			})
		})
	}
}

func TestTLSConfigMistakes(t *testing.T) {
	_, err := tcp.New(tcp.Config{TLS: &tls.Config{
		InsecureSkipVerify: true,
		MaxVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil },
	}})
	for _, part := range []string{
		"neither Certificates nor GetCertificate", "neither RootCAs nor ClientCAs", "InsecureSkipVerify",
		"GetConfigForClient", "MaxVersion below 1.3",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = tcp.New(tcp.Config{TLS: &tls.Config{}, Insecure: true})
	require.ErrorContains(t, err, "both TLS and Insecure")
}
