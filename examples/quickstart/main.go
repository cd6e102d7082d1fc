// Command quickstart places work on ten nodes in two regions and shows why a
// request that cannot fit does not.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := scheduler.New(scheduler.Config{Seed: 1})
	if err != nil {
		return err
	}
	if err := addNodes(ctx, s); err != nil {
		return err
	}
	if err := placeWeb(ctx, s); err != nil {
		return err
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\nutilization")
	for _, n := range nodes {
		fmt.Printf("  %s %s cpu %3.0f %%  memory %3.0f %%  overall %3.0f %%\n", n.ID, n.Labels["region"],
			100*n.Utilization(placement.NameCPU), 100*n.Utilization(placement.NameMemory), 100*n.Overall())
	}
	return tooLarge(ctx, s)
}

// addNodes joins ten nodes, five in each region: the odd ones have SSDs, and
// the last of each region is dedicated to GPU work.
func addNodes(ctx context.Context, s *scheduler.Scheduler) error {
	for i := range 10 {
		n := placement.Node{
			ID:       fmt.Sprintf("n%02d", i+1),
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
			Labels:   map[string]string{"region": "us-east-1", "disk": "hdd"},
		}
		if i >= 5 {
			n.Labels["region"] = "us-west-2"
		}
		if i%2 == 0 {
			n.Labels["disk"] = "ssd"
		}
		if i%5 == 4 {
			n.Devices = placement.Devices{Count: 4, Model: "A100"}
			n.Taints = []placement.Taint{{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule}}
		}
		if err := s.AddNode(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func placeWeb(ctx context.Context, s *scheduler.Scheduler) error {
	for i := range 3 {
		d, err := s.Place(ctx, placement.Request{
			ID: fmt.Sprintf("web-%d", i+1), Namespace: "team-backend", Group: "web",
			Resources: placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB},
			Preferences: placement.Use(placement.BinPack).
				Require(placement.In("region", "us-east-1", "us-east-2")).
				Prefer(placement.Equal("disk", "ssd"), 50).
				TolerateExists("dedicated"),
		})
		if err != nil {
			return err
		}
		fmt.Printf("%s on %s, score %d of 1000 (%s)\n", d.ID, d.NodeID, d.Score, d.Reason)
	}
	d, err := s.Place(ctx, placement.Request{
		ID: "train-1", Namespace: "team-ml",
		Resources:   placement.Resources{CPU: 8 * placement.Core, Memory: 32 * placement.GiB, GPU: 2 * placement.Device},
		Preferences: placement.Use(placement.BinPack).TolerateEqual("dedicated", "gpu"),
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s on %s, GPUs %v, score %d of 1000\n", d.ID, d.NodeID, d.Devices, d.Score)
	return nil
}

// tooLarge asks for more than a node has and prints the refusal, what an
// explanation adds to it, and the node that comes nearest.
func tooLarge(ctx context.Context, s *scheduler.Scheduler) error {
	req := placement.Request{
		ID: "big-1", Namespace: "team-backend",
		Resources:   placement.Resources{CPU: 40 * placement.Core, Memory: 64 * placement.GiB},
		Preferences: placement.Use(placement.BinPack).Require(placement.Equal("region", "us-west-2")),
	}
	_, err := s.Place(ctx, req)
	var refused *scheduler.UnschedulableError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s was not refused: %w", req.ID, err)
	}
	fmt.Printf("\n%v\n", refused)
	e, err := s.Explain(ctx, req)
	if err != nil {
		return err
	}
	fmt.Println("explained:", e)
	for _, f := range e.NearestMiss.Failures {
		fmt.Printf("nearest miss: %s %v\n", e.NearestMiss.NodeID, f)
	}
	return nil
}
