package tcp_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport/tcp"
)

// writeFiles writes the files of a member, whose certificate has that serial
// number, into a new folder.
func writeFiles(t *testing.T, ca *testcert.Authority, serial int64, name string) tcp.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, ca.WriteFiles(dir, serial, name))
	return tcp.TLSFiles{
		Certificate: filepath.Join(dir, "tls.crt"),
		Key:         filepath.Join(dir, "tls.key"),
		Authorities: filepath.Join(dir, "ca.crt"),
	}
}

// shown returns the serial number of the certificate that the next handshake
// shows.
func shown(t *testing.T, c *tls.Config) int64 {
	t.Helper()
	certificate, err := c.GetCertificate(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	return certificate.Leaf.SerialNumber.Int64()
}

// A handshake shows a pair that has replaced the one before, also where the new
// files have the time of the old ones, and the last good one while the new pair is
// not whole, is gone, or is another member's.
func TestTLSFilesAreReadAgain(t *testing.T) {
	ca := newAuthority(t)
	f := writeFiles(t, ca, 1, "a")
	c, err := f.Config("a")
	require.NoError(t, err)
	require.EqualValues(t, 1, shown(t, c))

	replace := func(path, by string) {
		t.Helper()
		if old, err := os.Stat(path); err == nil {
			require.NoError(t, os.Chtimes(by, time.Time{}, old.ModTime()))
		}
		require.NoError(t, os.Rename(by, path))
	}
	next := writeFiles(t, ca, 2, "a")
	replace(f.Certificate, next.Certificate)
	require.EqualValues(t, 1, shown(t, c), "its key is not there yet")
	replace(f.Key, next.Key)
	require.EqualValues(t, 2, shown(t, c))

	other := writeFiles(t, ca, 3, "b")
	replace(f.Certificate, other.Certificate)
	replace(f.Key, other.Key)
	require.EqualValues(t, 2, shown(t, c), "it is for another member")
	require.NoError(t, os.Remove(f.Certificate))
	require.EqualValues(t, 2, shown(t, c))
	require.NoError(t, os.WriteFile(f.Certificate, nil, 0o600))
	require.EqualValues(t, 2, shown(t, c))

	last := writeFiles(t, ca, 4, "a")
	replace(f.Certificate, last.Certificate)
	replace(f.Key, last.Key)
	require.EqualValues(t, 4, shown(t, c))
}

// While the files stay as they are, nothing is read: the very same certificate is
// shown.
func TestUnchangedTLSFilesAreNotRead(t *testing.T) {
	c, err := writeFiles(t, newAuthority(t), 1, "a").Config("a")
	require.NoError(t, err)
	first, err := c.GetCertificate(nil)
	require.NoError(t, err)
	second, err := c.GetCertificate(nil)
	require.NoError(t, err)
	require.Same(t, first, second)
}

// Everything that is wrong with the files is reported at once, each by its name.
func TestUnusableTLSFiles(t *testing.T) {
	f := writeFiles(t, newAuthority(t), 1, "a")
	_, err := f.Config("b")
	require.ErrorContains(t, err, `is for ["a"], not for "b"`)

	require.NoError(t, os.WriteFile(f.Authorities, []byte("nothing"), 0o600))
	require.NoError(t, os.Remove(f.Key))
	_, err = f.Config("a")
	require.ErrorContains(t, err, "no certificate in "+f.Authorities)
	require.ErrorContains(t, err, f.Key)
	require.ErrorIs(t, err, os.ErrNotExist)

	_, err = tcp.TLSFiles{}.Config("a")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Members with certificates from files exchange frames, also over connections made
// after the files of one were replaced.
func TestMembersWithTLSFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ca := newPipeNet(), newAuthority(t)
		files := writeFiles(t, ca, 1, "a")
		member := func(name, peer string, f tcp.TLSFiles) *tcp.Transport {
			cfg, err := f.Config(name)
			require.NoError(t, err)
			return n.secureMember(t, name, cfg, peer)
		}
		a, b := member("a", "b", files), member("b", "a", writeFiles(t, ca, 2, "b"))
		atA, _ := serve(t, a)
		atB, _ := serve(t, b)
		requireBothWays(t, a, b, atA, atB)

		require.NoError(t, ca.WriteFiles(filepath.Dir(files.Key), 3, "a"))
		require.NoError(t, a.SetPeer("b", "b"))
		require.NoError(t, b.SetPeer("a", "a"))
		time.Sleep(time.Second)
		requireBothWays(t, a, b, atA, atB)
	})
}
