package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport/tcp"
)

// Config says what member of what cluster to run. Name, Peers and Witnesses are
// the same on all members.
type Config struct {
	// Name is the cluster's name, 1 to 64 bytes. Required.
	Name string
	// ID is this member's name, one of Peers. Required.
	ID string
	// Peers are the addresses of all members by name, this one included:
	// "host:port", as the others reach it. At most 32. Required.
	Peers map[string]string
	// Witnesses names those of Peers that vote and never lead, see raft.Member.
	Witnesses []string
	// Dir is the folder with this member's state, on a local disk. It is made if
	// there is none. Two members do not share one. Required.
	Dir string
	// TLS are the files for mutual TLS. The certificate has ID among its DNS names.
	TLS tcp.TLSFiles
	// Insecure allows TLS to be zero: names are not authenticated, and traffic is
	// readable.
	Insecure bool
	// Listen is the address to listen on, for instance ":7000". Empty: this member's
	// in Peers.
	Listen string

	// Machine is what the member drives with the committed commands of a replicated
	// log, which it keeps in the folder "log" of Dir: all members have one, or none.
	// Nil: the cluster elects and keeps no log.
	Machine raft.Machine

	// Join is for a member that is added to a cluster that runs: without a stored
	// state it waits until a leader has added it. Otherwise it begins a new cluster
	// of Peers, as all of them do.
	Join bool
	// MinTerm has a new cluster begin above the tokens of an earlier one.
	MinTerm uint64
	// ElectionTimeout is the minimal election timeout: a leader that is lost is
	// replaced after once to twice as long, and one that is paused or cut off for
	// less leads on. Zero: 150 ms, which suits an idle network and machines that are
	// not shared; see raft.Config.
	ElectionTimeout time.Duration
	// Healthy is that of raft.Config.
	Healthy func() error
	// Logger gets what raft.Config and tcp.Config say. Nil: nothing is logged.
	Logger *slog.Logger
}

// members returns what the cluster begins with.
func (c *Config) members() []raft.Member {
	var members []raft.Member
	for _, id := range slices.Sorted(maps.Keys(c.Peers)) {
		members = append(members, raft.Member{ID: id, Voter: true, Witness: slices.Contains(c.Witnesses, id)})
	}
	return members
}

// validate reports what neither package raft nor package tcp would.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{raft.ErrConfig}, args...)...))
	}
	if _, found := c.Peers[c.ID]; !found {
		bad("member %q is not among Peers", c.ID)
	}
	for _, id := range c.Witnesses {
		if _, found := c.Peers[id]; !found {
			bad("witness %q is not among Peers", id)
		}
	}
	if c.Dir == "" {
		bad("Dir is missing")
	}
	switch secure := c.TLS != (tcp.TLSFiles{}); {
	case !secure && !c.Insecure:
		bad("neither TLS nor Insecure: names would not be authenticated")
	case secure && c.Insecure:
		bad("both TLS and Insecure")
	}
	return errors.Join(errs...)
}

// start says how a member without a stored state begins.
func (c *Config) start() raft.Start {
	if c.Join {
		return raft.Join()
	}
	return raft.Bootstrap(c.MinTerm, c.members()...)
}

// security reads the TLS files, if they are given.
func (c *Config) security() (*tls.Config, error) {
	if c.TLS == (tcp.TLSFiles{}) {
		return nil, nil
	}
	return c.TLS.Config(c.ID)
}
