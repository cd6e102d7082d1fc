package raft_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// Run this only on the leader: the ten lines that a service needs.
func ExampleNode_WhileLeader() {
	network, _ := transport.NewMemory(transport.MemoryConfig{})
	endpoint, _ := network.Join("a") // in a real cluster: transport/tcp
	node, err := raft.New(raft.Config{
		Cluster: "example", ID: "a",
		Start:     raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}),
		Store:     new(raft.MemoryStore), // in a real cluster: &raft.FileStore{Path: …}
		Transport: endpoint,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_ = node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			if raft.Leads(ctx) { // look just before each effect
				fmt.Println("leading with token", token)
			}
			stop() // or work until ctx ends
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	fmt.Println("stopped:", node.Run(ctx))
	// Output:
	// leading with token 1
	// stopped: <nil>
}

// cluster runs three nodes in this process until stop is called.
func cluster() (nodes map[string]*raft.Node, stop func()) {
	network, err := transport.NewMemory(transport.MemoryConfig{})
	if err != nil {
		log.Fatal(err)
	}
	members := []raft.Member{
		{ID: "a", Voter: true, Data: "http://a"},
		{ID: "b", Voter: true, Data: "http://b"},
		{ID: "c", Voter: true, Data: "http://c"},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	nodes = make(map[string]*raft.Node)
	for _, m := range members {
		endpoint, err := network.Join(m.ID)
		if err != nil {
			log.Fatal(err)
		}
		node, err := raft.New(raft.Config{
			Cluster: "example", ID: m.ID,
			Start:     raft.Bootstrap(0, members...),
			Store:     new(raft.MemoryStore),
			Transport: endpoint,
		})
		if err != nil {
			log.Fatal(err)
		}
		nodes[m.ID] = node
		running.Go(func() { _ = node.Run(ctx) })
	}
	return nodes, func() { cancel(); running.Wait() }
}

// elected waits until a node leads, and returns it and the name of another one.
func elected(nodes map[string]*raft.Node) (leader *raft.Node, other string) {
	for status := range nodes["a"].Watch(context.Background()) {
		switch status.Leader {
		case "":
		case "a":
			return nodes["a"], "b"
		default:
			return nodes[status.Leader], "a"
		}
	}
	return nil, ""
}

// A leadership gives both a context that ends with the reign and a fencing token
// for what may outlive it.
func ExampleNode_Lead() {
	nodes, stop := cluster()
	defer stop()
	node, _ := elected(nodes)
	leadership, err := node.Lead(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer leadership.Release()

	fmt.Println(leadership.Valid(), node.IsLeader(), leadership.Term() == node.Term())
	if err := leadership.Resign(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(leadership.Valid(), node.IsLeader(), context.Cause(leadership.Context()))
	// Output:
	// true true true
	// false false context canceled
}

// A planned hand-over takes milliseconds and no election timeout.
func ExampleNode_Transfer() {
	nodes, stop := cluster()
	defer stop()
	node, other := elected(nodes)
	leadership, err := node.Lead(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		<-leadership.Context().Done() // Finish what must be finished as the leader …
		leadership.Release()          // … then let go.
	}()
	fmt.Println("error:", node.Transfer(context.Background(), other))
	leader, _ := node.Leader()
	fmt.Println("the other leads:", leader.ID == other)
	// Output:
	// error: <nil>
	// the other leads: true
}

// A follower redirects clients to the leader, whose address is the Data of the
// member.
func ExampleNode_Leader() {
	nodes, stop := cluster()
	defer stop()
	for status := range nodes["b"].Watch(context.Background()) {
		if status.Leader != "" {
			break
		}
	}
	leader, known := nodes["b"].Leader()
	fmt.Println(known, leader.Data == "http://"+leader.ID)
	// Output:
	// true true
}

// Watch shows the status now and after every change.
func ExampleNode_Watch() {
	nodes, stop := cluster()
	var last raft.Status
	for status := range nodes["a"].Watch(context.Background()) {
		if status.Leader != "" && last.Leader == "" {
			fmt.Println("there is a leader")
			go stop()
		}
		last = status
	}
	fmt.Println("stopped:", last.Stopped)
	// Output:
	// there is a leader
	// stopped: true
}

// A new member listens first and votes once it is promoted. It starts with
// raft.Join.
func ExampleNode_AddMember() {
	nodes, stop := cluster()
	defer stop()
	ctx := context.Background()
	node, _ := elected(nodes)
	leadership, err := node.Lead(ctx) // Only a leader can change the membership.
	if err != nil {
		log.Fatal(err)
	}
	defer leadership.Release()
	fmt.Println(node.AddMember(ctx, raft.Member{ID: "d", Data: "http://d"}))
	fmt.Println(node.Promote(ctx, "d")) // It does not run in this example.
	fmt.Println(node.RemoveMember(ctx, "d"))
	// Output:
	// <nil>
	// raft: member does not answer: "d"
	// <nil>
}

// A witness votes and never leads, so that two machines that do the work and a
// small third one survive the loss of any. A cluster that begins with one says so
// to Bootstrap: raft.Member{ID: "c", Voter: true, Witness: true}.
func ExampleMember_witness() {
	nodes, stop := cluster()
	defer stop()
	ctx := context.Background()
	node, other := elected(nodes)
	leadership, err := node.Lead(ctx) // Only a leader can change the membership.
	if err != nil {
		log.Fatal(err)
	}
	defer leadership.Release()
	fmt.Println(node.UpdateMember(ctx, raft.Member{ID: other, Witness: true}))
	fmt.Println(errors.Is(node.Transfer(ctx, other), raft.ErrWitness))
	fmt.Println(node.UpdateMember(ctx, raft.Member{ID: node.Status().ID, Witness: true}) != nil)
	// Output:
	// <nil>
	// true
	// true
}

// A member that moves to another address keeps its vote.
func ExampleNode_UpdateMember() {
	nodes, stop := cluster()
	defer stop()
	ctx := context.Background()
	node, _ := elected(nodes)
	leadership, err := node.Lead(ctx) // Only a leader can change the membership.
	if err != nil {
		log.Fatal(err)
	}
	defer leadership.Release()
	fmt.Println(node.UpdateMember(ctx, raft.Member{ID: "b", Data: "http://elsewhere"}))
	moved, _ := node.Status().Configuration.Member("b")
	fmt.Println(moved.Data, moved.Voter)
	// Output:
	// <nil>
	// http://elsewhere true
}

// A node whose disk holds nothing does not start by itself: a lost disk must not
// be taken for a new cluster.
func ExampleFileStore() {
	dir, err := os.MkdirTemp("", "raft")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	network, _ := transport.NewMemory(transport.MemoryConfig{})
	endpoint, _ := network.Join("a")
	node, err := raft.New(raft.Config{
		Cluster: "example", ID: "a",
		Start:     raft.Resume(),
		Store:     &raft.FileStore{Path: filepath.Join(dir, "raft")},
		Transport: endpoint,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(node.Run(context.Background()))
	// Output:
	// raft: no state
}

// A cluster that is made anew goes on above the tokens that its journal has
// seen. Later runs resume from the disk.
func ExampleBootstrap() {
	dir, err := os.MkdirTemp("", "raft")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	lastToken := uint64(41)
	first := raft.Bootstrap(lastToken, raft.Member{ID: "a", Voter: true})
	for _, start := range []raft.Start{first, raft.Resume()} {
		network, _ := transport.NewMemory(transport.MemoryConfig{})
		endpoint, _ := network.Join("a")
		node, err := raft.New(raft.Config{
			Cluster: "example", ID: "a",
			Start:     start,
			Store:     &raft.FileStore{Path: filepath.Join(dir, "raft")},
			Transport: endpoint,
		})
		if err != nil {
			log.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			_ = node.WhileLeader(ctx, func(_ context.Context, token uint64) error {
				fmt.Println("run", node.Status().Incarnation, "leads with token", token)
				stop()
				return nil
			})
		}()
		fmt.Println("stopped:", node.Run(ctx))
	}
	// Output:
	// run 1 leads with token 42
	// stopped: <nil>
	// run 2 leads with token 43
	// stopped: <nil>
}
