// Journals shows how to keep a scheduler's journal in a store of your own: in a file
// (own.go), and in hashicorp/raft (raft.go). Each passes the conformance suite in its
// test. The program runs a scheduler on the file, opens a second one on it, and
// shows that the first is fenced off.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "journals")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return story(ctx, &fileJournal{path: filepath.Join(dir, "journal")})
}

// story places under one reign, and goes on under the next.
func story(ctx context.Context, journal scheduler.Journal) error {
	old, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		return err
	}
	err = old.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
	if err != nil {
		return err
	}
	request := placement.Request{ID: "web-1", Resources: placement.Resources{CPU: placement.Core}}
	d, err := old.Place(ctx, request)
	if err != nil {
		return err
	}
	fmt.Printf("token %d placed %s on %s\n", d.Token, d.ID, d.NodeID)
	if err := old.Checkpoint(ctx); err != nil {
		return err
	}

	next, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		return err
	}
	again, err := next.Place(ctx, request)
	if err != nil {
		return err
	}
	fmt.Printf("token %d finds %s on %s, placed by token %d\n", next.Token(), again.ID, again.NodeID, again.Token)
	err = old.Release(ctx, "web-1")
	if !errors.Is(err, scheduler.ErrFenced) {
		return fmt.Errorf("the old scheduler released: %w", err)
	}
	fmt.Println("the old scheduler is refused:", err)
	return next.Close()
}
