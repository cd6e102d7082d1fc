package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport/tcp"
)

// options are the flags of a member.
type options struct {
	id, listen, peers, data, http string
	timeout                       time.Duration
	tlsCert, tlsKey, tlsCA        string
	journal, registerAt           string
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.id, "id", "", "`name` of this member (default: the one in -peers with the address of -listen)")
	flags.StringVar(&o.listen, "listen", "", "`address` to listen on for the other members")
	flags.StringVar(&o.peers, "peers", "", "all members, as `name=address,...`")
	flags.StringVar(&o.data, "data", "", "`directory` for the state of this member")
	flags.StringVar(&o.http, "http", "", "`address` to answer GET /status on (default: none)")
	flags.DurationVar(&o.timeout, "timeout", 300*time.Millisecond, "minimal election timeout; the maximal one is twice that")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "PEM `file` with this member's certificate")
	flags.StringVar(&o.tlsKey, "tls-key", "", "PEM `file` with its key")
	flags.StringVar(&o.tlsCA, "tls-ca", "", "PEM `file` with the authorities that sign members' certificates")
	flags.StringVar(&o.journal, "journal", "", "`file` that the leader appends to (default: none)")
	flags.StringVar(&o.registerAt, "register", "", "`address`, or path of a socket, of a register that the leader writes to (default: none)")
}

// membership is what the options say about the members.
type membership struct {
	id      string
	members []raft.Member
	others  map[string]string // addresses by name
}

// membership checks all options but the contents of files, and reports everything
// that is wrong.
func (o *options) membership() (membership, error) {
	var errs []error
	for _, required := range []struct{ name, value string }{
		{"-listen", o.listen}, {"-peers", o.peers}, {"-data", o.data},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", required.name))
		}
	}
	for _, given := range []struct{ name, value string }{{"-listen", o.listen}, {"-http", o.http}} {
		if given.value != "" {
			errs = append(errs, checkAddress(given.name, given.value))
		}
	}
	if o.timeout <= 0 {
		errs = append(errs, fmt.Errorf("-timeout %v is not above 0", o.timeout))
	}
	if given := o.secure(); given && (o.tlsCert == "" || o.tlsKey == "" || o.tlsCA == "") {
		errs = append(errs, errors.New("-tls-cert, -tls-key and -tls-ca go together"))
	}
	c := membership{id: o.id, others: make(map[string]string)}
	if o.peers != "" {
		errs = append(errs, c.parse(o.peers, o.listen))
	}
	return c, errors.Join(errs...)
}

// parse takes in the members. If this one's name is not known yet, it is the one
// that listens there.
func (c *membership) parse(peers, listen string) error {
	for entry := range strings.SplitSeq(peers, ",") {
		name, address, found := strings.Cut(entry, "=")
		if !found {
			return fmt.Errorf("-peers: %q is not name=address", entry)
		}
		if err := checkAddress("-peers", address); err != nil {
			return err
		}
		if c.id == "" && address == listen {
			c.id = name
		}
		c.members = append(c.members, raft.Member{ID: name, Voter: true, Data: address})
		c.others[name] = address
	}
	if _, err := raft.NewConfiguration(c.members...); err != nil {
		return fmt.Errorf("-peers: %w", err)
	}
	if _, found := c.others[c.id]; !found {
		return fmt.Errorf("-peers does not name this member, by -id %q or by -listen %s", c.id, listen)
	}
	delete(c.others, c.id)
	return nil
}

// checkAddress checks that the flag's value has a host and a port.
func checkAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// store returns the store in the data directory, which it makes.
func (o *options) store() (raft.Store, error) {
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return nil, err
	}
	return &raft.FileStore{Path: filepath.Join(o.data, "raft")}, nil
}

// secure reports whether any flag asks for TLS.
func (o *options) secure() bool { return o.tlsCert != "" || o.tlsKey != "" || o.tlsCA != "" }

// tls returns mutual TLS for the member id, nil if no flag asks for it.
func (o *options) tls(id string) (*tls.Config, error) {
	if !o.secure() {
		return nil, nil
	}
	return tcp.TLSFiles{Certificate: o.tlsCert, Key: o.tlsKey, Authorities: o.tlsCA}.Config(id)
}
