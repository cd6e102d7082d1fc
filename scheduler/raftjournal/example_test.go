package raftjournal_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/raftjournal"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/transport"
)

// Three replicas keep a scheduler, and nothing else runs. The leader goes, and another
// goes on with everything that was decided.
func Example() {
	network, _ := transport.NewMemory(transport.MemoryConfig{}) // in a service: transport/tcp
	members := []raft.Member{{ID: "a", Voter: true}, {ID: "b", Voter: true}, {ID: "c", Voter: true}}
	replicas := make(map[string]*replica.Replica)
	stop := make(map[string]context.CancelFunc)
	var running sync.WaitGroup
	for _, m := range members {
		endpoint, _ := network.Join(m.ID)
		machine := new(raftjournal.Machine)
		node, err := raft.New(raft.Config{
			Cluster: "service", ID: m.ID, Start: raft.Bootstrap(0, members...),
			Store: new(raft.MemoryStore), Log: new(raft.MemoryLog), // in a service: on disk
			Machine: machine, Transport: endpoint,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		r, err := replica.New(replica.Config{Elector: node, Leads: raft.Leads, Journal: raftjournal.New(node, machine)})
		if err != nil {
			fmt.Println(err)
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		replicas[m.ID], stop[m.ID] = r, cancel
		running.Go(func() { _ = node.Run(ctx) })
		running.Go(func() { _ = r.Run(ctx) })
	}

	ctx := context.Background()
	leader, first := awaitLeader(replicas)
	_ = first.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
	web := placement.Request{ID: "web-1", Resources: placement.Resources{CPU: placement.Core}}
	d, err := first.Place(ctx, web)
	fmt.Println(d.ID, "on", d.NodeID, err)

	stop[leader]()
	delete(replicas, leader)
	_, second := awaitLeader(replicas)
	a, err := second.Allocation(ctx, "web-1")
	fmt.Println("after the leader has gone:", a.Request.ID, "on", a.NodeID, err)
	for _, cancel := range stop {
		cancel()
	}
	running.Wait()
	// Output:
	// web-1 on n1 <nil>
	// after the leader has gone: web-1 on n1 <nil>
}

// awaitLeader waits until one of the replicas leads.
func awaitLeader(replicas map[string]*replica.Replica) (id string, s *scheduler.Scheduler) {
	for {
		for id, r := range replicas {
			if s, leads := r.Leader(); leads {
				return id, s
			}
		}
		time.Sleep(time.Millisecond)
	}
}
