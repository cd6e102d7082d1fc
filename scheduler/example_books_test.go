package scheduler_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

func ExampleScheduler_UpdateQuota() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	spec := quota.Spec{
		Namespace: "team",
		Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8 * placement.Core}},
	}
	_, err := s.CreateQuota(ctx, spec)
	must(err)
	req := cores("a", 6)
	req.Namespace = "team"
	_, err = s.Place(ctx, req)
	must(err)

	spec.Limits[placement.NameCPU] = quota.Limit{Soft: 4 * placement.Core}
	over, err := s.UpdateQuota(ctx, spec) // evicts nothing
	must(err)
	for _, u := range over {
		fmt.Println("over:", u.Resource, u.Used, "of", u.Ceiling)
	}
	_, err = s.Resize(ctx, "a", placement.Resources{CPU: 7 * placement.Core})
	fmt.Println("grow:", errors.Is(err, quota.ErrExceeded))
	_, err = s.Resize(ctx, "a", placement.Resources{CPU: 5 * placement.Core})
	fmt.Println("shrink:", err)
	// Output:
	// over: cpu 6000 of 4000
	// grow: true
	// shrink: <nil>
}

func ExampleConfig_requireQuota() {
	ctx := context.Background()
	s := cluster(scheduler.Config{RequireQuota: true})
	req := cores("a", 1)
	req.Namespace = "team"
	_, err := s.Place(ctx, req)
	fmt.Println(err)
	_, err = s.CreateQuota(ctx, quota.Spec{Namespace: "team"}) // without limits
	must(err)
	d, err := s.Place(ctx, req)
	must(err)
	fmt.Println(d.NodeID)
	// Output:
	// quota: "team" cannot be charged: team has no quota, and one is required
	// n1
}

func ExampleScheduler_Checkpoint() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal)
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	must(err)
	must(s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}))
	_, err = s.Place(ctx, cores("a", 2))
	must(err)
	must(s.Checkpoint(ctx)) // now and then, so that the journal does not grow
	must(s.Release(ctx, "a"))
	for r, err := range journal.Records(ctx) {
		must(err)
		fmt.Println(r.Seq, map[scheduler.RecordKind]string{
			scheduler.RecordSnapshot: "snapshot", scheduler.RecordEntry: "entry",
		}[r.Kind])
	}
	// Output:
	// 2 snapshot
	// 3 entry
}

func ExampleHooks() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Hooks: scheduler.Hooks{
		Event: func(e scheduler.Event) {
			switch c := e.Change.(type) {
			case *scheduler.Placed:
				fmt.Println("start", c.ID, "on", c.NodeID, "generation", c.Generation)
			case *scheduler.Released:
				fmt.Println("forget", c.ID)
			case *scheduler.InstanceMarked:
				fmt.Println(c.ID, "is", c.State)
			}
		},
	}})
	_, err := s.Place(ctx, cores("a", 2))
	must(err)
	must(s.MarkLost(ctx, "n1"))
	must(s.MarkReady(ctx, "n1"))
	must(s.Release(ctx, "a"))
	// Output:
	// start a on n1 generation 1
	// a is lost
	// a is running
	// forget a
}
