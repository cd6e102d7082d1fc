package scheduler_test

import (
	"context"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func Example() {
	ctx := context.Background()
	s, err := scheduler.New(scheduler.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, region := range []string{"us-east-1", "us-west-2"} {
		err := s.AddNode(ctx, placement.Node{
			ID:       "node-" + region,
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
			Labels:   map[string]string{"region": region},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	web := placement.Request{
		ID: "web-1", Namespace: "team-backend", Group: "web",
		Resources:   placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB},
		Preferences: placement.Use(placement.BinPack).Require(placement.In("region", "us-west-1", "us-west-2")),
	}
	d, err := s.Place(ctx, web)
	fmt.Println(d.NodeID, err)

	web.ID, web.Resources.CPU = "web-2", 64*placement.Core
	_, err = s.Place(ctx, web)
	fmt.Println(err)
	// Output:
	// node-us-west-2 <nil>
	// scheduler: 0 of 2 nodes fit web-2: 1 is not in region us-west-1|us-west-2, 1 lacks cpu
}
