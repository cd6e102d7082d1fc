package scheduler

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
)

// RecordKind tells entries from snapshots.
type RecordKind uint8

// The kinds of records.
const (
	// RecordEntry is what one call changed.
	RecordEntry RecordKind = iota + 1
	// RecordSnapshot is the whole state after the entry of the same Seq. All
	// records with smaller or equal Seq that came before it may be deleted,
	// and a snapshot with a smaller Seq than one that is there is void.
	RecordSnapshot
)

// Record is what a Journal keeps: bytes with a place in the order.
type Record struct {
	// Seq of the entry, from 1, or of the last entry that a snapshot holds.
	Seq uint64
	// Kind tells how Data is read.
	Kind RecordKind
	// Data is JSON with a version and a checksum; a journal keeps it as it is.
	Data []byte
}

// Journal keeps records durably and in order for one scheduler at a time.
// Implementations are safe for use by several schedulers at once, in one or
// in many processes: the token decides who may write.
type Journal interface {
	// Acquire durably makes token the highest, and returns a FencedError for
	// one that is lower than or equal to the highest so far. After it has
	// returned nil nobody with a token that was acquired before can append.
	Acquire(ctx context.Context, token uint64) error
	// Records yields the newest snapshot, if there is one, and the entries
	// after it by Seq, without gaps. It ends with the first error.
	Records(ctx context.Context) iter.Seq2[Record, error]
	// Append makes all records durable or none, and checks in the same atomic
	// step that no higher token has been acquired; otherwise it returns a
	// FencedError. Any other error means that the outcome is unknown.
	Append(ctx context.Context, token uint64, records []Record) error
}

// MemoryJournal is a Journal in memory. It stands for a shared database in
// tests and examples: several schedulers of one process may open it, one
// after the other or at once. The zero value is empty and ready.
type MemoryJournal struct {
	mu       sync.Mutex
	token    uint64
	snapshot *Record
	entries  []Record
}

// Acquire implements Journal.
func (j *MemoryJournal) Acquire(ctx context.Context, token uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if token <= j.token {
		return &FencedError{Token: token, Highest: j.token}
	}
	j.token = token
	return nil
}

// Records implements Journal over the records held when the iteration starts.
func (j *MemoryJournal) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		j.mu.Lock()
		var records []Record
		if j.snapshot != nil {
			records = append(records, *j.snapshot)
		}
		records = append(records, j.entries...)
		j.mu.Unlock()
		for _, r := range records {
			r.Data = slices.Clone(r.Data)
			if err := ctx.Err(); err != nil {
				yield(Record{}, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Append implements Journal. It keeps copies of the records and forgets what
// a snapshot replaces.
func (j *MemoryJournal) Append(ctx context.Context, token uint64, records []Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if token != j.token {
		return &FencedError{Token: token, Highest: j.token}
	}
	for _, r := range records {
		r.Data = slices.Clone(r.Data)
		if r.Kind != RecordSnapshot {
			j.entries = append(j.entries, r)
			continue
		}
		if j.snapshot != nil && r.Seq < j.snapshot.Seq {
			continue // from somebody who was slow
		}
		j.snapshot = &r
		keep, found := slices.BinarySearchFunc(j.entries, r.Seq, func(e Record, seq uint64) int {
			return cmp.Compare(e.Seq, seq)
		})
		if found {
			keep++
		}
		j.entries = slices.Clone(j.entries[keep:])
	}
	return nil
}
