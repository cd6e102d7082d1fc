package scheduler_test

import (
	"context"
	"fmt"
	"log"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// A follower shows what another scheduler writes to the same journal, deposes nobody,
// and takes over when it is promoted.
func ExampleMemoryJournal() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal)
	leader, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: 1})
	if err != nil {
		log.Fatal(err)
	}
	standby, err := scheduler.Follow(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		log.Fatal(err)
	}
	running, end := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- standby.Run(running) }()

	node := placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 4 * placement.Core}}
	if err := leader.AddNode(ctx, node); err != nil {
		log.Fatal(err)
	}
	if err := standby.Wait(ctx, 0); err != nil { // for the first change
		log.Fatal(err)
	}
	nodes, err := standby.Nodes(ctx)
	fmt.Println(len(nodes), "node as of entry", standby.Position().Seq, err)

	next, err := standby.Promote(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	d, err := next.Place(ctx, placement.Request{ID: "web-1"})
	fmt.Println(d, "under token", d.Token, err)
	_, err = leader.Place(ctx, placement.Request{ID: "web-2"})
	fmt.Println(err)
	end()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 node as of entry 1 <nil>
	// web-1 on n1 under token 2 <nil>
	// scheduler: journal failed: scheduler: token 1 is fenced by token 2
}
