package tcp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport/tcp"
	"github.com/stretchr/testify/require"
)

// requireBothWays checks that frames pass between the two members.
func requireBothWays(t *testing.T, a, b *tcp.Transport, arrivalsA, arrivalsB <-chan arrival) {
	t.Helper()
	require.NoError(t, a.Send("b", []byte("there")))
	require.NoError(t, b.Send("a", []byte("back")))
	time.Sleep(ms)
	require.Equal(t, []arrival{{"b", "back"}}, drain(arrivalsA))
	require.Equal(t, []arrival{{"a", "there"}}, drain(arrivalsB))
}

// GetCertificate may leave the answer to Certificates, as it may in a server,
// and learns which member is asked for on connections of both kinds.
func TestTLSCertificateSources(t *testing.T) {
	tests := []struct {
		name string
		// set makes own the certificate that cfg shows.
		set func(cfg *tls.Config, own tls.Certificate)
	}{
		{"GetCertificate leaves it to Certificates", func(cfg *tls.Config, own tls.Certificate) {
			cfg.Certificates = []tls.Certificate{own}
			cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		}},
		{"GetCertificate chooses by name", func(cfg *tls.Config, own tls.Certificate) {
			cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if hello.ServerName == "" || hello.SupportsCertificate(&own) != nil {
					return nil, errors.New("no certificate for " + hello.ServerName)
				}
				return &own, nil
			}
		}},
		{"GetClientCertificate for outgoing connections", func(cfg *tls.Config, own tls.Certificate) {
			cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if hello.Conn == nil {
					return nil, errors.New("asked for an outgoing connection")
				}
				return &own, nil
			}
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, ca := newPipeNet(), newAuthority(t)
				member := func(name, peer string) *tcp.Transport {
					cfg := &tls.Config{RootCAs: ca.Pool()}
					tt.set(cfg, issue(t, ca, name))
					return n.secureMember(t, name, cfg, peer)
				}
				a, b := member("a", "b"), member("b", "a")
				atA, _ := serve(t, a)
				atB, _ := serve(t, b)
				requireBothWays(t, a, b, atA, atB)
			})
		})
	}
}

// A member without a certificate is a member that is refused, not a panic.
func TestTLSWithoutAnyCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		a := n.secureMember(t, "a", &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
			RootCAs:        ca.Pool(),
		}, "b")
		b := n.secureMember(t, "b", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "b")}, RootCAs: ca.Pool(),
		}, "a")
		serve(t, a)
		serve(t, b)
		time.Sleep(5 * second)
		require.ErrorContains(t, peerStats(t, a, "b").LastError, "no certificate")
		require.Positive(t, b.Stats().Refused.Total())
	})
}

// What the host does to its configuration after New changes nothing.
func TestConfigIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		cfg := &tls.Config{Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool()}
		peers := map[string]string{"b": "b"}
		a, err := tcp.New(tcp.Config{
			Cluster: "test", Name: "a", Listener: n.listen("a"), Peers: peers, TLS: cfg, Dial: n.dial,
		})
		require.NoError(t, err)
		b := n.secureMember(t, "b", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "b")}, RootCAs: ca.Pool(),
		}, "a")
		cfg.Certificates, cfg.RootCAs = nil, x509.NewCertPool()
		peers["b"] = "elsewhere"
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		requireBothWays(t, a, b, atA, atB)
	})
}
