package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport/tcp"
)

// Node is a member that runs.
type Node struct {
	*raft.Node
	// Transport carries the member's messages. SetPeer makes a new member, or a new
	// address, known to it.
	Transport *tcp.Transport
}

// Run takes part in the cluster, and runs serve beside that, until ctx ends: then a
// leader hands over, serve is waited for, and Run returns nil. A nil serve is none.
//
// The ctx of serve ends with ctx, or with the node if that fails first; what serve
// returns then does not matter if it only tells of that end. If serve returns
// before, the member ends as well, with a hand-over, and Run returns what serve
// has.
//
// Otherwise Run fails with what is wrong with cfg, all at once, as raft.ErrConfig
// or as an error of package tcp, with what hinders it to use the files or to
// listen, or as raft.Node.Run does. The state is in the file "raft" of cfg.Dir, and
// the log, if there is one, in the folder "log".
func Run(ctx context.Context, cfg Config, serve func(ctx context.Context, node *Node) error) error {
	node, listener, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // The transport has, unless the node did not get to it.
	running, stop := context.WithCancel(ctx)
	defer stop()
	serving, end := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	var served error
	if serve != nil {
		beside.Go(func() {
			defer stop()
			served = unlessEcho(serving, serve(serving, node))
		})
	}
	err = node.Run(running)
	end(cmp.Or(err, raft.ErrStopped))
	beside.Wait()
	if err == nil {
		return served
	}
	return errors.Join(err, served)
}

// unlessEcho returns err, or nil if that only tells that ctx has ended.
func unlessEcho(ctx context.Context, err error) error {
	ended := ctx.Err()
	if ended != nil && (errors.Is(err, ended) || errors.Is(err, context.Cause(ctx)) || errors.Is(err, raft.ErrStopped)) {
		return nil
	}
	return err
}

// open makes a member that does not run yet, and the listener that it will use.
func open(ctx context.Context, cfg Config) (*Node, net.Listener, error) {
	security, err := cfg.security()
	if err := errors.Join(cfg.validate(), err); err != nil {
		return nil, nil, err
	}
	log, err := cfg.makeFolders()
	if err != nil {
		return nil, nil, err
	}
	own := cfg.Peers[cfg.ID]
	others := maps.Clone(cfg.Peers)
	delete(others, cfg.ID)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(cfg.Listen, own))
	if err != nil {
		return nil, nil, err
	}
	carrier, carrierErr := tcp.New(tcp.Config{
		Cluster: cfg.Name, Name: cfg.ID, Listener: listener, Peers: others, TLS: security, Insecure: cfg.Insecure,
		Logger: cfg.Logger,
	})
	node, nodeErr := raft.New(raft.Config{
		Cluster: cfg.Name, ID: cfg.ID, Start: cfg.start(),
		ElectionTimeoutMin: cfg.ElectionTimeout, Healthy: cfg.Healthy, Logger: cfg.Logger,
		Store: &raft.FileStore{Path: filepath.Join(cfg.Dir, "raft")}, Log: log, Machine: cfg.Machine, Transport: carrier,
	})
	if err := errors.Join(carrierErr, nodeErr); err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	return &Node{node, carrier}, listener, nil
}

// makeFolders makes the folders of a member, and returns the log in one of them; nil
// without a machine.
func (c *Config) makeFolders() (raft.Log, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil || c.Machine == nil {
		return nil, err
	}
	log := &raft.FileLog{Dir: filepath.Join(c.Dir, "log")}
	if err := os.MkdirAll(log.Dir, 0o700); err != nil {
		return nil, err
	}
	return log, nil
}
