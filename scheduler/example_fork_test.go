package scheduler_test

import (
	"context"
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
