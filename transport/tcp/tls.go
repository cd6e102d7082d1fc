package tcp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

var (
	errCertificate   = errors.New("tcp: certificate refused")
	errWrongName     = errors.New("tcp: the certificate names another member")
	errNoCertificate = errors.New("tcp: TLS has no certificate that the peer takes")
)

// validateTLS reports everything in c that would weaken or break the
// authentication of peers.
func validateTLS(c *tls.Config) error {
	var errs []error
	if len(c.Certificates) == 0 && c.GetCertificate == nil {
		errs = append(errs, errors.New("tcp: TLS has neither Certificates nor GetCertificate"))
	}
	if c.RootCAs == nil && c.ClientCAs == nil {
		errs = append(errs, errors.New("tcp: TLS has neither RootCAs nor ClientCAs: any public authority could name members"))
	}
	if c.InsecureSkipVerify {
		errs = append(errs, errors.New("tcp: TLS has InsecureSkipVerify"))
	}
	if c.GetConfigForClient != nil {
		errs = append(errs, errors.New("tcp: TLS has GetConfigForClient, which would replace the checks"))
	}
	if c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS13 {
		errs = append(errs, errors.New("tcp: TLS has a MaxVersion below 1.3"))
	}
	return errors.Join(errs...)
}

// baseTLS returns a copy of c with what both sides of a connection share, for
// the member self. Sessions are never resumed: every connection shows a
// certificate.
func baseTLS(c *tls.Config, self string) *tls.Config {
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	c.SessionTicketsDisabled = true
	if c.RootCAs == nil {
		c.RootCAs = c.ClientCAs
	}
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	if c.GetCertificate != nil && c.GetClientCertificate == nil {
		c.GetClientCertificate = clientCertificate(c.GetCertificate, c.Certificates, self)
	}
	if verify := c.VerifyPeerCertificate; verify != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			if len(raw) == 0 { // requireCertificate refuses it; the host's check need not expect it.
				return nil
			}
			return refusedByHost(verify(raw, chains))
		}
	}
	return c
}

// clientCertificate returns a GetClientCertificate that asks get for the
// certificate of the member self, and where get has none takes the first of
// certificates that will do, as a server does.
func clientCertificate(
	get func(*tls.ClientHelloInfo) (*tls.Certificate, error), certificates []tls.Certificate, self string,
) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(req *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := get(&tls.ClientHelloInfo{
			ServerName:        self,
			SignatureSchemes:  req.SignatureSchemes,
			SupportedVersions: []uint16{req.Version},
		})
		if err != nil || cert != nil {
			return cert, err
		}
		for i := range certificates {
			if req.SupportsCertificate(&certificates[i]) == nil {
				return &certificates[i], nil
			}
		}
		return nil, errNoCertificate
	}
}

// serverTLS returns the configuration for accepted connections. The sender's
// name is not known before its introduction and is checked then.
func serverTLS(base *tls.Config) *tls.Config {
	c := base.Clone()
	// A client without a certificate gets past this, so that it is told from
	// garbage; requireCertificate then refuses it.
	c.ClientAuth = tls.VerifyClientCertIfGiven
	c.VerifyConnection = andThen(requireCertificate, c.VerifyConnection)
	return c
}

// clientTLS returns the configuration for connections to peer.
func clientTLS(base *tls.Config, peer string) *tls.Config {
	c := base.Clone()
	c.ServerName = peer
	c.VerifyConnection = andThen(func(cs tls.ConnectionState) error { return checkName(cs, peer) }, c.VerifyConnection)
	return c
}

// andThen runs ours and then, if there is one, the host's check.
func andThen(ours, host func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	if host == nil {
		return ours
	}
	return func(cs tls.ConnectionState) error {
		if err := ours(cs); err != nil {
			return err
		}
		return refusedByHost(host(cs))
	}
}

// refusedByHost marks what a check of the host says about a certificate.
func refusedByHost(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errCertificate, err)
}

func requireCertificate(cs tls.ConnectionState) error {
	if len(cs.VerifiedChains) == 0 {
		return fmt.Errorf("%w: none of a cluster authority was shown", errCertificate)
	}
	return nil
}

// checkName checks that the verified certificate of the other side names it
// exactly: a wildcard would let its holder be anybody.
func checkName(cs tls.ConnectionState, name string) error {
	if err := requireCertificate(cs); err != nil {
		return err
	}
	if names := cs.VerifiedChains[0][0].DNSNames; !slices.Contains(names, name) {
		return fmt.Errorf("%w: %q, not %q", errWrongName, names, name)
	}
	return nil
}

// isCertificateError tells a handshake that failed over a certificate from
// one that was garbled or cut short.
func isCertificateError(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification) || errors.Is(err, errCertificate)
}
