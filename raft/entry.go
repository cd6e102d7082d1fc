package raft

import "fmt"

// EntryKind says what an entry of the log is.
type EntryKind uint8

// The kinds of entries. Their numbers are part of the wire format.
const (
	// EntryStart is the first entry that the leader of a term appends. It has no data.
	EntryStart EntryKind = iota + 1
	// EntryCommand is what the application has proposed.
	EntryCommand

	lastEntryKind = EntryCommand
)

// String returns the kind's name.
func (k EntryKind) String() string {
	switch k {
	case EntryStart:
		return "start"
	case EntryCommand:
		return "command"
	default:
		return fmt.Sprintf("EntryKind(%d)", uint8(k))
	}
}

// Entry is one entry of the replicated log. Two logs that have an entry of the same
// index and term are the same up to there.
type Entry struct {
	// Index is the entry's place in the log, from 1.
	Index uint64
	// Term is that of the leader who has appended it.
	Term uint64
	// Kind says what Data is.
	Kind EntryKind
	// Data is the application's. Nobody changes it once it is part of an entry.
	Data []byte
}

// position returns where the entry stands.
func (e Entry) position() Position { return Position{Term: e.Term, Index: e.Index} }
