package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// show is three nodes in one process, and the network between them.
type show struct {
	*printer
	network *transport.Memory
	members []raft.Member
	nodes   map[string]*process
	running sync.WaitGroup
}

// process stands for a process with one node: its store outlives it.
type process struct {
	*raft.Node
	store *raft.MemoryStore
	kill  func() // ends the node at once and waits for that
}

// demo runs the show. Nodes that are told to end hand over if they lead.
func demo(ctx context.Context, p *printer) error {
	ctx, stop := context.WithCancel(ctx)
	network, err := transport.NewMemory(transport.MemoryConfig{
		Faults: transport.Faults{LatencyMin: 150 * time.Microsecond, LatencyMax: 350 * time.Microsecond},
	})
	if err != nil {
		stop()
		return err
	}
	s := &show{printer: p, network: network, nodes: make(map[string]*process)}
	defer s.running.Wait()
	defer stop()
	for _, id := range []string{"a", "b", "c"} {
		s.members = append(s.members, raft.Member{ID: id, Voter: true})
		s.nodes[id] = &process{store: new(raft.MemoryStore)}
	}
	for _, m := range s.members {
		if err := s.start(ctx, m.ID); err != nil {
			return err
		}
	}
	for _, act := range []func(context.Context) error{s.killLeader, s.handOver, s.cutLeaderOff} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	s.printf("the end")
	return nil
}

// start starts a node that does not run.
func (s *show) start(ctx context.Context, id string) error {
	p := s.nodes[id]
	endpoint, err := s.network.Join(id)
	if err != nil {
		return err
	}
	killed, ended := make(chan struct{}), make(chan struct{})
	start := s.printer.start
	// A clock of its own lets the show run in virtual time, in the test. A
	// service calls raft.New.
	p.Node, err = raft.NewWithClock(raft.Config{
		Cluster: "demo", ID: id,
		Start:     raft.Bootstrap(0, s.members...),
		Store:     p.store,
		Transport: mortal{endpoint, killed},
	}, func() time.Duration { return time.Since(start) })
	if err != nil {
		return err
	}
	p.kill = func() { close(killed); <-ended }
	node := p.Node
	s.running.Go(func() {
		defer close(ended)
		if err := node.Run(ctx); err != nil && !errors.Is(err, errKilled) {
			s.printf("%s has ended: %v", id, err)
		}
	})
	s.running.Go(func() { s.lead(ctx, id, node) })
	return nil
}

// lead is the work that only the leader does.
func (s *show) lead(ctx context.Context, id string, node *raft.Node) {
	_ = node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
		s.printf("%s leads with term %d", id, token)
		<-ctx.Done()
		s.printf("%s leads no more: %v", id, context.Cause(ctx))
		return nil
	}) // It ends with the node.
}

// killLeader ends the leader without a hand-over. The others notice after an
// election timeout.
func (s *show) killLeader(ctx context.Context) error {
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	s.printf("--- %s is killed", leader)
	s.nodes[leader].kill()
	if _, err := s.leader(ctx); err != nil {
		return err
	}
	s.printf("--- %s is started again", leader)
	return s.start(ctx, leader)
}

// handOver passes the lead on, which takes no election timeout.
func (s *show) handOver(ctx context.Context) error {
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	target := s.other(leader)
	// The target must know its leader before it can take over.
	if err := await(ctx, s.nodes[target].Node, func(st raft.Status) bool { return st.Leader == leader }); err != nil {
		return err
	}
	s.printf("--- %s hands over to %s", leader, target)
	for {
		err := s.nodes[leader].Transfer(ctx, target)
		if !errors.Is(err, raft.ErrMemberSilent) {
			return err
		}
		// And the leader must have heard it, which takes a heartbeat more.
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cutLeaderOff cuts the leader off and mends the cut. At no time are there two.
func (s *show) cutLeaderOff(ctx context.Context) error {
	old, err := s.leader(ctx)
	if err != nil {
		return err
	}
	s.printf("--- %s is cut off from the others", old)
	s.network.Partition([]string{old})
	if err := await(ctx, s.nodes[old].Node, func(st raft.Status) bool { return !st.Leading }); err != nil {
		return err
	}
	next, err := s.leader(ctx)
	if err != nil {
		return err
	}
	s.printf("--- the cut is mended")
	s.network.Heal()
	err = await(ctx, s.nodes[old].Node, func(st raft.Status) bool { return st.Leader == next })
	s.printf("%s follows %s", old, next)
	return err
}

// leader waits until a node leads, and returns its name.
func (s *show) leader(ctx context.Context) (string, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		for _, m := range s.members {
			if s.nodes[m.ID].IsLeader() {
				return m.ID, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// other returns a member that is not this one.
func (s *show) other(id string) string {
	if s.members[0].ID != id {
		return s.members[0].ID
	}
	return s.members[1].ID
}

// await waits until the status of a node is as wanted.
func await(ctx context.Context, node *raft.Node, wanted func(raft.Status) bool) error {
	for status := range node.Watch(ctx) {
		if wanted(status) {
			return nil
		}
	}
	return fmt.Errorf("node stopped while waited for: %w", context.Cause(ctx))
}

// errKilled is what Serve returns for a process that was killed. A node whose
// transport fails ends at once.
var errKilled = errors.New("killed")

// mortal is the transport of a process that can be killed.
type mortal struct {
	raft.Transport
	killed <-chan struct{}
}

// Serve implements raft.Transport.
func (m mortal) Serve(ctx context.Context, handler func(from string, frame []byte)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- m.Transport.Serve(ctx, handler) }()
	select {
	case err := <-served:
		return err
	case <-m.killed:
		stop()
		return errors.Join(errKilled, <-served)
	}
}
