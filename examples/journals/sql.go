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

// sqlSchema is one row with the highest token, and the records. A snapshot has
// kind 2.
const sqlSchema = `
CREATE TABLE IF NOT EXISTS fence (one INTEGER PRIMARY KEY CHECK (one = 1), token CHAR(20) NOT NULL);
CREATE TABLE IF NOT EXISTS records (kind INTEGER, seq BIGINT, data BLOB, PRIMARY KEY (kind, seq));
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
			_, err := tx.ExecContext(ctx, `INSERT INTO records VALUES ($1, $2, $3)
				ON CONFLICT (kind, seq) DO UPDATE SET data = excluded.data`, r.Kind, r.Seq, r.Data)
			if err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM records WHERE seq < (SELECT MAX(seq) FROM records WHERE kind = 2)
			OR kind = 1 AND seq = (SELECT MAX(seq) FROM records WHERE kind = 2)`)
		return err
	})
}

// Records implements scheduler.Journal.
func (j sqlJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return listed(func() (records []scheduler.Record, err error) {
		rows, err := j.db.QueryContext(ctx, `SELECT kind, seq, data FROM records ORDER BY kind DESC, seq`)
		if err != nil {
			return nil, err
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var r scheduler.Record
			if err := rows.Scan(&r.Kind, &r.Seq, &r.Data); err != nil {
				return nil, err
			}
			records = append(records, r)
		}
		return records, rows.Err()
	})
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
