package scheduler_test

import (
	"context"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func ExampleScheduler_Amend() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	for _, id := range []string{"db-1", "db-2"} {
		_, err := s.Allocate(ctx, "n1", cores(id, 1))
		must(err)
	}
	leader := cores("db-1", 1)
	leader.Labels = map[string]string{"role": "leader"} // it was elected just now
	done, err := s.Amend(ctx, "db-1", leader)
	must(err)
	fmt.Println(done.Decision.ID, "stays on", done.Decision.NodeID)

	apart := cores("db-2", 1)
	apart.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("role", "leader")))
	done, err = s.Amend(ctx, "db-2", apart)
	must(err)
	for _, rule := range done.Broken { // it stays all the same
		fmt.Println(done.Decision.ID, "on", done.Decision.NodeID, rule)
	}
	d, err := s.Move(ctx, "db-2", "")
	must(err)
	fmt.Println(d.ID, "moves to", d.NodeID)
	// Output:
	// db-1 stays on n1
	// db-2 on n1 breaks anti-affinity over nodes
	// db-2 moves to n2
}

func ExampleScheduler_Violations() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	must(s.SetLabel(ctx, "n1", "disk", "ssd"))
	db := cores("db", 1)
	db.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("disk", "ssd"))
	_, err := s.Place(ctx, db)
	must(err)

	must(s.SetLabel(ctx, "n1", "disk", "hdd"))
	violations, err := s.Violations(ctx)
	must(err)
	for _, v := range violations {
		fmt.Println(v.ID, "on", v.NodeID, v.Broken)
	}
	// Output:
	// db on n1 [fails disk = ssd]
}
