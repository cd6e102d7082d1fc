package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The demonstration tells this story, whoever wins.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), nil, &out, io.Discard))
		story := regexp.MustCompile(`(?s)leads with term 1\n` +
			`.*--- . is killed\n.*leads with term 2\n` +
			`.*--- . hands over to .\n.*leads no more.*leads with term 3\n` +
			`.*--- . is cut off from the others\n.*leads no more.*leads with term 4\n` +
			`.*--- the cut is mended\n.*follows .*the end\n`)
		require.Regexp(t, story, out.String())
	})
}

func TestDemoInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, run(ctx, nil, io.Discard, io.Discard), context.DeadlineExceeded)
	})
}

func TestMistakes(t *testing.T) {
	listen := []string{"-listen", "127.0.0.1:0"}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-nonsense"}, "not defined"},
		{"no peers", listen, "is not name=address"},
		{"peers without addresses", append(listen, "-peers", "a,b"), `"a" is not name=address`},
		{"not among them", append(listen, "-peers", "a=x:1"), "does not name this member"},
		{"no directory", append(listen, "-peers", "a=x:1", "-id", "a"), "-data is missing"},
		{"half of TLS", append(listen, "-peers", "a=x:1", "-id", "a", "-data", t.TempDir(), "-tls-ca", "x"), "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, run(t.Context(), tt.args, io.Discard, io.Discard), tt.want)
		})
	}
	require.NoError(t, run(t.Context(), []string{"-help"}, io.Discard, io.Discard))
}

// Three members over TCP with TLS. The leader ends and hands over.
func TestMembers(t *testing.T) {
	certificates := newAuthority(t)
	raftAddresses, statusAddresses := freeAddresses(t, 3), freeAddresses(t, 3)
	names := []string{"a", "b", "c"}
	peers := make([]string, len(names))
	for i, name := range names {
		peers[i] = name + "=" + raftAddresses[i]
	}
	stop := make(map[string]func() error)
	directories := make([]string, len(names))
	for i := range directories {
		directories[i] = filepath.Join(t.TempDir(), "state")
	}
	led := make(chan string, 10)
	for i, name := range names {
		certificate, key := certificates.issue(t, name)
		ctx, cancel := context.WithCancel(t.Context())
		reader, writer := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			err := run(ctx, []string{
				"-listen", raftAddresses[i], "-peers", strings.Join(peers, ","),
				"-data", directories[i], "-http", statusAddresses[i],
				"-tls-cert", certificate, "-tls-key", key, "-tls-ca", certificates.file,
			}, writer, io.Discard)
			_ = writer.Close()
			ended <- err
		}()
		go func() {
			for lines := bufio.NewScanner(reader); lines.Scan(); {
				if strings.Contains(lines.Text(), "this node leads with token") {
					led <- name
				}
			}
		}()
		stop[name] = func() error { cancel(); return <-ended }
	}
	first := <-led
	require.NoError(t, stop[first]())
	for second := first; second == first; {
		second = <-led
	}
	for i, name := range names {
		if name == first {
			continue
		}
		s := fetch(t, statusAddresses[i])
		require.Equal(t, name, s.ID)
		require.NotZero(t, s.Term)
		require.Len(t, s.Members, 3)
	}
	for _, name := range names {
		if name != first {
			require.NoError(t, stop[name]())
		}
	}
}

// freeAddresses returns addresses that nobody listens on.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		addresses[i] = listener.Addr().String()
	}
	return addresses
}

func fetch(t *testing.T, address string) status {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/status", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var s status
	require.NoError(t, json.NewDecoder(response.Body).Decode(&s))
	return s
}

// authority signs the certificates of members.
type authority struct {
	file        string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	require.NoError(t, err)
	a := authority{certificate: certificate, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue returns files with a certificate for a member, and its key.
func (a authority) issue(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certificate, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", encoded)
	return certificate, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
