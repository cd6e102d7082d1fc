package sqljournal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/internal/batch"
)

// row is a row of constellation_records.
type row struct {
	generation, seq int64
	part            int
	kind            scheduler.RecordKind
	data            []byte
}

// Append implements scheduler.Journal: one statement, which locks the row of the
// token, looks at it, and writes. With parts of a snapshot it first reads what there
// is of that, and with the last it deletes afterwards what the snapshot replaces.
func (j *Journal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	rows, err := j.rows(ctx, records)
	if err != nil || len(rows) == 0 {
		return errors.Join(j.held(ctx, token), err)
	}
	if err := j.insert(ctx, token, rows); err != nil {
		return err
	}
	if void := voidBelow(rows); void > 0 {
		if err := j.clean(ctx, void); err != nil && ctx.Err() == nil {
			j.cfg.Logger.Warn("sqljournal: what a snapshot has replaced could not be deleted", "journal", j.cfg.Name, "error", err)
		}
	}
	return nil
}

// held returns an error unless the token is the highest.
func (j *Journal) held(ctx context.Context, token uint64) error {
	highest, err := j.highest(ctx)
	if err == nil && highest != token {
		err = &scheduler.FencedError{Token: token, Highest: highest}
	}
	return err
}

// rows returns what to insert.
func (j *Journal) rows(ctx context.Context, records []scheduler.Record) ([]row, error) {
	var (
		entries []scheduler.Record
		rows    []row
		open    *openSnapshot
	)
	for _, r := range records {
		if r.Seq > math.MaxInt64 {
			return nil, fmt.Errorf("sqljournal: Seq %d is more than an integer of SQL holds", r.Seq)
		}
		if r.Kind == scheduler.RecordEntry {
			entries = append(entries, r)
			continue
		}
		if open == nil {
			var err error
			if open, err = j.openSnapshot(ctx); err != nil {
				return nil, err
			}
		}
		part, err := open.add(r)
		if err != nil {
			return nil, err
		}
		rows = append(rows, part)
	}
	if len(entries) > 0 {
		last := entries[len(entries)-1].Seq
		rows = append(rows, row{seq: int64(last), kind: scheduler.RecordEntry, data: batch.Encode(entries)})
	}
	return rows, nil
}

// openSnapshot is the newest snapshot, whose parts may go on.
type openSnapshot struct {
	generation, seq int64
	next            int // part, or 0 if it is complete
}

func (j *Journal) openSnapshot(ctx context.Context) (*openSnapshot, error) {
	var (
		s    openSnapshot
		kind scheduler.RecordKind
	)
	err := j.queryRow(ctx, j.db, `SELECT generation, seq, part, kind FROM constellation_records
		WHERE journal = $1 AND generation > 0 ORDER BY generation DESC, seq DESC, part DESC LIMIT 1`,
		[]any{j.cfg.Name}, &s.generation, &s.seq, &s.next, &kind)
	if errors.Is(err, sql.ErrNoRows) {
		return &s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sqljournal: read the newest snapshot: %w", err)
	}
	if s.next++; kind == scheduler.RecordSnapshot {
		s.next = 0
	}
	return &s, nil
}

// add returns the row of the next part.
func (s *openSnapshot) add(r scheduler.Record) (row, error) {
	if r.Part == 0 {
		s.generation, s.seq, s.next = s.generation+1, int64(r.Seq), 0
	} else if r.Part != s.next || int64(r.Seq) != s.seq {
		return row{}, fmt.Errorf("sqljournal: part %d of snapshot %d does not follow the part before", r.Part, r.Seq)
	}
	if s.next++; r.Kind == scheduler.RecordSnapshot {
		s.next = 0
	}
	return row{s.generation, s.seq, r.Part, r.Kind, append([]byte{}, r.Data...)}, nil // not NULL
}

// insert adds rows if the token is the highest.
func (j *Journal) insert(ctx context.Context, token uint64, rows []row) error {
	var (
		values strings.Builder
		args   = []any{j.cfg.Name, digits(token)}
	)
	for i, r := range rows {
		if i > 0 {
			values.WriteString(", ")
		}
		args = append(args, r.data)
		fmt.Fprintf(&values, "(%d, %d, %d, %d, $%d)", r.generation, r.seq, r.part, r.kind, len(args))
	}
	n, err := j.exec(ctx, `WITH held AS (SELECT journal FROM constellation_tokens WHERE journal = $1 AND token = $2`+j.dialect.lock()+`)
		INSERT INTO constellation_records (journal, generation, seq, part, kind, data)
		SELECT held.journal, v.* FROM held, (VALUES `+values.String()+`) AS v`, args...)
	switch {
	case err != nil:
		return fmt.Errorf("sqljournal: append: %w", err)
	case n == 0:
		return j.fenced(ctx, token)
	case n != int64(len(rows)):
		return fmt.Errorf("sqljournal: appended %d rows of %d", n, len(rows))
	}
	return nil
}

// voidBelow returns the generation up to which only the snapshot that counts does,
// 0 if nothing has changed about that.
func voidBelow(rows []row) int64 {
	void := int64(0)
	for _, r := range rows {
		if r.generation > 0 && r.part == 0 {
			void = r.generation - 1
		}
		if r.kind == scheduler.RecordSnapshot {
			void = r.generation
		}
	}
	return void
}

// cleanRows is how many rows one statement deletes.
const cleanRows = 500

// clean deletes what no reader needs: entries that the snapshot holds which counts,
// and of the generations up to one all but that snapshot. It looks at no token: what
// is void stays so.
func (j *Journal) clean(ctx context.Context, generation int64) error {
	for {
		n, err := j.exec(ctx, `DELETE FROM constellation_records WHERE journal = $1 AND (generation, seq, part) IN (
			WITH counts AS (`+countingSnapshot+`)
			SELECT r.generation, r.seq, r.part FROM constellation_records r, counts c WHERE r.journal = $1 AND
				(r.generation = 0 AND r.seq <= c.seq OR r.generation > 0 AND r.generation <= $2 AND r.generation <> c.generation)
			LIMIT $3)`, j.cfg.Name, generation, int64(cleanRows))
		if err != nil || n < cleanRows {
			return err
		}
	}
}

// countingSnapshot selects the snapshot that counts.
const countingSnapshot = `SELECT generation, seq FROM constellation_records WHERE journal = $1 AND kind = 2
	ORDER BY seq DESC, generation DESC LIMIT 1`
