//go:build unix

package sqljournal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
)

func refusesUnsafeSettings(t *testing.T, s server) {
	t.Helper()
	admin := openDB(t, "pgx", s.dsn())
	var unsafe *UnsafeError
	_, err := Open(t.Context(), admin, Config{Dialect: PostgreSQL})
	require.ErrorAs(t, err, &unsafe)
	require.Equal(t, &UnsafeError{"fsync", "off"}, unsafe) // as the tests start it
	_, err = Open(t.Context(), openDB(t, "pgx", s.dsn()+" synchronous_commit=off"), Config{Dialect: PostgreSQL})
	require.ErrorAs(t, err, &unsafe)
	require.Equal(t, &UnsafeError{"synchronous_commit", "off"}, unsafe)
}

func TestUnsafeSettingsAreRefused(t *testing.T) {
	var unsafe *UnsafeError
	path := filepath.Join(t.TempDir(), "db")
	for _, test := range []struct {
		pragmas string
		want    *UnsafeError
	}{
		{"", &UnsafeError{"journal_mode", "delete"}},
		{"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)", &UnsafeError{"synchronous", "1"}},
		{"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)", &UnsafeError{"busy_timeout", "0"}},
	} {
		_, err := Open(t.Context(), openDB(t, "sqlite", path+test.pragmas), Config{Dialect: SQLite})
		require.ErrorAs(t, err, &unsafe, test.pragmas)
		require.Equal(t, test.want, unsafe)
	}
	_, err := Open(t.Context(), openDB(t, "sqlite", sqliteDSN(path)), Config{Dialect: SQLite})
	require.NoError(t, err)
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{}, {Dialect: 7}, {Dialect: SQLite, Name: "\xff"}, {Dialect: SQLite, PollMin: -1}, {Dialect: SQLite, PollMax: -1}} {
		_, err := Open(t.Context(), nil, cfg)
		require.ErrorIs(t, err, scheduler.ErrInvalid)
	}
	for _, cfg := range []ElectorConfig{{}, {Dialect: SQLite, TTL: -1}, {Dialect: SQLite, TTL: time.Millisecond}, {Dialect: SQLite, Name: "\x00"}} {
		_, err := NewElector(t.Context(), nil, cfg)
		require.ErrorIs(t, err, scheduler.ErrInvalid)
	}
}

// transactionKeepsOthersOut shows what the journal avoids: a host that takes
// several round trips to append, and is paused between two of them.
func transactionKeepsOthersOut(t *testing.T, s server) {
	t.Helper()
	db := openDB(t, "pgx", s.dsn())
	j := open(t, db, PostgreSQL, t.Name())
	require.NoError(t, j.Acquire(t.Context(), 1))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `UPDATE constellation_tokens SET token = token`)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.Error(t, j.Acquire(short, 2))
	require.NoError(t, tx.Rollback())
	// What was given up may have gone through by now.
	require.NoError(t, j.Acquire(t.Context(), 3))
}

func hostsMakeTheTablesAtOnce(t *testing.T, s server) {
	t.Helper()
	var (
		hosts    sync.WaitGroup
		outcomes [8]error
	)
	for i := range outcomes {
		db := openDB(t, "pgx", s.dsn())
		hosts.Go(func() { _, outcomes[i] = Open(t.Context(), db, Config{Dialect: PostgreSQL, Volatile: true}) })
	}
	hosts.Wait()
	for _, err := range outcomes {
		require.NoError(t, err)
	}
	// A role that may not make tables opens what is there, under any isolation.
	admin := openDB(t, "pgx", s.dsn())
	for _, statement := range []string{
		`CREATE ROLE service LOGIN`, `ALTER ROLE service SET default_transaction_isolation = 'serializable'`,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO service`,
	} {
		_, err := admin.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	db := openDB(t, "pgx", "host="+s.dir+" user=service dbname=postgres")
	journaltest.Run(t, journaltest.Config{Shared: true, Light: true, Rounds: 50, New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		name := tb.Name()
		return func() scheduler.Journal { return open(tb, db, PostgreSQL, name) }
	}})
}

// startPooler starts pgbouncer, which gives each transaction another connection, or
// skips.
func startPooler(t *testing.T, s server) string {
	t.Helper()
	bin, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		t.Skip("no /usr/sbin/pgbouncer: apt-get install pgbouncer")
	}
	dir := shortDir(t)
	config := fmt.Sprintf(`[databases]
postgres = host=%s port=5432 user=postgres
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
ignore_startup_parameters = extra_float_digits
logfile = %s/log
pidfile = %s/pid
`, s.dir, dir, dir, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ini"), []byte(config), 0o644))
	ordinary(t, dir)
	runServer(t, dir, bin, filepath.Join(dir, "ini"))
	awaitServer(t, openDB(t, "pgx", dsn(dir)))
	return dir
}

func behindAPooler(t *testing.T, s server) {
	t.Helper()
	dir := startPooler(t, s)
	db := openDB(t, "pgx", dsn(dir)+" default_query_exec_mode=exec")
	journaltest.Run(t, journaltest.Config{Shared: true, Light: true, Rounds: 50, New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		name := tb.Name()
		return func() scheduler.Journal { return open(tb, db, PostgreSQL, name) }
	}})
	tokensGrowForEver(t, PostgreSQL, "pgx", dsn(dir)+" default_query_exec_mode=exec")
}

func elector(t *testing.T, cfg ElectorConfig, driver, dsn string) *Elector {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := NewElector(t.Context(), openDB(t, driver, dsn), cfg)
	require.NoError(t, err)
	return e
}

func TestTokensGrowForEver(t *testing.T) {
	tokensGrowForEver(t, SQLite, "sqlite", sqliteDSN(filepath.Join(t.TempDir(), "db")))
}

func tokensGrowForEver(t *testing.T, dialect Dialect, driver, dsn string) {
	t.Helper()
	e := elector(t, ElectorConfig{Dialect: dialect, Name: "tokens", TTL: time.Second, Data: []byte("here")}, driver, dsn)
	var tokens []uint64
	for range 20 {
		require.NoError(t, e.WhileLeader(t.Context(), func(ctx context.Context, token uint64) error {
			tokens = append(tokens, token)
			leader, found, err := e.Leader(ctx)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, Leader{token, []byte("here")}, leader)
			return nil
		}))
		_, found, err := e.Leader(t.Context())
		require.NoError(t, err)
		require.False(t, found, "resigned")
		if len(tokens)%3 == 0 {
			_, err := e.db.ExecContext(t.Context(), `DELETE FROM constellation_leases WHERE name = 'tokens'`)
			require.NoError(t, err)
		}
	}
	require.IsIncreasing(t, tokens)
}

// TestElectorAndJournal is a service that elects and writes in the same database.
func TestElectorAndJournal(t *testing.T) {
	path := sqliteDSN(filepath.Join(t.TempDir(), "db"))
	j := open(t, openDB(t, "sqlite", path), SQLite, "")
	e := elector(t, ElectorConfig{Dialect: SQLite}, "sqlite", path)
	for range 3 {
		require.NoError(t, e.WhileLeader(t.Context(), func(ctx context.Context, token uint64) error {
			s, err := scheduler.Open(ctx, scheduler.Config{Journal: j, Token: token})
			require.NoError(t, err)
			_, err = s.Nodes(ctx)
			require.NoError(t, err)
			if token := s.Token(); token > 0 {
				_ = s.AddNode(ctx, placement.Node{ID: fmt.Sprint("n", token), Capacity: placement.Resources{CPU: 1}})
			}
			require.NoError(t, s.Checkpoint(ctx))
			return s.Close()
		}))
	}
	// What snapshots replace is gone.
	var rows int
	require.NoError(t, j.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM constellation_records`).Scan(&rows))
	require.Equal(t, 1, rows)
}
