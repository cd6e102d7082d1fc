package boltjournal

import (
	"bytes"
	"context"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/scheduler"
)

// Append implements scheduler.Journal. Entries follow one another without a
// gap, and so do the parts of a snapshot; what does not is an OrderError. It is
// one transaction, O(log n) for each record, and more of them to delete what a
// snapshot has replaced. n is the number of records in the file. Each transaction
// also looks at the path twice.
func (j *Journal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	replaces := false
	err := j.updateAs(ctx, token, func(tx *bolt.Tx, h *head) error {
		entries := tx.Bucket([]byte(entryBucket))
		entries.FillPercent = 1 // keys only grow
		for _, r := range records {
			if r.Kind == scheduler.RecordEntry {
				if err := appendEntry(entries, h, r); err != nil {
					return err
				}
				continue
			}
			if err := appendPart(tx, h, r); err != nil {
				return err
			}
			replaces = replaces || r.Kind == scheduler.RecordSnapshot
		}
		return nil
	})
	if err == nil && replaces {
		if err := j.prune(ctx); err != nil && ctx.Err() == nil {
			j.logger.Warn("boltjournal: what a snapshot has replaced could not be deleted", "error", err)
		}
	}
	return err
}

func appendEntry(entries *bolt.Bucket, h *head, r scheduler.Record) error {
	if r.Seq != h.last+1 {
		return &OrderError{Seq: r.Seq, Last: h.last}
	}
	h.last = r.Seq
	key := entryKey(r.Seq)
	return put(entries, key, encodeEntry(key, r))
}

// appendPart keeps a part under the generation after the present, which counts
// from the last part on.
func appendPart(tx *bolt.Tx, h *head, r scheduler.Record) error {
	if r.Part == 0 {
		h.staged = staged{seq: r.Seq}
	}
	if r.Seq != h.staged.seq || r.Part != int(h.staged.parts) {
		return &OrderError{Seq: r.Seq, Part: r.Part, Last: h.staged.seq, LastPart: int(h.staged.parts) - 1}
	}
	key := partKey(h.generation+1, h.staged.parts)
	value := append(make([]byte, 0, len(r.Data)+checksumSize), r.Data...)
	if err := put(tx.Bucket([]byte(snapshotBucket)), key, seal(key, value)); err != nil {
		return err
	}
	h.staged.parts++
	h.staged.size += uint64(len(r.Data))
	if r.Kind != scheduler.RecordSnapshot {
		return nil
	}
	if h.last = max(h.last, r.Seq); h.snapshot.parts == 0 || r.Seq >= h.snapshot.seq {
		h.generation++
		h.snapshot = h.staged
	}
	h.staged = staged{}
	return nil
}

// prune deletes what the snapshot has replaced, in steps. Failing is no harm:
// the next snapshot prunes again.
func (j *Journal) prune(ctx context.Context) error {
	for more := true; more; {
		err := j.update(ctx, func(tx *bolt.Tx, h *head) error {
			if more = !j.hasReaders(); !more {
				return nil // they may be reading it
			}
			var err error
			more, err = j.pruneStep(tx, h)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hasReaders reports whether anybody iterates over records.
func (j *Journal) hasReaders() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.readers > 0
}

// pruneStep deletes some of it, and reports whether there may be more.
func (j *Journal) pruneStep(tx *bolt.Tx, h *head) (more bool, err error) {
	entries := tx.Bucket([]byte(entryBucket)).Cursor()
	deleted := 0
	key, _ := entries.First()
	for ; key != nil && binary.BigEndian.Uint64(key) <= h.snapshot.seq && deleted < j.sizes.prune; key, _ = entries.First() {
		if err := entries.Delete(); err != nil {
			return false, err
		}
		deleted++
	}
	if deleted == j.sizes.prune {
		return true, nil
	}
	return prunePart(tx, h)
}

// prunePart deletes one part that does not count: of an earlier snapshot, or
// of one that never was completed.
func prunePart(tx *bolt.Tx, h *head) (more bool, err error) {
	parts := tx.Bucket([]byte(snapshotBucket)).Cursor()
	first, end := partKey(h.generation, 0), partKey(h.generation, h.snapshot.parts)
	key, _ := parts.First()
	if key != nil && bytes.Compare(key, first) >= 0 {
		key, _ = parts.Seek(end)
	}
	if key == nil {
		return false, nil
	}
	return true, parts.Delete()
}
