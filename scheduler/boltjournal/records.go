package boltjournal

import (
	"context"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/scheduler"
)

// Records implements scheduler.Journal. It yields what is there when the
// iteration begins. No transaction is open while it yields: the caller may
// append. It holds a part of a snapshot in memory at a time, and entries by the
// megabyte.
func (j *Journal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		j.addReaders(1)
		defer j.addReaders(-1)
		if err := j.records(ctx, yield); err != nil {
			yield(scheduler.Record{}, err)
		}
	}
}

func (j *Journal) addReaders(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readers += n
}

// records returns an error that has not been yielded.
func (j *Journal) records(ctx context.Context, yield func(scheduler.Record, error) bool) error {
	var h head
	err := j.view(func(tx *bolt.Tx) (err error) {
		h, err = j.head(tx)
		return err
	})
	if err != nil {
		return err
	}
	for number := range h.snapshot.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		part, err := j.part(h, number)
		if err != nil || !yield(part, nil) {
			return err
		}
	}
	for next := h.snapshot.seq + 1; next <= h.last; {
		batch, err := j.entries(ctx, next, h.last)
		if err != nil {
			return err
		}
		for _, r := range batch {
			if !yield(r, nil) {
				return nil
			}
		}
		next += uint64(len(batch))
	}
	return ctx.Err()
}

// part reads a part of the snapshot.
func (j *Journal) part(h head, number uint32) (scheduler.Record, error) {
	part := scheduler.Record{Seq: h.snapshot.seq, Part: int(number), Kind: scheduler.RecordSnapshotPart}
	if number == h.snapshot.parts-1 {
		part.Kind = scheduler.RecordSnapshot
	}
	err := j.view(func(tx *bolt.Tx) error {
		key := partKey(h.generation, number)
		data, ok := unseal(key, tx.Bucket([]byte(snapshotBucket)).Get(key))
		if !ok {
			return &CorruptError{
				j.file.path, fmt.Sprintf("part %d of snapshot %d", number, part.Seq), "missing, or checksum does not match",
			}
		}
		part.Data = append([]byte{}, data...) // the page goes with the transaction
		return nil
	})
	return part, err
}

// entries reads at least one entry, and others that follow, in a transaction.
func (j *Journal) entries(ctx context.Context, next, last uint64) ([]scheduler.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var batch []scheduler.Record
	err := j.view(func(tx *bolt.Tx) error {
		cursor, size := tx.Bucket([]byte(entryBucket)).Cursor(), 0
		for key, value := cursor.Seek(entryKey(next)); next <= last && size < j.sizes.read; key, value = cursor.Next() {
			r, ok := decodeEntry(key, value)
			if !ok || r.Seq != next {
				return &CorruptError{j.file.path, fmt.Sprintf("entry %d", next), "missing, or checksum does not match"}
			}
			r.Data = append([]byte{}, r.Data...) // the page goes with the transaction
			batch = append(batch, r)
			size += len(r.Data) + 1
			next++
		}
		return nil
	})
	return batch, err
}
