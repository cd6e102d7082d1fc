package scheduler_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rads-project/constellation/scheduler"
)

// A service grows by three instances, all alike, in one entry of the journal. What fits
// is placed.
func ExamplePrepared_PlaceAll() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	web, err := s.Prepare(cores("", 6))
	must(err)
	results, err := web.PlaceAll(ctx, "web-1", "web-2", "web-3", "web-4")
	must(err)
	for _, r := range results {
		fmt.Println(r.Decision.NodeID, r.Err)
	}
	_, err = web.Place(ctx, "web-5")
	fmt.Println(errors.Is(err, scheduler.ErrUnschedulable))
	// Output:
	// n1 <nil>
	// n2 <nil>
	// n3 <nil>
	//  scheduler: 0 of 3 nodes fit web-4: 3 lack cpu
	// true
}

// Requests that differ are placed one after the other, and each sees those before it.
func ExampleScheduler_PlaceAll() {
	s := cluster(scheduler.Config{})
	results, err := s.PlaceAll(context.Background(), cores("db", 8), cores("web", 2), cores("cache", 6))
	must(err)
	for _, r := range results {
		fmt.Println(r.Decision.ID, r.Decision.NodeID, r.Decision.Version == results[0].Decision.Version)
	}
	// Output:
	// db n1 true
	// web n2 true
	// cache n2 true
}

func ExampleScheduler_Prepare() {
	s := cluster(scheduler.Config{})
	_, err := s.Prepare(cores("", -1))
	fmt.Println(err)
	job, err := s.Prepare(cores("", 1))
	must(err)
	d, err := job.Place(context.Background(), "job-1")
	fmt.Println(d.NodeID, err)
	// Output:
	// placement: invalid resources.cpu "-1000": negative
	// n1 <nil>
}
