package lease_test

import (
	"context"
	"fmt"
	"log"

	"github.com/rads-project/constellation/scheduler/lease"
)

func Example() {
	// A shelf is a store in memory; yours would be in a database.
	elector, err := lease.New(lease.Config{Store: new(shelf)})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		err := elector.WhileLeader(context.Background(), func(ctx context.Context, token uint64) error {
			if lease.Leads(ctx) { // look just before an effect
				fmt.Println("leads with token", token)
			}
			return nil // resigns
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// leads with token 1
	// leads with token 2
}
