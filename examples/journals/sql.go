package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/rads-project/constellation/scheduler"
)

// sqlSchema is one row that holds the highest token, and the records. A
// snapshot has kind 2. Numbers are signed in SQL, so a token is twenty digits,
// which sort as text; a Seq stays below 2^63.
const sqlSchema = `
CREATE TABLE IF NOT EXISTS fence (one INTEGER PRIMARY KEY CHECK (one = 1), token CHAR(20) NOT NULL);
CREATE TABLE IF NOT EXISTS records (kind INTEGER, seq BIGINT, data BLOB NOT NULL, PRIMARY KEY (kind, seq));
INSERT INTO fence VALUES (1, '00000000000000000000') ON CONFLICT DO NOTHING;`

// sqlJournal keeps the journal in a SQL database. The update of the one row of
// fence is what makes it safe: it locks the row until the transaction ends, so
// that nobody acquires between the look at the token and the commit.
type sqlJournal struct{ db *sql.DB }

// Acquire implements scheduler.Journal.
func (j sqlJournal) Acquire(ctx context.Context, token uint64) error {
	return j.fenced(ctx, token, `UPDATE fence SET token = ? WHERE token < ?`, func(*sql.Tx) error { return nil })
}

// Append implements scheduler.Journal.
func (j sqlJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	return j.fenced(ctx, token, `UPDATE fence SET token = ? WHERE token = ?`, func(tx *sql.Tx) error {
		for _, r := range records {
			if _, err := tx.ExecContext(ctx, `INSERT INTO records VALUES (?, ?, ?)
				ON CONFLICT (kind, seq) DO UPDATE SET data = excluded.data`, r.Kind, r.Seq, nonNil(r.Data)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM records WHERE seq < (SELECT MAX(seq) FROM records WHERE kind = 2)
			OR kind <> 2 AND seq = (SELECT MAX(seq) FROM records WHERE kind = 2)`)
		return err
	})
}

// Records implements scheduler.Journal.
func (j sqlJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		rows, err := j.db.QueryContext(ctx, `SELECT kind, seq, data FROM records ORDER BY kind = 2 DESC, seq`)
		if err != nil {
			yield(scheduler.Record{}, err)
			return
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var r scheduler.Record
			if err := rows.Scan(&r.Kind, &r.Seq, &r.Data); !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(scheduler.Record{}, err)
		}
	}
}

// fenced runs do in a transaction that claim has opened for the token.
func (j sqlJournal) fenced(ctx context.Context, token uint64, claim string, do func(*sql.Tx) error) (err error) {
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	claimed, err := tx.ExecContext(ctx, claim, digits(token), digits(token))
	if err != nil {
		return err
	}
	if n, err := claimed.RowsAffected(); err != nil || n == 0 {
		var highest uint64
		err = errors.Join(err, tx.QueryRowContext(ctx, `SELECT token FROM fence`).Scan(&highest))
		return errors.Join(err, &scheduler.FencedError{Token: token, Highest: highest})
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// digits writes a number so that the greater one sorts last.
func digits(n uint64) string { return fmt.Sprintf("%020d", n) }

// nonNil makes no data an empty BLOB instead of NULL.
func nonNil(data []byte) []byte { return append([]byte{}, data...) }
