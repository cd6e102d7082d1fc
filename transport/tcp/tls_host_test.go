package tcp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Checks of the host that find nothing wrong, and a MaxVersion that is high enough,
// keep no member out.
func TestTLSHostChecksThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		var connections, certificates atomic.Int32
		a := n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS13,
			VerifyConnection:      func(tls.ConnectionState) error { connections.Add(1); return nil },
			VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { certificates.Add(1); return nil },
		}, "b")
		b := n.secureMember(t, "b", &tls.Config{Certificates: []tls.Certificate{issue(t, ca, "b")}, RootCAs: ca.Pool()}, "a")
		atA, stopA := serve(t, a)
		atB, stopB := serve(t, b)
		time.Sleep(ms)
		requireBothWays(t, a, b, atA, atB)
		stopA()
		stopB()
		require.EqualValues(t, 2, connections.Load(), "once for each direction")
		require.EqualValues(t, 2, certificates.Load(), "once for each direction")
	})
}

// An error of GetCertificate is what the host is told of an outgoing connection;
// the Certificates do not stand in for it.
func TestTLSErrorOfGetCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		expired := errors.New("the certificate has expired")
		a := n.secureMember(t, "a", &tls.Config{
			Certificates: []tls.Certificate{issue(t, ca, "a")}, RootCAs: ca.Pool(),
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, expired },
		}, "b")
		b := n.secureMember(t, "b", &tls.Config{Certificates: []tls.Certificate{issue(t, ca, "b")}, RootCAs: ca.Pool()}, "a")
		serve(t, a)
		serve(t, b)
		time.Sleep(time.Second)
		require.ErrorIs(t, peerStats(t, a, "b").LastError, expired)
	})
}
