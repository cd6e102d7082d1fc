package sqljournal_test

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
	"github.com/rads-project/constellation/scheduler/sqljournal"
)

// database makes a database in a temporary folder, as a service would open its own.
func database() (db *sql.DB, remove func()) {
	dir, err := os.MkdirTemp("", "sqljournal")
	if err != nil {
		log.Fatal(err)
	}
	db, err = sql.Open("sqlite", filepath.Join(dir, "db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		log.Fatal(err)
	}
	return db, func() { _ = errors.Join(db.Close(), os.RemoveAll(dir)) }
}

func Example() {
	ctx := context.Background()
	db, remove := database()
	defer remove()
	journal, err := sqljournal.Open(ctx, db, sqljournal.Config{Dialect: sqljournal.SQLite})
	if err != nil {
		log.Fatal(err)
	}
	elector, err := sqljournal.NewElector(ctx, db, sqljournal.ElectorConfig{Dialect: sqljournal.SQLite})
	if err != nil {
		log.Fatal(err)
	}
	for reign := range 2 { // the second one is that of another replica
		err := elector.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: token})
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			if reign == 0 {
				err = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
			}
			d, placeErr := s.Place(ctx, placement.Request{ID: "web-1", Resources: placement.Resources{CPU: placement.Core}})
			fmt.Printf("reign %d: %s is on %s\n", reign+1, d.ID, d.NodeID)
			return errors.Join(err, placeErr)
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// reign 1: web-1 is on n1
	// reign 2: web-1 is on n1
}

func ExampleJournal_Follow() {
	ctx := context.Background()
	db, remove := database()
	defer remove()
	journal, err := sqljournal.Open(ctx, db, sqljournal.Config{Dialect: sqljournal.SQLite})
	if err != nil {
		log.Fatal(err)
	}
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, id := range []string{"n1", "n2"} {
		if err := s.AddNode(ctx, placement.Node{ID: id, Capacity: placement.Resources{CPU: placement.Core}}); err != nil {
			log.Fatal(err)
		}
	}
	for record, err := range journal.Follow(ctx, 0) {
		if err != nil {
			log.Fatal(err)
		}
		if record.Kind == scheduler.RecordCurrent {
			fmt.Println("that is all, for now")
			break
		}
		fmt.Println("entry", record.Seq)
	}
	// Output:
	// entry 1
	// entry 2
	// that is all, for now
}
