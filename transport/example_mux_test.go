package transport_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// Two groups of the same two members share one Transport in each process.
func ExampleMux() {
	network, err := transport.NewMemory(transport.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	process := func(name string) *transport.Mux {
		endpoint, err := network.Join(name) // In a real cluster: a Transport of package tcp.
		if err != nil {
			fmt.Println(err)
		}
		mux, err := transport.NewMux(transport.MuxConfig{Transport: endpoint})
		if err != nil {
			fmt.Println(err)
		}
		return mux
	}
	a, b := process("a"), process("b")

	ctx, cancel := context.WithCancel(context.Background())
	var carriers, groups sync.WaitGroup
	for _, mux := range []*transport.Mux{a, b} {
		carriers.Go(func() { _ = mux.Serve(ctx) })
	}
	for _, name := range []string{"orders", "invoices"} {
		atA, _ := a.Join(name)
		atB, _ := b.Join(name)
		// Each group has a lifetime of its own.
		ctx, leave := context.WithCancel(ctx)
		groups.Go(func() {
			_ = atB.Serve(ctx, func(from string, frame []byte) {
				fmt.Printf("%s: b got %q from %s\n", name, frame, from)
				leave()
			})
		})
		if err := atA.Send("b", []byte("hello, "+name)); err != nil {
			fmt.Println(err)
		}
	}
	groups.Wait()
	cancel()
	carriers.Wait()
	// Unordered output:
	// orders: b got "hello, orders" from a
	// invoices: b got "hello, invoices" from a
}

// Two elections in each of three processes, over one Transport a process.
func ExampleMux_elections() {
	members := []raft.Member{{ID: "a", Voter: true}, {ID: "b", Voter: true}, {ID: "c", Voter: true}}
	network, err := transport.NewMemory(transport.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	carrying, stop := context.WithCancel(context.Background())
	defer stop()
	running, leave := context.WithCancel(context.Background())
	defer leave()
	var carriers, nodes sync.WaitGroup
	watched := map[string]*raft.Node{}
	for _, member := range members {
		endpoint, _ := network.Join(member.ID)
		mux, err := transport.NewMux(transport.MuxConfig{Transport: endpoint})
		if err != nil {
			fmt.Println(err)
			return
		}
		carriers.Go(func() { _ = mux.Serve(carrying) })
		for _, cluster := range []string{"orders", "invoices"} {
			group, _ := mux.Join(cluster)
			node, err := raft.New(raft.Config{
				Cluster: cluster, ID: member.ID,
				Start:     raft.Bootstrap(0, members...),
				Store:     new(raft.MemoryStore),
				Transport: group,
			})
			if err != nil {
				fmt.Println(err)
				return
			}
			nodes.Go(func() { _ = node.Run(running) })
			watched[cluster] = node
		}
	}
	for _, cluster := range []string{"orders", "invoices"} {
		for status := range watched[cluster].Watch(context.Background()) {
			if status.Leader != "" {
				fmt.Println(cluster, "has a leader")
				break
			}
		}
	}
	leave() // The nodes hand over first, then what carries them ends.
	nodes.Wait()
	stop()
	carriers.Wait()
	// Output:
	// orders has a leader
	// invoices has a leader
}
