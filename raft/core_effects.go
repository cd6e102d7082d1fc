package raft

// Effects is what one call asks its caller to do, in this order (rule 12): end
// the reign Lost, save State if Save is set, begin to save Append, begin the reign
// Led, send Messages, begin to write Chunk, begin to Restore, apply what is up to Commit.
// A caller that cannot save does none of what comes after, ends the reign, and
// drops the Core.
type Effects struct {
	// Lost is the term of the reign that ended, 0 if none did.
	Lost uint64
	// Save says that State must be durable before anything below happens.
	Save bool
	// State is the record to save. It shares the immutable Configuration.
	State HardState
	// Led is the term of the reign that began, 0 if none did. It is the fencing
	// token.
	Led uint64
	// Messages are to be sent, in any order. The slice is valid until the next
	// call of the Core; what is in it may be kept. The Chunk of an InstallSnapshot has
	// its length, and is to be filled with the contents of that snapshot from Offset on.
	Messages []Message
	// Append is to be made durable after State: it takes the place of what the log
	// has from the index of its first entry on. It may go on while the Core is called
	// again, one Append after the other; when one is durable, call Saved with its
	// last entry, before the next but one message is given to Step.
	Append []Entry
	// Commit is up to which index entries have become committed, 0 if none did in
	// this call. They may be applied, in order; call Applied then.
	Commit uint64
	// Chunk is to be written, beside all else, after the one before; call Received then.
	// Once the last of a snapshot is, its checksum is to be compared, and then the log
	// to keep it, after each Append before. It is zero if there is none.
	Chunk Chunk
	// Restore is the snapshot that the log has kept, of which the application is to take
	// the state before it applies what comes; call Applied then. Entries up to it are
	// gone. It is zero if there is none.
	Restore Snapshot
	// Compact is up to which index the log needs entries no more, 0 if nothing is said.
	Compact uint64
	// Proven says that the log, whose end may have been missing, has all that was
	// committed: call Log.Prove once Append is durable.
	Proven bool
	// Diverged is an index up to which the leader has applied other entries than this
	// node, which must not go on; 0 if that is not known.
	Diverged uint64
	// Refused is set when a member says why it drops this node's messages.
	Refused RefusalReason
}
