package tcp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
)

// TLSFiles are PEM files for mutual TLS: the member's certificate with the
// intermediate ones, its key, and the authorities that sign the certificates of
// members.
type TLSFiles struct {
	Certificate, Key, Authorities string
}

// Config returns mutual TLS for the member name, for [Config.TLS]. It fails if a
// file cannot be used, or if the certificate does not name the member.
//
// Each handshake looks at the certificate and reads it and its key again if it has
// changed, so that the two are replaced without a restart. It shows the pair that
// was read last for as long as the new one cannot be used: it is half written, the
// two do not fit together, or it does not name the member. The authorities are read
// once. A handshake costs a call of [os.Stat], and a reading where that tells of a
// change.
func (f TLSFiles) Config(name string) (*tls.Config, error) {
	pool, poolErr := f.authorities()
	pair := &keyPair{files: f, member: name}
	if err := errors.Join(poolErr, pair.refresh()); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    pool, ClientCAs: pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			_ = pair.refresh() // Else the last good pair stays.
			return &pair.shown.Load().certificate, nil
		},
	}, nil
}

// authorities reads the authorities.
func (f TLSFiles) authorities() (*x509.CertPool, error) {
	text, err := os.ReadFile(f.Authorities)
	if err != nil {
		return nil, fmt.Errorf("tcp: authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tcp: no certificate in %s", f.Authorities)
	}
	return pool, nil
}

// keyPair is a member's certificate and key as read last.
type keyPair struct {
	files  TLSFiles
	member string
	shown  atomic.Pointer[shownPair] // nil until there is one
}

// shownPair is a pair that can be used, and what the certificate's file was like
// before it was read. Nothing becomes usable by another key alone.
type shownPair struct {
	certificate tls.Certificate
	file        os.FileInfo
}

// refresh reads the pair if the certificate is not that which was read last.
func (p *keyPair) refresh() error {
	var next shownPair
	var err error
	if next.file, err = os.Stat(p.files.Certificate); err != nil {
		return fmt.Errorf("tcp: certificate and key: %w", err)
	}
	if last := p.shown.Load(); last != nil && isSameFile(last.file, next.file) {
		return nil
	}
	if next.certificate, err = tls.LoadX509KeyPair(p.files.Certificate, p.files.Key); err != nil {
		return fmt.Errorf("tcp: certificate and key: %w", err)
	}
	if names := next.certificate.Leaf.DNSNames; !slices.Contains(names, p.member) {
		return fmt.Errorf("tcp: the certificate in %s is for %q, not for %q", p.files.Certificate, names, p.member)
	}
	p.shown.Store(&next)
	return nil
}

// isSameFile reports whether a file was neither replaced nor written to.
func isSameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
