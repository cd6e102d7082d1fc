package sqljournal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/internal/batch"
)

// yieldFunc takes a record and reports whether the caller goes on.
type yieldFunc = func(scheduler.Record, error) bool

var (
	// errStopped: the caller of an iterator has stopped.
	errStopped = errors.New("stopped")
	// errReplaced: a newer snapshot has replaced what was being read.
	errReplaced = errors.New("sqljournal: entries are missing")
)

// Records implements scheduler.Journal. It reads in a transaction of its own, of
// which the server holds no lock that anybody waits for, a part of the snapshot or a
// batch of entries at a time. The transaction takes a connection of the pool until
// the iteration ends.
func (j *Journal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		if err := j.records(ctx, yield); err != nil && !errors.Is(err, errStopped) {
			yield(scheduler.Record{}, fmt.Errorf("sqljournal: read: %w", err))
		}
	}
}

func (j *Journal) records(ctx context.Context, yield yieldFunc) error {
	tx, err := j.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it has read only
	_, err = j.since(ctx, tx, 0, yield)
	return err
}

// tail is how far the journal goes.
type tail struct{ last, snapshot int64 }

func (j *Journal) tail(ctx context.Context, q querier) (p tail, err error) {
	err = j.queryRow(ctx, q, `SELECT
		COALESCE((SELECT MAX(seq) FROM constellation_records WHERE journal = $1 AND generation = 0), 0),
		COALESCE((SELECT MAX(seq) FROM constellation_records WHERE journal = $1 AND kind = 2), 0)`,
		[]any{j.cfg.Name}, &p.last, &p.snapshot)
	p.last = max(p.last, p.snapshot)
	return p, err
}

// since yields what comes after a Seq and returns the last Seq. It fails with
// errReplaced if a newer snapshot comes in between, which does not happen in a
// transaction.
func (j *Journal) since(ctx context.Context, q querier, after int64, yield yieldFunc) (int64, error) {
	p, err := j.tail(ctx, q)
	if err != nil || p.last == after {
		return p.last, err
	}
	if p.last < after {
		return 0, scheduler.ErrTruncated
	}
	at := after
	if p.snapshot > after {
		if at, err = j.snapshot(ctx, q, yield); err != nil {
			return 0, err
		}
	}
	for at < p.last {
		next, err := j.entries(ctx, q, at, p.last, yield)
		if err != nil {
			return 0, err
		}
		if next == at {
			return 0, errReplaced
		}
		at = next
	}
	return at, nil
}

// snapshot yields the snapshot that counts and returns its Seq.
func (j *Journal) snapshot(ctx context.Context, q querier, yield yieldFunc) (int64, error) {
	var generation, seq int64
	if err := j.queryRow(ctx, q, countingSnapshot, []any{j.cfg.Name}, &generation, &seq); err != nil {
		return 0, err
	}
	for part := 0; ; {
		r, err := j.part(ctx, q, generation, part)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, errReplaced
		}
		if err != nil {
			return 0, err
		}
		if !yield(r, nil) {
			return 0, errStopped
		}
		if part++; r.Kind == scheduler.RecordSnapshot {
			return seq, nil
		}
	}
}

func (j *Journal) part(ctx context.Context, q querier, generation int64, part int) (scheduler.Record, error) {
	var (
		r   = scheduler.Record{Part: part}
		seq int64
	)
	err := j.queryRow(ctx, q, `SELECT seq, kind, data FROM constellation_records
		WHERE journal = $1 AND generation = $2 AND part = $3`, []any{j.cfg.Name, generation, int64(part)}, &seq, &r.Kind, &r.Data)
	r.Seq = uint64(seq)
	return r, err
}

// readRows is how many batches of entries one statement reads.
const readRows = 256

// entries yields entries after a Seq, up to the last of some batches, and returns
// how far they go. Batches that others append meanwhile are left for later.
func (j *Journal) entries(ctx context.Context, q querier, after, last int64, yield yieldFunc) (int64, error) {
	rows, err := j.query(ctx, q, `SELECT data FROM constellation_records
		WHERE journal = $1 AND generation = 0 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4`, j.cfg.Name, after, last, int64(readRows))
	if err != nil {
		return 0, err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	var data sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&data); err != nil {
			return 0, err
		}
		if after, err = yieldBatch(data, after, yield); err != nil {
			return 0, err
		}
	}
	return after, rows.Err()
}

// yieldBatch yields the entries of a batch that come after a Seq.
func yieldBatch(data []byte, after int64, yield yieldFunc) (int64, error) {
	for len(data) > 0 {
		e, rest, ok := batch.Next(data)
		if data = rest; !ok {
			return 0, &scheduler.FormatError{Seq: uint64(after) + 1, Reason: "its batch is damaged"}
		}
		switch {
		case e.Seq <= uint64(after): // the snapshot has cut the batch in two
			continue
		case e.Seq != uint64(after)+1:
			return 0, errReplaced
		case !yield(e, nil):
			return 0, errStopped
		}
		after++
	}
	return after, nil
}

// Follow implements scheduler.FollowableJournal. It asks for the greatest Seq, by
// one read of an index, and after each time that there was nothing new it waits
// longer: see Config.PollMin. It holds no transaction between two statements.
func (j *Journal) Follow(ctx context.Context, after uint64) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		// No journal goes beyond what an integer of SQL holds.
		if err := j.follow(ctx, int64(min(after, math.MaxInt64)), yield); !errors.Is(err, errStopped) {
			yield(scheduler.Record{}, fmt.Errorf("sqljournal: follow: %w", err))
		}
	}
}

// follow returns an error that has not been yielded.
func (j *Journal) follow(ctx context.Context, after int64, yield yieldFunc) error {
	pause := j.cfg.PollMin
	for {
		before := after
		// What is yielded before errReplaced stays read.
		last, err := j.since(ctx, j.db, after, func(r scheduler.Record, err error) bool {
			if r.Kind != scheduler.RecordSnapshotPart {
				after = int64(r.Seq)
			}
			return yield(r, err)
		})
		switch {
		case errors.Is(err, errReplaced):
			continue
		case err != nil:
			return err
		}
		pause = min(2*pause, j.cfg.PollMax)
		if last > before {
			pause = j.cfg.PollMin
		}
		if !yield(scheduler.Record{Seq: uint64(last), Kind: scheduler.RecordCurrent}, nil) {
			return errStopped
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
