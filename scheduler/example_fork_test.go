package scheduler_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// Would the work of a lost node still find room? A fork tells, and the scheduler goes on
// as if nobody had asked.
func ExampleScheduler_Fork() {
	ctx := context.Background()
	s, _ := scheduler.New(scheduler.Config{})
	for _, id := range []string{"n1", "n2"} {
		_ = s.AddNode(ctx, placement.Node{ID: id, Capacity: placement.Resources{CPU: 4 * placement.Core}})
	}
	web := placement.Request{ID: "web-1", Namespace: "team", Resources: placement.Resources{CPU: 3 * placement.Core}}
	d, _ := s.Place(ctx, web)

	f, _ := s.Fork(ctx)
	_ = f.MarkLost(ctx, d.NodeID)
	again, err := f.Place(ctx, web)
	fmt.Println("without", d.NodeID, "it runs on", again.NodeID, err)

	still, _ := s.Allocation(ctx, "web-1")
	fmt.Println("it runs on", still.NodeID)
	// Output:
	// without n1 it runs on n2 <nil>
	// it runs on n1
}

// A plan is tried on a fork, a part of it is taken back, and the rest is committed as one
// entry.
func ExampleScheduler_Commit() {
	ctx := context.Background()
	s, _ := scheduler.New(scheduler.Config{})
	for _, id := range []string{"old", "new"} {
		_ = s.AddNode(ctx, placement.Node{ID: id, Capacity: placement.Resources{CPU: 4 * placement.Core}})
	}
	web := placement.Request{ID: "web-1", Namespace: "team", Resources: placement.Resources{CPU: 3 * placement.Core}}
	_, _ = s.Allocate(ctx, "old", web)

	f, _ := s.Fork(ctx)
	_ = f.Cordon(ctx, "old")
	mark := f.Mark()
	_ = f.Release(ctx, "web-1")
	again, _ := f.Place(ctx, web)
	fmt.Println("it could move to", again.NodeID)
	_ = f.Rollback(mark) // but it stays
	done, err := s.Commit(ctx, f.Plan())
	fmt.Println(done.Version, err)

	n, _ := s.Node(ctx, "old")
	fmt.Println(n.State, n.Instances)
	// Output:
	// it could move to new
	// 4 <nil>
	// cordoned 1
}

// A plan that was overtaken changes nothing, and says what it ran into.
func ExamplePlanError() {
	ctx := context.Background()
	s, _ := scheduler.New(scheduler.Config{})
	_ = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 4 * placement.Core}})
	three := placement.Request{ID: "planned", Resources: placement.Resources{CPU: 3 * placement.Core}}

	f, _ := s.Fork(ctx)
	_, _ = f.Place(ctx, three)
	three.ID = "quicker"
	_, _ = s.Place(ctx, three)

	_, err := s.Commit(ctx, f.Plan())
	if conflicts, ok := errors.AsType[*scheduler.PlanError](err); ok {
		fmt.Println(conflicts.Conflicts[0].Err)
	}
	// Output:
	// scheduler: 0 of 1 nodes fit planned: 1 lacks cpu
}

// How many of a shape still fit?
func ExampleFork_Fits() {
	ctx := context.Background()
	s, _ := scheduler.New(scheduler.Config{})
	for _, id := range []string{"n1", "n2"} {
		_ = s.AddNode(ctx, placement.Node{ID: id, Capacity: placement.Resources{CPU: 4 * placement.Core}})
	}
	f, _ := s.Fork(ctx)
	fmt.Println(f.Fits(ctx, placement.Request{ID: "session", Resources: placement.Resources{CPU: 1500}}, 100))
	// Output: 4 <nil>
}

// A host that keeps its own view of nodes places by it, unless the node has changed
// since.
func ExampleScheduler_AllocateIf() {
	ctx := context.Background()
	s, _ := scheduler.New(scheduler.Config{})
	_ = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 4 * placement.Core}})
	seen, _ := s.Node(ctx, "n1")
	_ = s.SetLabel(ctx, "n1", "kernel", "6.8")

	_, err := s.AllocateIf(ctx, "n1", seen.Version, placement.Request{ID: "a", Resources: placement.Resources{CPU: 1}})
	fmt.Println(err)
	// Output:
	// scheduler: version 1 of node "n1" was asked for, and it is 2
}
