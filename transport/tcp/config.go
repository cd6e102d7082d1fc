package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/wire"
)

// DefaultMaxPending is how many connections may be introducing themselves at
// once unless [Config.MaxPending] says otherwise.
const DefaultMaxPending = 64

const (
	// dialTimeout bounds the making of a connection, introduceTimeout the
	// introduction on it, TLS included.
	dialTimeout      = time.Second
	introduceTimeout = 2 * time.Second
	// writeTimeout is how long a peer may take to accept a write.
	writeTimeout = time.Second
	// pingInterval is the time between pings. A side that hears nothing for
	// idleTimeout gives the connection up. It is short because after a cut a
	// new connection is faster than what TCP sends again on the old one.
	pingInterval = 500 * time.Millisecond
	idleTimeout  = 4 * pingInterval
	// batchSize is how many bytes of frames are written at once.
	batchSize = 32 << 10
)

// Config configures a [Transport].
type Config struct {
	// Cluster is the name of the cluster. Required; at most 255 bytes, as all
	// names.
	Cluster string
	// Name is this member's own name. Required.
	Name string
	// Listener is where peers connect to. Required; Serve closes it, so close
	// it yourself if Serve is never called, for instance because a node's store
	// is locked. It must be a plain listener whose connections tell their
	// RemoteAddr at once; TLS is added by the transport.
	Listener net.Listener
	// Peers are the addresses of the other members, by name: "host:port" with
	// the port as a number, unless Dial reads them otherwise.
	// [Transport.SetPeer] adds and changes them at run time. A connection
	// from a name that is not among them is refused, so make a new member
	// known to all before it joins the cluster.
	Peers map[string]string
	// TLS is mutual TLS for all connections, at least version 1.3: the
	// member's certificate and the authorities (RootCAs, ClientCAs; either
	// stands for both). The certificate comes from Certificates or
	// GetCertificate, which serves outgoing connections too, unless
	// GetClientCertificate is set: for those its argument has only the
	// member's own name as ServerName, SignatureSchemes and
	// SupportedVersions. The transport sets ServerName and ClientAuth. It is
	// copied.
	TLS *tls.Config
	// Insecure allows TLS to be nil: names are not authenticated.
	Insecure bool
	// MaxFrame is the longest frame in bytes. It must be the same on all
	// members. Zero is [transport.DefaultMaxFrame].
	MaxFrame int
	// MaxPending is how many accepted connections may be introducing
	// themselves at once. If there are more, the address with the most of them
	// loses its oldest one, so choose it greater than the number of addresses
	// that members connect from at once. Zero is [DefaultMaxPending].
	MaxPending int
	// Dial makes the connections. Nil is that of a [net.Dialer]. Its context
	// ends after a second. With a Dial of your own, addresses are whatever it
	// understands; New and SetPeer then refuse only empty ones.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger gets a line when a peer is connected and when it is lost, when frames for
	// a peer begin to be dropped and when that ends, and when a connection is refused,
	// for each reason once a minute. scheduler/LOGS.md lists them. Nil: nothing is logged.
	Logger *slog.Logger
}

// validate reports everything that is wrong with c, joined.
func (c *Config) validate() error {
	errs := []error{
		wire.CheckName("cluster", c.Cluster),
		wire.CheckName("member", c.Name),
	}
	if c.Listener == nil {
		errs = append(errs, errors.New("tcp: no listener"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Peers)) {
		errs = append(errs, c.validatePeer(name, c.Peers[name]))
	}
	if c.MaxFrame < 0 || c.MaxFrame > wire.MaxLimit {
		errs = append(errs, fmt.Errorf("tcp: MaxFrame %d is not between 0 and %d", c.MaxFrame, wire.MaxLimit))
	}
	if c.MaxPending < 0 {
		errs = append(errs, fmt.Errorf("tcp: negative MaxPending %d", c.MaxPending))
	}
	switch {
	case c.TLS == nil && !c.Insecure:
		errs = append(errs, errors.New("tcp: neither TLS nor Insecure: names would not be authenticated"))
	case c.TLS != nil && c.Insecure:
		errs = append(errs, errors.New("tcp: both TLS and Insecure"))
	case c.TLS != nil:
		errs = append(errs, validateTLS(c.TLS))
	}
	return errors.Join(errs...)
}

func (c *Config) validatePeer(name, address string) error {
	if err := wire.CheckName("peer", name); err != nil {
		return err
	}
	if name == c.Name {
		return fmt.Errorf("tcp: %q is this member itself", name)
	}
	if address == "" {
		return fmt.Errorf("tcp: peer %q has no address", name)
	}
	if c.Dial != nil {
		return nil // It says what an address is.
	}
	if err := checkAddress(address); err != nil {
		return fmt.Errorf("tcp: peer %q: %w", name, err)
	}
	return nil
}

// checkAddress reports an address that a [net.Dialer] could never connect to.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "" {
		return fmt.Errorf("address %q has no host", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: the port is not between 1 and 65535", address)
	}
	return nil
}

// withDefaults returns c with zero values replaced by what they stand for.
func (c Config) withDefaults() Config {
	if c.MaxFrame == 0 {
		c.MaxFrame = transport.DefaultMaxFrame
	}
	if c.MaxPending == 0 {
		c.MaxPending = DefaultMaxPending
	}
	return c
}

// dial connects to address.
func (c *Config) dial(ctx context.Context, address string) (net.Conn, error) {
	if c.Dial == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return c.Dial(ctx, "tcp", address)
}
