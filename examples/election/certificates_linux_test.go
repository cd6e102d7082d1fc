package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that runs shows a new certificate, on connections that it makes and
// on those that it takes, once the files have been replaced.
func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	authority, at := newAuthority(t), freeAddresses(t, 2)
	certificate, key := authority.issue(t, "a")
	f := newFleet(t, map[string][]string{"a": program(t, "-id", "a", "-listen", at[0], "-data", dataDir(t),
		"-peers", "a="+at[0]+",b="+at[1], "-tls-cert", certificate, "-tls-key", key, "-tls-ca", authority.file)})

	// The test takes the place of b.
	pool := x509.NewCertPool()
	authorities, err := os.ReadFile(authority.file)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(authorities))
	own, err := tls.LoadX509KeyPair(authority.issue(t, "b"))
	require.NoError(t, err)
	cfg := &tls.Config{
		Certificates: []tls.Certificate{own}, ServerName: "a",
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", at[1])
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	made := func() int64 { // the serial number on a connection that it makes
		conn, err := listener.Accept()
		if err != nil {
			return 0 // The test has ended.
		}
		return serial(tls.Server(conn, cfg))
	}
	taken := func() int64 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at[0])
		if err != nil {
			return 0 // It has not begun.
		}
		return serial(tls.Client(conn, cfg))
	}
	await := func(number int64) {
		for name, shown := range map[string]func() int64{"made": made, "taken": taken} {
			require.Eventually(t, func() bool { return shown() == number }, patience, poll, name)
		}
	}
	f.start(t, "a")
	await(2)
	require.NoError(t, authority.WriteFiles(filepath.Dir(certificate), 3, "a"))
	await(3)
	f.signal(t, "a", syscall.SIGTERM)
	require.Zero(t, f.reap(t, "a"))
}

// serial returns the serial number of the certificate that the other side
// shows, 0 if it shows none, and closes the connection.
func serial(conn *tls.Conn) int64 {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience)) // Or the handshake fails.
	if err := conn.Handshake(); err != nil {
		return 0
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// A certificate of another member is of no use, and that is said at once.
func TestCertificateOfAnother(t *testing.T) {
	authority := newAuthority(t)
	certificate, key := authority.issue(t, "b")
	err := run(t.Context(), []string{
		"-listen=127.0.0.1:0", "-data=" + t.TempDir(), "-peers=a=127.0.0.1:0",
		"-tls-cert", certificate, "-tls-key", key, "-tls-ca", authority.file,
	}, t.Output())
	require.ErrorContains(t, err, `is for ["b"], not for "a"`)
	require.Equal(t, 1, exitStatus(err))
}
