package raft

import (
	"errors"
	"fmt"
)

// Errors of stores and of what they hold. They are found with errors.Is.
var (
	// ErrNoState says that a node was to resume but its store has never saved
	// anything. A new cluster is started with Bootstrap, a new member with
	// Join; a node whose disk was lost is removed and added again.
	ErrNoState = errors.New("raft: no state")
	// ErrCorrupt says that a state is there but cannot be read. The node does
	// not start: beginning again with term 0 could give a second vote.
	ErrCorrupt = errors.New("raft: state is corrupt")
	// ErrForeign says that the state is intact but belongs to another cluster
	// or node, or was written by a later version.
	ErrForeign = errors.New("raft: state is foreign")
	// ErrLocked says that another node, in this process or in another, uses
	// the store.
	ErrLocked = errors.New("raft: state is locked")
)

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
	// an older record than the last one saved. After an error the store is
	// closed and unchanged.
	Open() (Record, error)

	// Save replaces the record, all of it or nothing, and returns once that is
	// durable. It must not keep or change what the state refers to. After an
	// error it is unknown which of the two records a later Open will find; the
	// node does not try again but ends.
	Save(state HardState) error

	// Close gives the store back. Closing a store that is not open does nothing.
	Close() error
}

// Record is what Store.Open finds.
type Record struct {
	// State is the last record saved; the zero value if Found is false.
	State HardState
	// Found reports whether anything was ever saved.
	Found bool
	// Damage is not nil if a redundant copy was bad. The next Save repairs it.
	Damage error
}

// StateError carries what is wrong with a stored state. It unwraps to Reason.
type StateError struct {
	// Path is the state file, empty if the store is not a file.
	Path string
	// Reason is ErrNoState, ErrCorrupt, ErrForeign or ErrLocked.
	Reason error
	// Detail says more, for people; it may be empty.
	Detail string
}

// Error implements error.
func (e *StateError) Error() string {
	text := e.Reason.Error()
	if e.Path != "" {
		text += fmt.Sprintf(": file %q", e.Path)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the reason.
func (e *StateError) Unwrap() error { return e.Reason }
