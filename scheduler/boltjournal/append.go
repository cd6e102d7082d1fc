package boltjournal

import (
	"bytes"
	"context"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/scheduler"
)

// Append implements scheduler.Journal. Entries follow one another without a
// gap; one that does not is an OrderError. It is O(log n) for each record, and
// a snapshot is written while others append. n is the number of records in the
// file. Each transaction also looks at the path twice.
func (j *Journal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	snapshot := newestSnapshot(records)
	if snapshot == nil {
		return j.updateAs(ctx, token, func(tx *bolt.Tx, h *head) error { return appendRecords(tx, h, records, nil) })
	}
	select {
	case j.snapshots <- struct{}{}:
		defer func() { <-j.snapshots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	rest, err := j.stage(ctx, token, snapshot.Data)
	if err != nil {
		return err
	}
	err = j.updateAs(ctx, token, func(tx *bolt.Tx, h *head) error {
		staged := stagedSnapshot{Record: *snapshot, last: rest, partSize: j.sizes.part}
		return appendRecords(tx, h, records, &staged)
	})
	if err != nil {
		return err
	}
	j.prune(ctx)
	return nil
}

func newestSnapshot(records []scheduler.Record) *scheduler.Record {
	var newest *scheduler.Record
	for i, r := range records {
		if r.Kind == scheduler.RecordSnapshot && (newest == nil || r.Seq >= newest.Seq) {
			newest = &records[i]
		}
	}
	return newest
}

// stagedSnapshot is a snapshot whose parts but the last are in the file, where
// they do not count yet.
type stagedSnapshot struct {
	scheduler.Record
	last     []byte
	partSize int
}

// parts returns the number of parts, at least one.
func (s *stagedSnapshot) parts() uint32 { return uint32((len(s.Data)-len(s.last))/s.partSize) + 1 }

// stage writes the parts of a snapshot under the generation after the
// present, each in a transaction, and returns the last part unwritten. The caller
// must hold the token of snapshots.
func (j *Journal) stage(ctx context.Context, token uint64, data []byte) (last []byte, err error) {
	for part := uint32(0); len(data) > j.sizes.part; part++ {
		piece := data[:j.sizes.part]
		data = data[j.sizes.part:]
		err := j.updateAs(ctx, token, func(tx *bolt.Tx, h *head) error { return putPart(tx, h.generation+1, part, piece) })
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

func putPart(tx *bolt.Tx, generation uint64, part uint32, piece []byte) error {
	key := partKey(generation, part)
	return put(tx.Bucket([]byte(snapshotBucket)), key, seal(key, append(make([]byte, 0, len(piece)+checksumSize), piece...)))
}

func appendRecords(tx *bolt.Tx, h *head, records []scheduler.Record, snapshot *stagedSnapshot) error {
	entries := tx.Bucket([]byte(entryBucket))
	entries.FillPercent = 1 // keys only grow
	for _, r := range records {
		if r.Kind == scheduler.RecordSnapshot {
			h.last = max(h.last, r.Seq)
			continue
		}
		if r.Seq != h.last+1 {
			return &OrderError{Seq: r.Seq, Last: h.last}
		}
		h.last = r.Seq
		key := entryKey(r.Seq)
		if err := put(entries, key, encodeEntry(key, r)); err != nil {
			return err
		}
	}
	if snapshot == nil || h.parts > 0 && snapshot.Seq < h.snapshot {
		return nil
	}
	h.generation++
	h.snapshot, h.parts, h.size = snapshot.Seq, snapshot.parts(), uint64(len(snapshot.Data))
	return putPart(tx, h.generation, h.parts-1, snapshot.last)
}

// prune deletes what the snapshot has replaced, in steps. Failing is no harm:
// the next snapshot prunes again.
func (j *Journal) prune(ctx context.Context) {
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
			return
		}
	}
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
	for ; key != nil && binary.BigEndian.Uint64(key) <= h.snapshot && deleted < j.sizes.prune; key, _ = entries.First() {
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
	first, end := partKey(h.generation, 0), partKey(h.generation, h.parts)
	key, _ := parts.First()
	if key != nil && bytes.Compare(key, first) >= 0 {
		key, _ = parts.Seek(end)
	}
	if key == nil {
		return false, nil
	}
	return true, parts.Delete()
}
