package httptransport

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Certificate is a [Config.Authenticate] for servers with mutual TLS: the
// sender is the name that the request claims, if it is one of the DNS names
// in the verified client certificate, letter for letter; wildcards do not
// count. The server's TLS configuration must have ClientCAs with the
// cluster's authorities only, and the ClientAuth RequireAndVerifyClientCert
// or VerifyClientCertIfGiven.
func Certificate(r *http.Request) (string, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", errors.New("httptransport: no verified client certificate")
	}
	name, err := url.QueryUnescape(r.Header.Get(headerFrom))
	if err != nil {
		return "", fmt.Errorf("httptransport: sender: %w", err)
	}
	if names := r.TLS.VerifiedChains[0][0].DNSNames; !slices.Contains(names, name) {
		return "", fmt.Errorf("httptransport: the certificate names %q, not %q", names, name)
	}
	return name, nil
}
