package scheduler_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// A backup is written while the scheduler works, and read into the journal of
// another store.
func ExampleRestore() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Place(ctx, cores("a", 2))
	must(err)
	var backup bytes.Buffer // or a file
	must(s.WriteSnapshot(ctx, &backup))

	journal := new(scheduler.MemoryJournal) // or one in a database
	restored, err := scheduler.Restore(ctx, scheduler.Config{Journal: journal}, &backup)
	must(err)
	a, err := restored.Allocation(ctx, "a")
	must(err)
	fmt.Println(a.NodeID, a.State)
	// Output: n1 running
}

func ExampleWriteJSON() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal)
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Now: now})
	must(err)
	must(s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}))
	must(s.Cordon(ctx, "n1"))
	must(s.Checkpoint(ctx))
	must(s.Uncordon(ctx, "n1"))
	must(scheduler.WriteJSON(os.Stdout, journal.Records(ctx)))
	// Output:
	// {"snapshot":2,"item":"head","data":{"seq":2,"time":"2026-01-02T03:04:05Z","token":1,"joins":1,"nodes":1}}
	// {"snapshot":2,"item":"node","data":{"node":{"id":"n1","capacity":{"cpu":8000}},"join":1,"version":2,"cordoned":true}}
	// {"entry":3,"time":"2026-01-02T03:04:05Z","token":1,"changes":[{"kind":"node-marked","data":{"nodeID":"n1","mark":"uncordoned"}}]}
}

func ExampleReadSnapshot() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	var backup bytes.Buffer
	must(s.WriteSnapshot(ctx, &backup))
	for r, err := range scheduler.ReadSnapshot(&backup) {
		must(err)
		fmt.Println("after entry", r.Seq, "part", r.Part, "the last:", r.Kind == scheduler.RecordSnapshot)
	}
	// Output: after entry 3 part 0 the last: true
}
