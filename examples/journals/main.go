// Journals shows how to keep a scheduler's journal in what a service already
// has: a SQL database (sql.go), etcd (etcd.go), hashicorp/raft (raft.go). Each
// passes the conformance suite in its test, against the real thing. The
// program runs a scheduler on SQLite, restarts it, and fences the old one off.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

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
	db, err := openSQLite(filepath.Join(dir, "scheduler.db"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return story(ctx, sqlJournal{db})
}

// openSQLite opens a database whose transactions lock it from their start and
// are synced at their end.
func openSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", path+"?_txlock=immediate&_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(sqlSchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
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
