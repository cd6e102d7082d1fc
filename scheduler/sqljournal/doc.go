// Package sqljournal keeps the journal of a scheduler in a SQL database that all
// replicas reach, and elects the leader there. It is for a service that runs on
// PostgreSQL already, and wants no second quorum beside it. SQLite does for replicas on
// one host.
//
// Most users need [Open], which returns a [Journal], and [NewElector], which returns an
// [Elector].
//
//	db, err := sql.Open("pgx", "postgres://service@db/service")
//	if err != nil {
//		return err
//	}
//	journal, err := sqljournal.Open(ctx, db, sqljournal.Config{Dialect: sqljournal.PostgreSQL})
//	if err != nil {
//		return err
//	}
//	elector, err := sqljournal.NewElector(ctx, db, sqljournal.ElectorConfig{Dialect: sqljournal.PostgreSQL})
//	if err != nil {
//		return err
//	}
//	return elector.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
//		s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: token})
//		if err != nil {
//			return err
//		}
//		defer s.Close()
//		return serve(ctx, s)
//	})
//
// The package itself needs database/sql alone; the host chooses the driver. It is
// tested with github.com/jackc/pgx/v5 and modernc.org/sqlite.
//
// # One statement
//
// [Journal.Acquire] and [Journal.Append] are one statement each, which looks at the
// token and writes. On PostgreSQL it goes to the server as one message, with what it
// carries as hexadecimal digits: the server carries it out and commits it before it
// waits for the client again. So whatever happens to a host, that is paused, frozen,
// or cut off in the middle of it, no lock outlives the statement, and its successor
// waits for nobody. A statement that comes late, after the successor has acquired,
// finds a higher token and writes nothing. An append costs one round trip, one with
// parts of a snapshot two.
//
// With SQLite a statement locks the file, and that lock goes with the process: one
// that is paused within a statement keeps its successor out until it goes on or is
// killed, as with boltjournal.
//
// # Settings
//
// Open refuses PostgreSQL with synchronous_commit or fsync off, and SQLite unless it
// has the pragmas journal_mode(WAL), synchronous(FULL) and a busy_timeout: see
// [UnsafeError]. With synchronous_commit at local, or without a synchronous standby,
// what a primary has acknowledged can be missing from the standby that takes its
// place. A follower then gets scheduler.ErrTruncated, as far as it has read more.
//
// The package sets nothing in a session, so that it works behind a pooler in
// transaction mode; one that keeps no prepared statements needs
// default_query_exec_mode=exec in the name of the database for pgx. What should be
// limited is set at the role:
//
//	ALTER ROLE service SET statement_timeout = '30s';
//	ALTER ROLE service SET idle_in_transaction_session_timeout = '30s';
//
// The first bounds how long an append hangs on a server that does not get on, the
// second the one transaction of several statements that there is, in which Records
// reads: it holds no lock that anybody waits for, but hinders vacuum. Give the
// context of a call a deadline for a server that does not answer at all.
//
// [Dialect.Schema] has the tables for hosts whose role may not make them. An append
// is one row, and so is a part of a snapshot, of half a megabyte. What a snapshot
// replaces is deleted, 500 rows by statement.
//
// # Following
//
// Follow asks for the greatest Seq by one read of an index, after 10 ms when
// something has come and ever more rarely, up to twice a second, when not. It does
// not use LISTEN and NOTIFY: a commit with a notification takes a lock that is one
// for the whole server, a notification is lost with its connection, so that one has
// to ask all the same, and a pooler in transaction mode passes none on.
//
// # Electing
//
// An [Elector] holds a row of a table, which says until when by the database's clock.
// A lease that is not renewed is free after [ElectorConfig.TTL]; a leader that resigns
// frees it at once. The token of a lease is the time of the database in microseconds,
// or one more than the token before if that is greater: so it grows also where the
// row is deleted, and where the database is another one. See package lease for what
// is assumed of clocks. Do not set the clock of the server forward by seconds while a
// leader leads: its lease then ends before it knows, and only the token protects the
// journal.
//
// # Concurrency
//
// A [Journal] and an [Elector] are safe for concurrent use. Reading takes a
// connection of the pool until the iteration ends, so allow for two at least.
//
// # What it does not do
//
// It does not speak the SQL of MySQL. It reads from the primary only: what a replica
// of the database has is late.
package sqljournal
