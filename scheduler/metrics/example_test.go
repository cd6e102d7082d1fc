package metrics_test

import (
	"context"
	"fmt"
	"os"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/metrics"
)

// A set is an http.Handler: http.Handle("/metrics", set). Here some of it is printed.
func Example() {
	ctx := context.Background()
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
	_, _ = s.Place(ctx, placement.Request{ID: "a", Resources: placement.Resources{CPU: 2 * placement.Core}})
	set, err := metrics.New(metrics.Config{State: func() metrics.Source { return s }})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range set.Read(ctx) {
		if m.Name == "constellation_scheduler_resource_free" {
			_ = metrics.Write(os.Stdout, []metrics.Metric{m})
		}
	}
	// Output:
	// # TYPE constellation_scheduler_resource_free gauge
	// # HELP constellation_scheduler_resource_free What is left on nodes that are ready: cores, bytes, bits per second, GPUs, or units of a custom dimension
	// constellation_scheduler_resource_free{resource="cpu"} 6
	// # EOF
}
