package raft

import "fmt"

// A Store keeps the one durable record of one node (rules 12 to 16). MemoryStore
// and FileStore are two; raft/rafttest has the suite that a third must pass.
//
// A node calls Open when Run begins, then Save any number of times, then Close
// when Run has ended, from one goroutine at a time. A store may be opened again
// after Close.
type Store interface {
	// Open takes the store for the caller alone and returns what it holds. It
	// fails with ErrLocked while someone else has it open, and with ErrCorrupt
	// or ErrForeign if there is a record that cannot be used; it never returns
	// an older record than the last one saved, but fails with ErrStale if it
	// finds only such a one. After an error the store is closed and unchanged.
	Open() (StoredState, error)

	// Save replaces the record, all of it or nothing, and returns once that is
	// durable. It must not keep or change what the state refers to. After an
	// error it is unknown which of the two records a later Open will find; the
	// node does not try again but ends.
	Save(state HardState) error

	// Close gives the store back. Closing a store that is not open does nothing.
	Close() error
}

// StoredState is what Store.Open finds.
type StoredState struct {
	// State is the last record saved; the zero value if Found is false.
	State HardState
	// Found reports whether anything was ever saved.
	Found bool
	// Damage is non-nil if one of the two copies was corrupt. The next Save repairs
	// it.
	Damage error
}

// validateStore reports a Store that is none, as far as that can be seen.
func validateStore(store Store) error {
	switch s := store.(type) {
	case nil:
	case *FileStore:
		return s.validate()
	case *MemoryStore:
		if s != nil {
			return nil
		}
	default:
		return nil
	}
	return fmt.Errorf("%w: Store is missing", ErrConfig)
}
