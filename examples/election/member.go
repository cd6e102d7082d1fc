package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport/tcp"
)

// member runs one member of a cluster until ctx ends.
func member(ctx context.Context, o options, p *printer) error {
	c, err := o.cluster()
	if err != nil {
		return err
	}
	store, err := o.store()
	if err != nil {
		return err
	}
	security, err := o.tls()
	if err != nil {
		return err
	}
	if security == nil {
		p.printf("warning: without -tls-cert, -tls-key and -tls-ca anybody can claim to be a member")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve has, unless it never began.
	carrier, err := tcp.New(tcp.Config{
		Cluster: "election", Name: c.id, Listener: listener, Peers: c.others,
		TLS: security, Insecure: security == nil,
	})
	if err != nil {
		return err
	}
	node, err := raft.New(raft.Config{
		Cluster: "election", ID: c.id,
		// A state on disk wins over this, so that it may stay for ever.
		Start:     raft.Bootstrap(0, c.members...),
		Store:     store,
		Transport: carrier,
	})
	if err != nil {
		return err
	}
	return runMember(ctx, node, o.http, p)
}

// runMember runs the node and, beside it, what looks at it.
func runMember(ctx context.Context, node *raft.Node, address string, p *printer) error {
	ctx, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	if address != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		beside.Go(func() { serveStatus(ctx, listener, node) })
	}
	beside.Go(func() { report(ctx, node, p) })
	beside.Go(func() { lead(ctx, node, p) })
	return node.Run(ctx)
}

// lead is the work that only the leader does.
func lead(ctx context.Context, node *raft.Node, p *printer) {
	_ = node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
		p.printf("this node leads with token %d", token)
		<-ctx.Done()
		p.printf("this node leads no more: %v", context.Cause(ctx))
		return nil
	}) // It ends with the node.
}

// report prints a line for each change.
func report(ctx context.Context, node *raft.Node, p *printer) {
	for s := range node.Watch(context.WithoutCancel(ctx)) { // until the node has stopped
		if s.Stopped {
			p.printf("%s: stopped", s.ID)
			return
		}
		leader := s.Leader
		if leader == "" {
			leader = "unknown"
		}
		p.printf("%s: %v, term %d, leader %s, configuration %v", s.ID, s.Role, s.Term, leader, s.Configuration.ConfigurationID)
	}
}

// status is the answer to GET /status.
type status struct {
	ID            string        `json:"id"`
	Role          string        `json:"role"`
	Term          uint64        `json:"term"`
	Leader        string        `json:"leader,omitempty"`
	LeaderAddress string        `json:"leaderAddress,omitempty"`
	Leading       bool          `json:"leading"`
	LeaseMillis   int64         `json:"leaseMillis"`
	Configuration string        `json:"configuration"`
	Members       []raft.Member `json:"members"`
	Counters      raft.Counters `json:"counters"`
	Traffic       raft.Traffic  `json:"traffic"`
}

func newStatus(s raft.Status) status {
	leader, _ := s.Configuration.Member(s.Leader)
	return status{
		ID: s.ID, Role: s.Role.String(), Term: s.Term,
		Leader: s.Leader, LeaderAddress: leader.Data,
		Leading: s.Leading, LeaseMillis: s.Lease.Milliseconds(),
		Configuration: s.Configuration.String(), Members: s.Configuration.Members,
		Counters: s.Counters, Traffic: s.Traffic,
	}
}

// serveStatus answers GET /status until ctx ends.
func serveStatus(ctx context.Context, listener net.Listener, node *raft.Node) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(newStatus(node.Status())) // The client has gone.
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		_ = listener.Close()
	}
}
