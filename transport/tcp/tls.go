package tcp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

var (
	errCertificate = errors.New("tcp: certificate refused")
	errWrongName   = errors.New("tcp: the certificate names another member")
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

// baseTLS returns what both sides of a connection share. Sessions are never
// resumed: every connection shows a certificate.
func baseTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	c.SessionTicketsDisabled = true
	c.ClientSessionCache = nil
	if c.RootCAs == nil {
		c.RootCAs = c.ClientCAs
	}
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	if get := c.GetCertificate; get != nil && c.GetClientCertificate == nil {
		c.GetClientCertificate = func(req *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return get(&tls.ClientHelloInfo{SignatureSchemes: req.SignatureSchemes, SupportedVersions: []uint16{req.Version}})
		}
	}
	return c
}

// serverTLS returns the configuration for accepted connections. The sender's
// name is not known before its introduction and is checked then.
func serverTLS(c *tls.Config) *tls.Config {
	c = baseTLS(c)
	// A client without a certificate gets past this, so that it is told from
	// garbage; requireCertificate then refuses it.
	c.ClientAuth = tls.VerifyClientCertIfGiven
	c.VerifyConnection = andThen(requireCertificate, c.VerifyConnection)
	return c
}

// clientTLS returns the configuration for connections to peer.
func clientTLS(c *tls.Config, peer string) *tls.Config {
	c = baseTLS(c)
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
		if err := host(cs); err != nil {
			return fmt.Errorf("%w: %w", errCertificate, err)
		}
		return nil
	}
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
