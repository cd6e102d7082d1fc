package scheduler_test

import (
	"context"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func ExampleScheduler_Leave() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	web := cores("web-1", 2)
	web.Group = "web"
	web.Preferences = placement.Use(placement.BinPack).Across(placement.AtMostPer("", 1))
	d, err := s.Place(ctx, web)
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)

	must(s.Leave(ctx, "web-1")) // its worker is told to stop it
	web.ID = "web-2"
	d, err = s.Place(ctx, web) // which need not wait for that
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	must(s.Release(ctx, "web-1")) // it has stopped
	// Output:
	// web-1 on n1
	// web-2 on n1
}

func ExampleScheduler_Stay() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Place(ctx, cores("a", 2))
	must(err)
	must(s.AddTaint(ctx, "n1", placement.Taint{Key: "failing", Effect: placement.NoExecute}))
	a, err := s.Allocation(ctx, "a")
	must(err)
	fmt.Println(a.State)

	must(s.RemoveTaint(ctx, "n1", "failing", placement.NoExecute))
	must(s.Stay(ctx, "a"))
	a, err = s.Allocation(ctx, "a")
	must(err)
	fmt.Println(a.State)
	// Output:
	// leaving
	// running
}
