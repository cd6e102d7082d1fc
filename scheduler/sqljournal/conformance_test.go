//go:build unix

package sqljournal

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
)

// hostVariable has the binary of these tests serve as a host: the dialect, the name
// of the journal and that of the database.
const hostVariable = "SQLJOURNAL_HOST"

// electName begins what is not the name of a journal but that of a lease.
const (
	electName = "elect:"
	electTTL  = 300 * time.Millisecond
)

func TestMain(m *testing.M) {
	host, found := os.LookupEnv(hostVariable)
	if !found {
		os.Exit(m.Run())
	}
	if err := serveHost(host); err != nil {
		log.Fatal(err)
	}
}

func serveHost(host string) error {
	of := strings.SplitN(host, "|", 3)
	dialect, driver := PostgreSQL, "pgx"
	if of[0] == SQLite.String() {
		dialect, driver = SQLite, "sqlite"
	}
	db, err := sql.Open(driver, of[2])
	if err != nil {
		return err
	}
	if name, elects := strings.CutPrefix(of[1], electName); elects {
		e, err := NewElector(context.Background(), db, ElectorConfig{Dialect: dialect, Name: name, TTL: electTTL})
		if err != nil {
			return err
		}
		return journaltest.ServeElector(context.Background(), e.Elector, os.Stdout)
	}
	j, err := Open(context.Background(), db, Config{Dialect: dialect, Name: of[1], Volatile: true})
	if err != nil {
		return err
	}
	return journaltest.Serve(context.Background(), j, os.Stdin, os.Stdout)
}

// child returns a process that has a journal open.
func child(dialect Dialect, name, dsn string) *exec.Cmd {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), hostVariable+"="+strings.Join([]string{dialect.String(), name, dsn}, "|"))
	command.Stderr = os.Stderr
	return command
}

// rounds is how often hosts depose each other.
func rounds() int {
	if os.Getenv("CONSTELLATION_LONG") != "" {
		return 1000
	}
	return 200
}

func open(tb testing.TB, db *sql.DB, dialect Dialect, name string) *Journal {
	tb.Helper()
	j, err := Open(tb.Context(), db, Config{Dialect: dialect, Name: name, Volatile: true})
	require.NoError(tb, err)
	return j
}

// sqliteDSN is that of a database that is written ahead, and synced.
func sqliteDSN(path string) string {
	return path + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
}

func TestConformanceOfSQLite(t *testing.T) {
	var path string
	journaltest.Run(t, journaltest.Config{
		Shared: true, Rounds: rounds(), PausedBlocks: true,
		New: func(tb testing.TB) func() scheduler.Journal {
			tb.Helper()
			path = filepath.Join(tb.TempDir(), "db")
			return func() scheduler.Journal { return open(tb, openDB(tb, "sqlite", sqliteDSN(path)), SQLite, "") }
		},
		Command: func() *exec.Cmd { return child(SQLite, "", sqliteDSN(path)) },
	})
}

// TestPostgreSQL starts one server for all, which takes a while.
func TestPostgreSQL(t *testing.T) {
	s := startPostgres(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, server)
	}{
		{"hosts make the tables at once", hostsMakeTheTablesAtOnce},
		{"conformance", conformance},
		{"conformance behind a pooler", behindAPooler},
		{"elector", electorOnPostgreSQL},
		{"tokens grow for ever", tokensGrowOnPostgreSQL},
		{"unsafe settings are refused", refusesUnsafeSettings},
		{"a transaction keeps others out", transactionKeepsOthersOut},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func tokensGrowOnPostgreSQL(t *testing.T, s server) {
	t.Helper()
	tokensGrowForEver(t, PostgreSQL, "pgx", s.dsn())
}

func conformance(t *testing.T, s server) {
	t.Helper()
	var (
		journals atomic.Int64
		name     string
		behind   *proxy
		current  testing.TB
	)
	journaltest.Run(t, journaltest.Config{
		Shared: true, Rounds: rounds(),
		New: func(tb testing.TB) func() scheduler.Journal {
			tb.Helper()
			name = fmt.Sprintf("it's %d", journals.Add(1))
			behind, current = startProxy(tb, s), tb
			db := openDB(tb, "pgx", dsn(behind.dir))
			return func() scheduler.Journal { return open(tb, db, PostgreSQL, name) }
		},
		Stall:   func() (<-chan struct{}, func()) { return behind.cut(0), behind.resume },
		Command: func() *exec.Cmd { return child(PostgreSQL, name, s.dsn()) },
		Cut: func() (scheduler.Journal, func(int) <-chan struct{}) {
			own := startProxy(current, s)
			return open(current, openDB(current, "pgx", dsn(own.dir)), PostgreSQL, name), own.cut
		},
	})
}

// electorRounds is how many leaders are tormented.
func electorRounds() int {
	if os.Getenv("CONSTELLATION_LONG") != "" {
		return 500
	}
	return 18
}

func TestElectorOnSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	open(t, openDB(t, "sqlite", sqliteDSN(path)), SQLite, "") // two that make a new file at once can fail
	journaltest.RunElector(t, journaltest.ElectorConfig{
		PausedBlocks: true, Rounds: electorRounds(),
		Command: func(int) *exec.Cmd { return child(SQLite, electName, sqliteDSN(path)) },
	})
}

func electorOnPostgreSQL(t *testing.T, s server) {
	t.Helper()
	proxies := [2]*proxy{startProxy(t, s), startProxy(t, s)}
	journaltest.RunElector(t, journaltest.ElectorConfig{
		Rounds:  electorRounds(),
		Command: func(replica int) *exec.Cmd { return child(PostgreSQL, electName, dsn(proxies[replica].dir)) },
		Cut:     func(replica, after int) { proxies[replica].cut(after) },
		Heal:    func(replica int) { proxies[replica].resume() },
	})
}
