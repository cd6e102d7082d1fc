package scheduler_test

import (
	"context"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// What is left is of use only as far as an instance finds all that it needs in one
// place: the CPU of n1 is used up, so that its memory is stranded.
func ExampleScheduler_Inventory() {
	ctx := context.Background()
	s, err := scheduler.New(scheduler.Config{})
	must(err)
	for _, id := range []string{"n1", "n2"} {
		must(s.AddNode(ctx, placement.Node{ID: id, Capacity: placement.Resources{CPU: 8 * placement.Core, Memory: 32 * placement.GiB}}))
	}
	_, err = s.Allocate(ctx, "n1", placement.Request{ID: "a", Resources: placement.Resources{CPU: 8 * placement.Core, Memory: 8 * placement.GiB}})
	must(err)
	all, err := s.Inventory(ctx)
	must(err)
	for _, supply := range all.Supplies {
		text := func(amount int64) string { return placement.FormatQuantity(supply.Resource, amount) }
		fmt.Println(supply.Resource, "free:", text(supply.Free), "largest:", text(supply.Largest), "stranded:", text(supply.Stranded))
	}
	fmt.Println(s.Stats().Decisions.Placed, "placed")
	// Output:
	// cpu free: 8 largest: 8 stranded: 0
	// memory free: 56GiB largest: 32GiB stranded: 24GiB
	// 1 placed
}
