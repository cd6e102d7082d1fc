package sqljournal

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// Dialect is the SQL that a database speaks.
type Dialect int

// The dialects.
const (
	// PostgreSQL 12 and later.
	PostgreSQL Dialect = 1
	// SQLite 3.42 and later, in WAL mode.
	SQLite Dialect = 2
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	default:
		return fmt.Sprintf("Dialect(%d)", int(d))
	}
}

func (d Dialect) validate() error {
	if d != PostgreSQL && d != SQLite {
		return &placement.InvalidError{Field: "dialect", Value: d.String(), Reason: "unknown"}
	}
	return nil
}

// Schema returns the statements that make the tables, separated by semicolons, for
// hosts that may not make tables themselves. They change nothing that is there.
func (d Dialect) Schema() string {
	bytes, small := "BYTEA", "SMALLINT"
	if d == SQLite {
		bytes, small = "BLOB", "INTEGER"
	}
	return strings.NewReplacer("BYTES", bytes, "SMALL", small).Replace(schema)
}

// In schema an entry has generation 0, and its row holds a batch of them of which
// the last has that seq. A part of a snapshot has the generation of that snapshot,
// which counts from the row with kind 2 on, the last part.
const schema = `CREATE TABLE IF NOT EXISTS constellation_tokens (
	journal TEXT NOT NULL PRIMARY KEY,
	token TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS constellation_records (
	journal TEXT NOT NULL,
	generation BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	part INTEGER NOT NULL,
	kind SMALL NOT NULL,
	data BYTES NOT NULL,
	PRIMARY KEY (journal, generation, seq, part));
CREATE INDEX IF NOT EXISTS constellation_snapshots ON constellation_records (journal, seq) WHERE kind = 2;
CREATE TABLE IF NOT EXISTS constellation_leases (
	name TEXT NOT NULL PRIMARY KEY,
	token BIGINT NOT NULL,
	holder TEXT NOT NULL,
	data BYTES NOT NULL,
	expires BIGINT NOT NULL)`

// present asks how many of the tables there are.
func (d Dialect) present() string {
	names := `('constellation_tokens', 'constellation_records', 'constellation_leases')`
	if d == SQLite {
		return `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ` + names
	}
	return `SELECT COUNT(to_regclass(name)) FROM (VALUES ('constellation_tokens'), ('constellation_records'), ('constellation_leases')) t (name)`
}

// lock makes a SELECT lock the rows that it yields until its statement ends. In
// SQLite a statement that writes has the whole file.
func (d Dialect) lock() string {
	if d == SQLite {
		return ""
	}
	return " FOR UPDATE"
}

// clock is the time by the database in microseconds since 1970.
func (d Dialect) clock() string {
	if d == SQLite {
		return `CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)`
	}
	return `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT`
}

// database runs statements, each as a transaction of its own.
type database struct {
	db      *sql.DB
	dialect Dialect
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// exec runs a statement that writes and returns how many rows it wrote. It is
// repeated where the server says that it had no effect: another one was at the same
// row, under an isolation of transactions that the host has chosen.
func (d database) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	for {
		text, args := d.dialect.render(statement, args)
		done, err := d.db.ExecContext(ctx, text, args...)
		if err == nil {
			return done.RowsAffected()
		}
		if !collided(err) || ctx.Err() != nil {
			return 0, err
		}
	}
}

// collided reports whether PostgreSQL has rolled a statement back because of
// another one: a serialization failure, or a deadlock.
func collided(err error) bool {
	var coded interface{ SQLState() string }
	return errors.As(err, &coded) && (coded.SQLState() == "40001" || coded.SQLState() == "40P01")
}

// queryRow reads one row, and returns sql.ErrNoRows if there is none.
func (d database) queryRow(ctx context.Context, q querier, query string, args []any, into ...any) error {
	rows, err := d.query(ctx, q, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	if !rows.Next() {
		return cmp.Or(rows.Err(), sql.ErrNoRows)
	}
	return errors.Join(rows.Scan(into...), rows.Close())
}

func (d database) query(ctx context.Context, q querier, query string, args ...any) (*sql.Rows, error) {
	text, args := d.dialect.render(query, args)
	return q.QueryContext(ctx, text, args...)
}

// render puts the arguments of a statement, $1 and so on, in their places as
// literals for PostgreSQL. A statement without arguments goes to the server as one
// message, which it carries out and commits before it waits for another; one with
// arguments is several, and a client that is paused or cut off after the one that
// carries it out leaves its locks behind until the connection ends. Nor does such a
// statement leave anything prepared in a session. What is not a number is written as
// hexadecimal digits, so that nothing in it is read as SQL.
func (d Dialect) render(statement string, args []any) (string, []any) {
	if d == SQLite {
		return statement, args
	}
	var text strings.Builder
	for {
		before, after, found := strings.Cut(statement, "$")
		text.WriteString(before)
		if !found {
			return text.String(), nil
		}
		statement = strings.TrimLeft(after, "0123456789")
		number, err := strconv.Atoi(after[:len(after)-len(statement)])
		if err != nil || number > len(args) {
			panic("sqljournal: no such argument: $" + after)
		}
		writeLiteral(&text, args[number-1])
	}
}

func writeLiteral(text *strings.Builder, arg any) {
	switch arg := arg.(type) {
	case int64:
		text.WriteString("(" + strconv.FormatInt(arg, 10) + ")")
	case string:
		text.WriteString("convert_from(decode('" + hex.EncodeToString([]byte(arg)) + "', 'hex'), 'UTF8')")
	case []byte:
		text.Grow(2*len(arg) + 20)
		text.WriteString("decode('")
		_, _ = hex.NewEncoder(text).Write(arg) // to memory
		text.WriteString("', 'hex')")
	default:
		panic(fmt.Sprintf("sqljournal: argument of type %T", arg))
	}
}
