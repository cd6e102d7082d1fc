package raft

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// A Log keeps the replicated log of one node durable, beside its Store. Both
// belong together: a node whose log is lost has lost what it has answered for, and
// must be removed and added again with a new store, as if that were lost.
//
// A node calls Open when Run begins, then Append any number of times, then Close
// when Run has ended, from one goroutine at a time. A log may be opened again after
// Close.
type Log interface {
	// Open takes the log for the caller alone and returns its entries, from index 1.
	// It fails with ErrLocked while someone else has it open. Nobody changes the
	// entries that it returns.
	Open() ([]Entry, error)

	// Append makes the entries, at least one and each following the one before, the
	// end of the log and returns once that is durable. What the log has from the
	// index of the first on goes. A crash may leave it without what goes and with any
	// of the first of those that come. It may keep the entries. After an error it is
	// unknown what a later Open will find; the node does not try again but ends.
	Append(entries []Entry) error

	// Close gives the log back. Closing a log that is not open does nothing.
	Close() error
}

// A Machine is what a node drives with the committed entries of the log, the same
// on every member. It begins empty with each Run.
type Machine interface {
	// Apply is given each committed entry once, in order from index 1, also the
	// EntryStart of each term: no entry of an earlier term comes after it. It is called
	// on one goroutine, which belongs to it, and must not change the entry. The reign of
	// a leader begins once all that was committed before is applied.
	Apply(e Entry)
}

// MemoryLog keeps a node's log in memory: it goes with a MemoryStore, for tests and
// for clusters whose members never restart.
//
// The zero value is an empty log. It is safe for concurrent use, so that two nodes
// may try to open the same one.
type MemoryLog struct {
	mu      sync.Mutex
	open    bool
	entries []Entry
}

var _ Log = (*MemoryLog)(nil)

// Open implements Log.
func (l *MemoryLog) Open() ([]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		return nil, &StoreError{Reason: ErrLocked}
	}
	l.open = true
	return slices.Clip(l.entries), nil
}

// Append implements Log. It takes amortized time in proportion to the entries, and
// to the whole log if some of that goes.
func (l *MemoryLog) Append(entries []Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return errors.New("raft: append to a log that is not open")
	}
	if len(entries) == 0 {
		return nil
	}
	after := entries[0].Index - 1
	if end := uint64(len(l.entries)); after > end {
		return fmt.Errorf("raft: append of entry %d to a log of %d", entries[0].Index, end)
	} else if after < end {
		l.entries = slices.Clip(l.entries[:after])
	}
	l.entries = append(l.entries, entries...)
	return nil
}

// Close implements Log. The entries stay for the next Open.
func (l *MemoryLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
	return nil
}

// validateLog reports a Log without a Machine, or the other way round.
func validateLog(log Log, machine Machine) error {
	if (log == nil) != (machine == nil) {
		return fmt.Errorf("%w: Log and Machine belong together", ErrConfig)
	}
	return nil
}
