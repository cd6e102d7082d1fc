package boltjournal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/boltjournal"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	web := placement.Request{ID: "web-1", Resources: placement.Resources{CPU: 2 * placement.Core}}
	for run := range 2 { // the second one is after a restart
		journal, err := boltjournal.Open(dir, boltjournal.Config{})
		if err != nil {
			log.Fatal(err)
		}
		s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
		if err != nil {
			log.Fatal(err)
		}
		if run == 0 {
			err = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
		}
		d, placeErr := s.Place(ctx, web)
		if err := errors.Join(err, placeErr, s.Close(), journal.Close()); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("run %d: %s is on %s, placed by token %d\n", run+1, d.ID, d.NodeID, d.Token)
	}
	// Output:
	// run 1: web-1 is on n1, placed by token 1
	// run 2: web-1 is on n1, placed by token 1
}

func ExampleOpen_locked() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	first, err := boltjournal.Open(dir, boltjournal.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	_, err = boltjournal.Open(dir, boltjournal.Config{}) // also from another process
	fmt.Println(errors.Is(err, boltjournal.ErrLocked), err)
	// Output: true boltjournal: locked by another process
}
