package raft

import (
	"fmt"
	"io"
)

// A Log keeps the replicated log of one node durable, beside its Store. Both
// belong together: a node whose log is lost has lost what it has answered for, and
// must be removed and added again with a new store, as if that were lost. MemoryLog and
// FileLog are two; raft/rafttest has the suite that a third must pass.
//
// A node calls Open when Run begins, then the others any number of times, then Close
// when Run has ended. Append, Compact, Prove and SnapshotWriter.Keep are called by one
// goroutine at a time; the other methods of snapshots may be called beside these, each
// snapshot's by one goroutine at a time, until Close. A log may be opened again after
// Close. After an error it is unknown what a later Open will find; the node does not try
// again but ends.
type Log interface {
	// Open takes the log for the caller alone and returns what it holds. It fails with
	// ErrLocked while someone else has it open, with ErrForeign if it is the log of
	// another store than the one named, and with ErrCorrupt if it has lost what was
	// durable. begun says that this store has had a log before: then one that was never
	// opened is corrupt, else it begins empty. Nobody changes the entries that it
	// returns.
	Open(store StoreID, begun bool) (StoredLog, error)

	// Append makes the entries, at least one and each following the one before, the
	// end of the log and returns once that is durable. What the log has from the
	// index of the first on goes. A crash may leave it without what goes and with any
	// of the first of those that come. It may keep the Data of the entries, but not the
	// slice.
	Append(entries []Entry) error

	// Compact says that entries up to an index are needed no more, all of which the
	// snapshot has. When they go, and how many of them, is the log's own business.
	Compact(upTo uint64) error

	// Prove says that the log was found to have all that was committed. What
	// StoredLog.Unproven says is over with the next Append.
	Prove()

	// CreateSnapshot begins to write another snapshot.
	CreateSnapshot() (SnapshotWriter, error)

	// OpenSnapshot opens the snapshot to read it. It can be read until it is closed,
	// also when another has taken its place. It fails if there is none.
	OpenSnapshot() (SnapshotReader, error)

	// Close gives the log back. Closing a log that is not open does nothing.
	Close() error
}

// Snapshot says which state of the Machine the contents of a snapshot are. It is zero
// where there is none.
type Snapshot struct {
	// Last is the last entry that is in it.
	Last Position
	// Size is the length of the contents in bytes, and Checksum their CRC-32C.
	Size     int64
	Checksum uint32
	// Hash is the running hash of the entries up to Last, see Entry.Chain.
	Hash uint64
}

// StoredLog is what a Log holds.
type StoredLog struct {
	// Snapshot is the latest that was kept.
	Snapshot Snapshot
	// Entries are those that follow the snapshot, and any number that are in it: they
	// begin with index 1 or any other up to that behind the snapshot, and follow one
	// another. If they begin before the snapshot's end, they have its last entry.
	Entries []Entry
	// Unproven says that the end of the log may be missing though it was durable,
	// because the last of what was written cannot be read. It stays until Log.Prove.
	Unproven bool
}

// SnapshotWriter takes the contents of a snapshot. They are no part of the log until
// Keep has returned; what was neither kept nor discarded goes with the next Open.
type SnapshotWriter interface {
	// Writer appends to the contents.
	io.Writer
	// Sync returns once all that was written is durable.
	Sync() error
	// Keep has what was written and synced take the place of the log's snapshot. If the
	// log does not have the entry s.Last, all its entries go, at once or before the next
	// Open returns: then they are of another history, or end before. It returns once
	// that is durable.
	Keep(s Snapshot) error
	// Discard drops what was written. After Keep it does nothing.
	Discard() error
}

// SnapshotReader reads the contents of a snapshot.
type SnapshotReader interface {
	io.ReaderAt
	io.Closer
	// Snapshot says whose contents they are.
	Snapshot() Snapshot
}

// A Machine is what a node drives with the committed entries of the log, the same
// on every member. It begins empty with each Run. Its methods are called by one
// goroutine, which belongs to it.
type Machine interface {
	// Apply is given each committed entry once, in order from index 1 or from behind
	// the snapshot that was restored last, also the EntryStart of each term: no entry of
	// an earlier term comes after it. It must not change the entry. The reign of a leader
	// begins once all that was committed before is applied.
	Apply(e Entry)

	// Snapshot returns what writes the state as it is now, at once; WriteTo is called
	// beside later calls of Apply, once. An error of it ends the node.
	Snapshot() io.WriterTo

	// Restore replaces the state by one that a Machine of another member, or of an
	// earlier process, has written. It may be called at any time, and not only first. An
	// error ends the node.
	Restore(r io.Reader) error
}

// validateLog reports a Log without a Machine, or the other way round.
func validateLog(log Log, machine Machine) error {
	if (log == nil) != (machine == nil) {
		return fmt.Errorf("%w: Log and Machine belong together", ErrConfig)
	}
	if l, ok := log.(*FileLog); ok {
		return l.validate()
	}
	return nil
}
