package raft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// MemoryLog keeps a node's log in memory: it goes with a MemoryStore, for tests and
// for clusters whose members never restart.
//
// The zero value is an empty log. It is safe for concurrent use, so that two nodes
// may try to open the same one.
type MemoryLog struct {
	mu       sync.Mutex
	open     bool
	store    StoreID // whose log this is, zero before it was first opened
	entries  []Entry // one after the other
	snapshot Snapshot
	contents []byte // of snapshot, never changed
}

var _ Log = (*MemoryLog)(nil)

var errLogClosed = errors.New("raft: the log is not open")

// Open implements Log.
func (l *MemoryLog) Open(store StoreID, begun bool) (StoredLog, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open:
		return StoredLog{}, &StoreError{Reason: ErrLocked}
	case l.store == store:
	case l.store != StoreID{}:
		return StoredLog{}, &StoreError{Reason: ErrForeign, Detail: fmt.Sprintf("it is the log of store %v", l.store)}
	case begun:
		return StoredLog{}, &StoreError{Reason: ErrCorrupt, Detail: "the store has had a log, and there is none"}
	}
	l.open, l.store = true, store
	return StoredLog{Snapshot: l.snapshot, Entries: slices.Clip(l.entries)}, nil
}

// first returns the index of the first entry, or of the one to come.
func (l *MemoryLog) first() uint64 {
	if len(l.entries) > 0 {
		return l.entries[0].Index
	}
	return l.snapshot.Last.Index + 1
}

// Append implements Log. It takes amortized time in proportion to the entries, and
// to the whole log if some of that goes.
func (l *MemoryLog) Append(entries []Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return errLogClosed
	}
	if len(entries) == 0 {
		return nil
	}
	from, first, end := entries[0].Index, l.first(), l.first()+uint64(len(l.entries))
	switch {
	case from < first || from > end:
		return fmt.Errorf("raft: append of entry %d to a log from %d to %d", from, first, end-1)
	case from < end:
		l.entries = slices.Clip(l.entries[:from-first])
	}
	l.entries = append(l.entries, entries...)
	return nil
}

// Compact implements Log. It takes time in proportion to what is left.
func (l *MemoryLog) Compact(upTo uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return errLogClosed
	}
	if gone := min(upTo, l.snapshot.Last.Index); gone > l.first() { // The last of them stays: it says what is before the rest.
		l.entries = slices.Clone(l.entries[min(gone-l.first(), uint64(len(l.entries))):])
	}
	return nil
}

// Prove implements Log. The end of a log in memory is never missing.
func (*MemoryLog) Prove() {}

// CreateSnapshot implements Log.
func (l *MemoryLog) CreateSnapshot() (SnapshotWriter, error) { return &memorySnapshot{log: l}, nil }

// OpenSnapshot implements Log.
func (l *MemoryLog) OpenSnapshot() (SnapshotReader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapshot == (Snapshot{}) {
		return nil, errors.New("raft: there is no snapshot")
	}
	return &memoryContents{Reader: bytes.NewReader(l.contents), snapshot: l.snapshot}, nil
}

// Close implements Log. What it holds stays for the next Open.
func (l *MemoryLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
	return nil
}

// memorySnapshot is a SnapshotWriter of a MemoryLog.
type memorySnapshot struct {
	bytes.Buffer
	log *MemoryLog
}

func (*memorySnapshot) Sync() error { return nil }

func (w *memorySnapshot) Keep(s Snapshot) error {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return errLogClosed
	}
	if int64(w.Len()) != s.Size {
		return fmt.Errorf("raft: %d bytes of a snapshot of %d", w.Len(), s.Size)
	}
	at := s.Last.Index - l.first() // It wraps if the entry is before the first.
	if at >= uint64(len(l.entries)) || l.entries[at].Term != s.Last.Term {
		l.entries = nil
	}
	l.snapshot, l.contents = s, w.Bytes()
	w.Buffer = bytes.Buffer{}
	return nil
}

func (w *memorySnapshot) Discard() error {
	w.Buffer = bytes.Buffer{}
	return nil
}

// memoryContents is a SnapshotReader of a MemoryLog.
type memoryContents struct {
	*bytes.Reader
	snapshot Snapshot
}

func (r *memoryContents) Snapshot() Snapshot { return r.snapshot }
func (*memoryContents) Close() error         { return nil }
