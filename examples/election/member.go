package main

import (
	"cmp"
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport/tcp"
)

// retryWork is how long a leader whose work has failed leaves it to others.
const retryWork = time.Second

// service is a running member.
type service struct {
	*printer
	node    *raft.Node
	carrier *tcp.Transport
	work    work
}

// member runs one member of a cluster until ctx ends.
func member(ctx context.Context, o options, c membership, out *printer) error {
	store, err := o.store()
	if err != nil {
		return err
	}
	security, err := o.tls(c.id)
	if err != nil {
		return err
	}
	if security == nil {
		out.printf("%s: without -tls-cert, -tls-key and -tls-ca anybody can claim to be a member", c.id)
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
		// A state on disk wins over this, so that it may stay set.
		Start:              raft.Bootstrap(0, c.members...),
		ElectionTimeoutMin: o.timeout,
		Store:              store,
		Transport:          carrier,
	})
	if err != nil {
		return err
	}
	s := &service{out, node, carrier, work{name: c.id, register: o.registerAt}}
	if o.journal != "" {
		if s.work.journal, err = os.OpenFile(o.journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return err
		}
		defer func() { _ = s.work.journal.Close() }()
	}
	return s.run(ctx, o.http)
}

// run runs the node and, beside it, what looks at it and what it leads.
func (s *service) run(ctx context.Context, address string) error {
	// What is beside the node ends with the node, which hands over after ctx.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	if address != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		beside.Go(func() { s.serveStatus(running, listener) })
	}
	beside.Go(func() { s.lead(running) })
	var reporting sync.WaitGroup
	defer reporting.Wait() // before stop, so that it prints the end
	reporting.Go(func() { s.report(running) })
	return s.node.Run(ctx)
}

// lead does the leader's work in each reign.
func (s *service) lead(ctx context.Context) {
	for {
		l, err := s.node.Lead(ctx)
		if err != nil {
			return // The node has stopped.
		}
		s.printf("%s: leads with token %d", s.work.name, l.Term())
		if err := s.work.do(l); err != nil {
			s.printf("%s: gives up token %d: %v", s.work.name, l.Term(), err)
			_ = l.Resign(ctx) // It fails if there is nothing to give up any more.
			pause(ctx, retryWork)
			continue
		}
		s.printf("%s: leads no more with token %d: %v", s.work.name, l.Term(), context.Cause(l.Context()))
		l.Release()
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// report prints a line for each change but those that lead reports.
func (s *service) report(ctx context.Context) {
	for now := range s.node.Watch(ctx) {
		switch {
		case now.Stopped:
			s.printf("%s: stopped", now.ID)
		case now.Leading, now.Term == 0: // It leads, or has not begun.
		default:
			s.printf("%s: %v in term %d, leader %s, configuration %v", now.ID, now.Role, now.Term,
				cmp.Or(now.Leader, "unknown"), now.Configuration.ConfigurationID)
		}
	}
}
