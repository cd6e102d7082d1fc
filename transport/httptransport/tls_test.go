package httptransport_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/httptransport"
	"github.com/stretchr/testify/require"
)

// A certified member has an authority and says which certificate it shows.
type certified struct {
	ca    *testcert.Authority
	shown func() tls.Certificate
}

// showing returns a member with one certificate for good, of the authority by
// and valid for so long from now.
func showing(t *testing.T, ca, by *testcert.Authority, valid time.Duration, names ...string) certified {
	t.Helper()
	cert, err := by.Issue(2, time.Now().Add(valid), names...)
	require.NoError(t, err)
	return certified{ca, func() tls.Certificate { return cert }}
}

// secureMember mounts the member name behind a server with mutual TLS.
func (n *pipeNet) secureMember(t *testing.T, name, peer string, c certified) (*httptransport.Transport, *http.Transport) {
	t.Helper()
	client := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			RootCAs: c.ca.Pool(),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				cert := c.shown()
				return &cert, nil
			},
		},
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return n.find(host).dial(ctx)
		},
	}
	tr, err := httptransport.New(httptransport.Config{
		Cluster: "test", Name: name, Peers: map[string]string{peer: "https://" + peer + "/"},
		Client: clientOf(t, client), Authenticate: httptransport.Certificate,
	})
	require.NoError(t, err)
	server := &http.Server{
		Handler: tr, ReadHeaderTimeout: time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			ClientCAs: c.ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				cert := c.shown()
				return &cert, nil
			},
		},
	}
	l, done := n.listen(name), make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return tr, client
}

func newAuthority(t *testing.T) *testcert.Authority {
	t.Helper()
	ca, err := testcert.NewAuthority(time.Now())
	require.NoError(t, err)
	return ca
}

// untilFailed is longer than a request may take: on a pipe without a buffer,
// both sides of a handshake that fails may write until then.
const untilFailed = 3 * time.Second

func TestTLSRefusesSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := newAuthority(t), newAuthority(t)
		nothing := certified{ca, func() tls.Certificate { return tls.Certificate{} }}
		tests := []struct {
			name   string
			sender certified
			// counted says that the transport refuses it, not the host's server.
			counted bool
		}{
			{"no certificate", nothing, true},
			{"certificate of another member", showing(t, ca, ca, time.Minute, "c"), true},
			{"wildcard certificate", showing(t, ca, ca, time.Minute, "*", "*.b"), true},
			{"certificate of another authority", showing(t, ca, stranger, time.Minute, "b"), false},
			{"expired certificate", showing(t, ca, ca, -time.Minute, "b"), false},
		}
		for _, tt := range tests {
			n := newPipeNet()
			a, _ := n.secureMember(t, "a", "b", showing(t, ca, ca, time.Minute, "a"))
			b, _ := n.secureMember(t, "b", "a", tt.sender)
			arrivals, stopA := serve(t, a)
			_, stopB := serve(t, b)
			require.NoError(t, b.Send("a", []byte("forged")))
			time.Sleep(untilFailed)
			require.Empty(t, drain(arrivals), tt.name)
			require.Equal(t, transport.Dropped{Lost: 1}, b.Stats().Peers[0].Dropped, tt.name)
			want := transport.Refused{}
			if tt.counted {
				want.Sender = 1
				require.ErrorContains(t, b.Stats().Peers[0].LastError, "403 Forbidden: sender not authenticated", tt.name)
			}
			require.Error(t, b.Stats().Peers[0].LastError, tt.name)
			require.Equal(t, want, a.Stats().Refused, tt.name)
			stopA()
			stopB()
		}
	})
}

// A stranger that has taken a member's address gets no frame.
func TestTLSRefusesImpostorsAtTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := newAuthority(t), newAuthority(t)
		tests := []struct {
			name string
			at   certified
		}{
			{"certificate of another authority", showing(t, ca, stranger, time.Minute, "a")},
			{"certificate of another member", showing(t, ca, ca, time.Minute, "c")},
			{"expired certificate", showing(t, ca, ca, -time.Minute, "a")},
		}
		for _, tt := range tests {
			n := newPipeNet()
			a, _ := n.secureMember(t, "a", "b", tt.at)
			b, _ := n.secureMember(t, "b", "a", showing(t, ca, ca, time.Minute, "b"))
			arrivals, stopA := serve(t, a)
			_, stopB := serve(t, b)
			require.NoError(t, b.Send("a", []byte("secret")))
			time.Sleep(untilFailed)
			require.Empty(t, drain(arrivals), tt.name)
			require.Error(t, b.Stats().Peers[0].LastError, tt.name)
			stopA()
			stopB()
		}
	})
}

// Certificates of the client and of the server are asked for at each
// handshake: whose has expired goes on with the new one, without a restart.
func TestTLSRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		var current atomic.Pointer[tls.Certificate]
		rotate := func() {
			cert, err := ca.Issue(2, time.Now().Add(10*time.Minute), "b")
			require.NoError(t, err)
			current.Store(&cert)
		}
		rotate()
		a, clientA := n.secureMember(t, "a", "b", showing(t, ca, ca, 50*time.Minute, "a"))
		b, clientB := n.secureMember(t, "b", "a", certified{ca, func() tls.Certificate { return *current.Load() }})
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		exchange := func() (arrived int) {
			require.NoError(t, a.Send("b", nil))
			require.NoError(t, b.Send("a", nil))
			time.Sleep(2 * time.Second)
			return len(drain(atA)) + len(drain(atB))
		}
		synctest.Wait() // Until both serve: a request that comes before is answered 503.
		require.Equal(t, 2, exchange())
		time.Sleep(15 * time.Minute)
		require.Equal(t, 2, exchange(), "connections that stand are not cut")
		clientA.CloseIdleConnections()
		clientB.CloseIdleConnections()
		require.Zero(t, exchange(), "the certificate has expired")
		rotate()
		require.Equal(t, 2, exchange())
	})
}

// A body that does not come is cut off over HTTP/2 too.
func TestSlowBodyOverHTTP2IsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		a, _ := n.secureMember(t, "a", "b", showing(t, ca, ca, time.Minute, "a"))
		_, client := n.secureMember(t, "b", "a", showing(t, ca, ca, time.Minute, "b"))
		serve(t, a)
		body, never := io.Pipe()
		defer func() { _ = never.Close() }()
		r := request(nil)
		slow, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://a/", body)
		require.NoError(t, err)
		slow.Header = r.Header
		start := time.Now()
		resp, err := client.RoundTrip(slow)
		require.NoError(t, err)
		require.Equal(t, 2, resp.ProtoMajor)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.NoError(t, resp.Body.Close())
	})
}
