package main

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/rads-project/constellation/scheduler"
)

// sqlJournal keeps the journal in a SQL database.
type sqlJournal struct{ db *sql.DB }

// sqlSchema is one row with the highest token, and the records. The parts of a
// snapshot count, as entries do, once the last of them is there.
const sqlSchema = `
CREATE TABLE IF NOT EXISTS fence (one INTEGER PRIMARY KEY CHECK (one = 1), token CHAR(20) NOT NULL);
CREATE TABLE IF NOT EXISTS records (counts INTEGER, seq BIGINT, part INTEGER, kind INTEGER, data BLOB,
	PRIMARY KEY (counts, seq, part));
INSERT INTO fence VALUES (1, '00000000000000000000') ON CONFLICT DO NOTHING;`

// Acquire implements scheduler.Journal.
func (j sqlJournal) Acquire(ctx context.Context, token uint64) error {
	return j.append(ctx, `UPDATE fence SET token = $1 WHERE token < $1`, token, nil)
}

// Append implements scheduler.Journal.
func (j sqlJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	return j.append(ctx, `UPDATE fence SET token = $1 WHERE token = $1`, token, records)
}

// append claims the fence for the token and adds records. The update is what
// makes it safe, also where it changes nothing: it locks the row until the
// transaction ends, so that nobody acquires in between.
func (j sqlJournal) append(ctx context.Context, claim string, token uint64, records []scheduler.Record) error {
	return j.transact(ctx, func(tx *sql.Tx) error {
		claimed, err := tx.ExecContext(ctx, claim, digits(token))
		if err != nil {
			return err
		}
		if n, err := claimed.RowsAffected(); err != nil || n == 0 {
			var highest string
			return errors.Join(err, tx.QueryRowContext(ctx, `SELECT token FROM fence`).Scan(&highest), deposed(token, highest))
		}
		for _, r := range records {
			if err := add(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// add adds a record, and with the last part of a snapshot lets that count
// instead of what it replaces, unless a later one does already.
func add(ctx context.Context, tx *sql.Tx, r scheduler.Record) error {
	exec := func(query string, args ...any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}
	insert := `INSERT INTO records (counts, seq, part, kind, data) VALUES ($1, $2, $3, $4, $5)`
	if r.Kind == scheduler.RecordEntry {
		return exec(insert, 1, r.Seq, r.Part, r.Kind, r.Data)
	}
	if r.Part == 0 { // what was never completed is void
		if err := exec(`DELETE FROM records WHERE counts = 0`); err != nil {
			return err
		}
	}
	err := exec(insert, 0, r.Seq, r.Part, r.Kind, r.Data)
	if err != nil || r.Kind == scheduler.RecordSnapshotPart {
		return err
	}
	return errors.Join(
		exec(`DELETE FROM records WHERE counts = 0 AND seq < (SELECT MAX(seq) FROM records WHERE counts = 1 AND kind = 2)`),
		exec(`DELETE FROM records WHERE counts = 1 AND seq <= (SELECT MAX(seq) FROM records WHERE counts = 0)`),
		exec(`UPDATE records SET counts = 1 WHERE counts = 0`),
	)
}

// Records implements scheduler.Journal. It holds one record at a time.
func (j sqlJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		rows, err := j.db.QueryContext(ctx, `SELECT kind, seq, part, data FROM records WHERE counts = 1 ORDER BY seq, part`)
		if err != nil {
			yield(scheduler.Record{}, err)
			return
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var r scheduler.Record
			err := rows.Scan(&r.Kind, &r.Seq, &r.Part, &r.Data)
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(scheduler.Record{}, err)
		}
	}
}

// transact runs do in a transaction, as every user of database/sql does.
func (j sqlJournal) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
