package raft

import (
	"errors"
	"fmt"
	"time"
)

// Errors of the election. They are found with errors.Is; those with data are
// wrapped in the structs of this file.
var (
	// ErrConfig says that a Config, a Start or a Configuration is invalid.
	ErrConfig = errors.New("raft: invalid configuration")
	// ErrMalformed says that bytes are not the encoding of what they should be.
	ErrMalformed = errors.New("raft: malformed encoding")
	// ErrTooLarge says that an encoding would be above its hard limit.
	ErrTooLarge = errors.New("raft: encoding is too large")

	// ErrNotLeader says that only a node with a running reign can do this.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrLeaderAlive says that a node is still bound by a promise not to elect
	// anybody else (rule 1).
	ErrLeaderAlive = errors.New("raft: bound by a promise to a leader")
	// ErrNotVoter says that the node named is not a voter.
	ErrNotVoter = errors.New("raft: not a voter")
	// ErrWitness says that the voter named is a witness, which never leads
	// (rule 10).
	ErrWitness = errors.New("raft: a witness does not lead")
	// ErrUnknownMember says that the configuration does not name the node.
	ErrUnknownMember = errors.New("raft: unknown member")
	// ErrWiped says that a node's store is not the one bound to its name
	// (rule 15): remove the member, add it again and promote it.
	ErrWiped = errors.New("raft: store is not the one bound to this name")
	// ErrSelf says that a leader cannot do this to itself: it transfers first.
	ErrSelf = errors.New("raft: a leader cannot do this to itself")
	// ErrTransferring says that a transfer is under way.
	ErrTransferring = errors.New("raft: a transfer is under way")
	// ErrTermLimit says that there is no term or version left to go to
	// (rule 11).
	ErrTermLimit = errors.New("raft: terms are used up")

	// ErrReconfigPending says that the current configuration is not yet
	// acknowledged by a quorum in this reign (rule 18). Trying again later works.
	ErrReconfigPending = errors.New("raft: configuration is not acknowledged yet")
	// ErrMemberExists says that the configuration names the node already.
	ErrMemberExists = errors.New("raft: member exists")
	// ErrMemberSilent says that a member has not answered within the minimal
	// election timeout, so that it cannot become a voter (rule 18) or the leader
	// (rule 5), nor be all that is left to keep a leader when another goes.
	ErrMemberSilent = errors.New("raft: member does not answer")
	// ErrMemberBehind says that a member lacks entries of the log, so that it cannot
	// become a voter (rule 33) or the leader yet, see BehindError.
	ErrMemberBehind = errors.New("raft: member lacks entries")
	// ErrNoLog says that the cluster keeps no log, or does not yet because a member
	// does not (rule 20).
	ErrNoLog = errors.New("raft: not every member keeps a log")
	// ErrFull says that too much is proposed that is not committed (rule 31). Trying
	// again later works, once a majority answers.
	ErrFull = errors.New("raft: too much is not committed")
)

// Errors of the shell around the core. They are found with errors.Is.
var (
	// ErrStopped says that Run has ended, or is about to.
	ErrStopped = errors.New("raft: node has stopped")
	// ErrRunning says that Run was called twice. A node runs once.
	ErrRunning = errors.New("raft: node was run before")
	// ErrSaveStalled says that a save took longer than the maximal election
	// timeout (rule 13). Its goroutine and the store's lock stay until the
	// operating system gives the write back.
	ErrSaveStalled = errors.New("raft: save does not return")
	// ErrStalled says that a call-out does not return, see StalledError.
	ErrStalled = errors.New("raft: call-out does not return")
	// ErrSaveFailed says that a save has failed. What is on the disk is
	// unknown, so that the node has ended (rule 13).
	ErrSaveFailed = errors.New("raft: save failed")
	// ErrTransport says that the transport's Serve has ended by itself.
	ErrTransport = errors.New("raft: transport failed")
	// ErrLeaseExpired is the cause with which a leadership's context ends when a
	// majority has not answered in time to keep the lease.
	ErrLeaseExpired = errors.New("raft: a majority did not answer in time to keep the lease")
	// ErrUnhealthy says that Config.Healthy has ended the reign.
	ErrUnhealthy = errors.New("raft: node is unhealthy")
	// ErrUnfit says that a member does not stand for election for now, see
	// Status.Abstains.
	ErrUnfit = errors.New("raft: member abstains from elections")
	// ErrDiverged says that a node has applied other entries than its leader, see
	// DivergedError. Remove the member and add it again with an empty store and log.
	ErrDiverged = errors.New("raft: the entries that were applied differ from the leader's")
	// ErrRestoreFailed says that the Machine has not taken in a snapshot, or that this
	// could not be read.
	ErrRestoreFailed = errors.New("raft: restoring the machine failed")
	// ErrOutcomeUnknown says that commands may become committed or not.
	ErrOutcomeUnknown = errors.New("raft: whether the proposal is committed is not known")
	// ErrTransferFailed says that no other member has taken over within the
	// maximal election timeout. The leader then stands for election again.
	ErrTransferFailed = errors.New("raft: transfer failed")
	// ErrResigned is the cause with which a leadership's context ends when the node
	// gives up the lead of its own accord.
	ErrResigned = errors.New("raft: leadership is given up")
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
	// ErrStale says that the state is intact but older than the last one that
	// was saved: it was restored from a backup. The node does not start, since it
	// may have voted in the meantime: remove the member, and the state with its
	// lock file, and add it as a new one.
	ErrStale = errors.New("raft: state is older than the last one saved")
	// ErrLocked says that another node, in this process or in another, uses
	// the store.
	ErrLocked = errors.New("raft: state is locked")
)

// MemberError says which member a refusal is about. It unwraps to Reason.
type MemberError struct {
	// ID is the member.
	ID string
	// Reason is one of the package's errors.
	Reason error
}

// Error implements error.
func (e *MemberError) Error() string { return fmt.Sprintf("%v: %q", e.Reason, e.ID) }

// Unwrap returns the reason.
func (e *MemberError) Unwrap() error { return e.Reason }

// BehindError says how far a member's log is. It unwraps to ErrMemberBehind.
type BehindError struct {
	// ID is the member.
	ID string
	// Match is up to which index it is known to have everything on disk, and Last
	// the end of the leader's log.
	Match, Last uint64
}

// Error implements error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("%v: %q has %d of %d", ErrMemberBehind, e.ID, e.Match, e.Last)
}

// Unwrap returns ErrMemberBehind.
func (e *BehindError) Unwrap() error { return ErrMemberBehind }

// NotLeaderError says who leads, as far as the node knows. It unwraps to
// ErrNotLeader.
type NotLeaderError struct {
	// Leader is the known leader, empty if there is none.
	Leader string
	// Term is the node's current term.
	Term uint64
}

// Error implements error.
func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return fmt.Sprintf("%v: no leader is known in term %d", ErrNotLeader, e.Term)
	}
	return fmt.Sprintf("%v: %q leads term %d", ErrNotLeader, e.Leader, e.Term)
}

// Unwrap returns ErrNotLeader.
func (e *NotLeaderError) Unwrap() error { return ErrNotLeader }

// LeaseExpiredError says that a reign has ended because a majority did not answer. It
// unwraps to ErrLeaseExpired, and to a NotLeaderError that knows of no other leader.
type LeaseExpiredError struct {
	// Term of the reign.
	Term uint64
	// Silence is how long ago the latest heartbeat was sent that a majority has
	// answered.
	Silence time.Duration
}

// Error implements error.
func (e *LeaseExpiredError) Error() string {
	return fmt.Sprintf("%v of term %d: none has for %v", ErrLeaseExpired, e.Term, e.Silence.Round(time.Millisecond))
}

// Unwrap returns ErrLeaseExpired and a NotLeaderError.
func (e *LeaseExpiredError) Unwrap() []error {
	return []error{ErrLeaseExpired, &NotLeaderError{Term: e.Term}}
}

// StoreError carries what is wrong with a stored state. It unwraps to Reason.
type StoreError struct {
	// Path is the state file, empty if the store is not a file.
	Path string
	// Reason is ErrNoState, ErrCorrupt, ErrForeign, ErrStale or ErrLocked.
	Reason error
	// Detail says more, for people; it may be empty.
	Detail string
}

// Error implements error.
func (e *StoreError) Error() string {
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
func (e *StoreError) Unwrap() error { return e.Reason }

// LogError says where a log on disk is corrupt: what cannot be read there was durable,
// or may have been. It unwraps to ErrCorrupt. The member is removed and added again with
// a new store and an empty log, or FileLog.CutCorrupt lets it fetch what is missing.
type LogError struct {
	// Path is the file, or the folder if a file is missing.
	Path string
	// Offset is where in the file the damage begins, in bytes.
	Offset int64
	// Index is the first entry that may be lost, 0 if it is a snapshot that cannot be
	// read.
	Index uint64
	// Detail says more, for people.
	Detail string
}

// Error implements error.
func (e *LogError) Error() string {
	return fmt.Sprintf("%v: %q at offset %d, from entry %d on: %s", ErrCorrupt, e.Path, e.Offset, e.Index, e.Detail)
}

// Unwrap returns ErrCorrupt.
func (e *LogError) Unwrap() error { return ErrCorrupt }
