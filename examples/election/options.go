package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rads-project/constellation/raft"
)

// options are the flags of a member.
type options struct {
	id, listen, peers, data, http string
	tlsCert, tlsKey, tlsCA        string
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.id, "id", "", "name of this member (default: the one in -peers with the address of -listen)")
	flags.StringVar(&o.listen, "listen", "", "address for the other members; without it, a demonstration runs")
	flags.StringVar(&o.peers, "peers", "", "all members, name=address,…")
	flags.StringVar(&o.data, "data", "", "directory for the state of this member")
	flags.StringVar(&o.http, "http", "", "address to answer GET /status on (default: none)")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "file with this member's certificate, in PEM")
	flags.StringVar(&o.tlsKey, "tls-key", "", "file with its key")
	flags.StringVar(&o.tlsCA, "tls-ca", "", "file with the authorities that sign members' certificates")
}

// cluster is what the options say about the members.
type cluster struct {
	id      string
	members []raft.Member
	others  map[string]string // addresses by name
}

func (o *options) cluster() (cluster, error) {
	c := cluster{id: o.id, others: make(map[string]string)}
	for entry := range strings.SplitSeq(o.peers, ",") {
		name, address, found := strings.Cut(entry, "=")
		if !found {
			return cluster{}, fmt.Errorf("-peers: %q is not name=address", entry)
		}
		if c.id == "" && address == o.listen {
			c.id = name
		}
		c.members = append(c.members, raft.Member{ID: name, Voter: true, Data: address})
		c.others[name] = address
	}
	if _, found := c.others[c.id]; !found {
		return cluster{}, fmt.Errorf("-peers does not name this member, by the name %q or the address %s", o.id, o.listen)
	}
	delete(c.others, c.id)
	return c, nil
}

// store returns the store in the data directory, which it makes.
func (o *options) store() (raft.Store, error) {
	if o.data == "" {
		return nil, errors.New("-data is missing")
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return nil, err
	}
	return &raft.FileStore{Path: filepath.Join(o.data, "raft")}, nil
}

// tls returns mutual TLS, nil if no flag asks for it.
func (o *options) tls() (*tls.Config, error) {
	if o.tlsCert == "" && o.tlsKey == "" && o.tlsCA == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(o.tlsCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("no certificate in %s", o.tlsCA)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		RootCAs:      pool, ClientCAs: pool,
		MinVersion: tls.VersionTLS13,
	}, nil
}
