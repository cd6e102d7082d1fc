package httptransport

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/wire"
)

const (
	// postTimeout bounds a request that this member makes, bodyTimeout the
	// reading of one that it answers.
	postTimeout = 2 * time.Second
	bodyTimeout = 5 * time.Second
	// batchSize is how many bytes of frames are posted at once.
	batchSize = 256 << 10
	// requestsPerPeer is how many requests of one peer are answered at once:
	// the current one, and one that its client has given up.
	requestsPerPeer = 2
)

// Config configures a [Transport].
type Config struct {
	// Cluster is the name of the cluster. Required; at most 255 bytes, as all
	// names.
	Cluster string
	// Name is this member's own name. Required.
	Name string
	// Peers are the URLs at which the other members have mounted their
	// transports, by name. [Transport.SetPeer] adds and changes them at run
	// time. A request from a name that is not among them is refused, so make
	// a new member known to all before it joins the cluster.
	Peers map[string]string
	// Client makes the requests. Redirects are not followed. Nil is a client
	// of the transport's own, without a proxy and with the system's
	// authorities, whose connections end with Serve.
	Client *http.Client
	// Authenticate returns the name of the member that has sent a request, or
	// an error if it cannot tell. It is called for every request, before
	// anything is answered, concurrently on the server's goroutines. It must
	// not read the body. Required, unless Insecure is set.
	Authenticate func(*http.Request) (name string, err error)
	// Insecure allows Authenticate to be nil: requests are believed. Use it
	// within one machine or where the network authenticates by itself.
	Insecure bool
	// MaxFrame is the longest frame in bytes. It must be the same on all
	// members. Zero is [transport.DefaultMaxFrame].
	MaxFrame int
	// Logger gets a line when a peer is connected and when it is lost, when frames for
	// a peer begin to be dropped and when that ends, and when a request is refused,
	// for each reason once a minute. scheduler/LOGS.md lists them. Nil: nothing is logged.
	Logger *slog.Logger
}

// validate reports everything that is wrong with c, joined.
func (c *Config) validate() error {
	errs := []error{
		wire.CheckName("cluster", c.Cluster),
		wire.CheckName("member", c.Name),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Peers)) {
		errs = append(errs, c.validatePeer(name, c.Peers[name]))
	}
	if c.MaxFrame < 0 || c.MaxFrame > wire.MaxLimit {
		errs = append(errs, fmt.Errorf("httptransport: MaxFrame %d is not between 0 and %d", c.MaxFrame, wire.MaxLimit))
	}
	if c.Authenticate == nil && !c.Insecure {
		errs = append(errs, errors.New("httptransport: neither Authenticate nor Insecure: names would not be authenticated"))
	}
	if c.Authenticate != nil && c.Insecure {
		errs = append(errs, errors.New("httptransport: both Authenticate and Insecure"))
	}
	return errors.Join(errs...)
}

func (c *Config) validatePeer(name, address string) error {
	if err := wire.CheckName("peer", name); err != nil {
		return err
	}
	if name == c.Name {
		return fmt.Errorf("httptransport: %q is this member itself", name)
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("httptransport: peer %q: %w", name, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("httptransport: peer %q: %q is not a URL of http or https", name, address)
	}
	return nil
}

// withDefaults returns c with zero values replaced by what they stand for.
func (c Config) withDefaults() Config {
	if c.MaxFrame == 0 {
		c.MaxFrame = transport.DefaultMaxFrame
	}
	return c
}

// bodyLimit is the longest body of a request.
func (c *Config) bodyLimit() int { return max(batchSize, wire.Overhead+c.MaxFrame) }

// newClient returns the client to use, and what ends its connections.
func (c *Config) newClient() (*http.Client, func()) {
	client, end := &http.Client{}, func() {}
	if c.Client != nil {
		*client = *c.Client
	} else {
		t := &http.Transport{
			DialContext:            (&net.Dialer{Timeout: time.Second}).DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			TLSHandshakeTimeout:    postTimeout,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 16 << 10,
		}
		client.Transport, end = t, t.CloseIdleConnections
	}
	// A redirect would carry frames to a server that is not the peer's.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, end
}
