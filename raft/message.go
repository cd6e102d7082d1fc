package raft

import (
	"fmt"
	"math"
	"time"
)

// termLimit is refused wherever it appears, so that no term or version can wrap
// (rule 11).
const termLimit = math.MaxUint64

// MessageKind says what a message is.
type MessageKind uint8

// The kinds of messages. Their numbers are part of the wire format.
const (
	// PreVoteRequest asks whether a campaign for Term could succeed.
	PreVoteRequest MessageKind = iota + 1
	// PreVoteAnswer answers it; Term is the answering node's own.
	PreVoteAnswer
	// VoteRequest asks for the vote of Term.
	VoteRequest
	// VoteAnswer answers it.
	VoteAnswer
	// Heartbeat is a leader's claim to Term, and asks for a promise.
	Heartbeat
	// HeartbeatAnswer answers it; Granted says that the promise was given.
	HeartbeatAnswer
	// TimeoutNow is a leader's request to campaign for Term+1 at once (rule 5).
	TimeoutNow
	// Refusal tells a member why its message was dropped (rule 15).
	Refusal
	// Append is a Heartbeat with entries of the leader's log, and a frame of its own.
	Append
	// AppendAnswer answers it; Granted says that the promise was given.
	AppendAnswer
	// InstallSnapshot is a Heartbeat with a part of a snapshot, for a member that lacks
	// entries which the leader has no more.
	InstallSnapshot
	// SnapshotAnswer answers it; Granted says that the promise was given.
	SnapshotAnswer

	lastMessageKind = SnapshotAnswer
)

// String returns the kind's name.
func (k MessageKind) String() string {
	switch k {
	case PreVoteRequest:
		return "PreVoteRequest"
	case PreVoteAnswer:
		return "PreVoteAnswer"
	case VoteRequest:
		return "VoteRequest"
	case VoteAnswer:
		return "VoteAnswer"
	case Heartbeat:
		return "Heartbeat"
	case HeartbeatAnswer:
		return "HeartbeatAnswer"
	case TimeoutNow:
		return "TimeoutNow"
	case Refusal:
		return "Refusal"
	case Append:
		return "Append"
	case AppendAnswer:
		return "AppendAnswer"
	case InstallSnapshot:
		return "InstallSnapshot"
	case SnapshotAnswer:
		return "SnapshotAnswer"
	default:
		return fmt.Sprintf("MessageKind(%d)", uint8(k))
	}
}

// RefusalReason says why a member is refused.
type RefusalReason uint8

// The reasons of a Refusal.
const (
	// RefusedWiped says that another store is bound to the member's name.
	RefusedWiped RefusalReason = iota + 1
	// RefusedTwin says that two processes speak under the member's name.
	RefusedTwin
	// RefusedConfiguration says that the member was started with other founding
	// members, or other Data or priorities of them, than the one that refuses it:
	// give all founders the same.
	RefusedConfiguration
	// RefusedRemoved says that a newer configuration does not name the member.
	RefusedRemoved
	// RefusedRestored says that a later process of the member's store was heard
	// before: the state comes from a backup, and has forgotten what the member has
	// promised since. Remove the member and add it again with an empty store.
	RefusedRestored

	lastReason = RefusedRestored
)

// String returns the reason for people.
func (r RefusalReason) String() string {
	switch r {
	case 0:
		return "none"
	case RefusedWiped:
		return "another store is bound to this name"
	case RefusedTwin:
		return "two processes speak under this name"
	case RefusedConfiguration:
		return "the founding members differ"
	case RefusedRemoved:
		return "this member was removed"
	case RefusedRestored:
		return "the state was put back from a backup"
	default:
		return fmt.Sprintf("RefusalReason(%d)", uint8(r))
	}
}

// Position is the last entry of a log (rule 8). It is zero until there is one.
type Position struct {
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
}

// before reports whether a log that ends at p is behind one that ends at o.
func (p Position) before(o Position) bool {
	return p.Term < o.Term || p.Term == o.Term && p.Index < o.Index
}

// Message is what members send each other (rule 8). A field that a kind does
// not use is zero.
type Message struct {
	Kind MessageKind
	// Cluster, From and To say whose message this is.
	Cluster, From, To string
	// StoreID, Incarnation and Boot say which store and which process sent it
	// (rule 15). Boot is drawn at random by each process.
	StoreID     StoreID
	Incarnation uint64
	Boot        uint64
	// Term is the sender's term; in a PreVoteRequest, the one it would campaign
	// for.
	Term uint64
	// Sequence numbers the requests and heartbeats of one process, from 1. In
	// answers and refusals it is that of the message they are about, and Asker the
	// Boot of the process that sent that: numbers of one process mean nothing to
	// another of the same name. In what a leader of a log sends it is the Boot of the
	// receiver, as far as the leader knows.
	Sequence uint64
	Asker    uint64
	// Granted is the outcome, in answers.
	Granted bool
	// Abstains, in a HeartbeatAnswer, says that the sender does not stand for
	// election, so that nobody hands over to it; in the grant of a vote or pre-vote, that
	// it counts only beside those of all other voters, because the sender's log may lack
	// something.
	Abstains bool
	// Reason is set in a Refusal.
	Reason RefusalReason
	// Promise is how long the sender of a vote request or heartbeat asks the
	// receiver to elect nobody else (rule 4), at most MaxPromise.
	Promise time.Duration
	// Transfer, in a VoteRequest, is the term whose leader has asked the sender
	// to campaign (rule 5), else 0.
	Transfer uint64
	// Level is the highest protocol level that the sender speaks.
	Level uint32
	// ConfigurationID and Digest name the sender's configuration.
	ConfigurationID ConfigurationID
	Digest          uint64
	// Configuration is that configuration itself: always in a VoteRequest and
	// PreVoteRequest, in a Heartbeat only for a member that showed an older one
	// (rule 19), else zero.
	Configuration Configuration
	// Last is the end of the sender's log, in vote requests.
	Last Position
	// Previous, in an Append, is the entry before Entries, zero for the beginning of
	// the log; the receiver takes Entries only if its log has that.
	Previous Position
	// Entries, in an Append, follow Previous one by one. There may be none.
	Entries []Entry
	// Commit, in an Append or a Heartbeat, is up to which index the leader knows
	// entries to be committed; 0 if it knows of none.
	Commit uint64
	// Match, in an answer to those, is up to which index the sender's durable log is
	// known to be that of the leader of Term; 0 if it is not known to be anywhere.
	Match uint64
	// Conflict, in an AppendAnswer, says that the sender's log does not have
	// Previous, else it is zero: it is the first entry of the term that the log has at
	// that index instead, or the index behind its end with a term of 0.
	Conflict Position
	// Check, in a Heartbeat, is the latest checkpoint that the leader knows, else zero.
	Check Checkpoint
	// Snapshot, in an InstallSnapshot and its answer, is the snapshot that is sent.
	Snapshot Snapshot
	// Offset is where Chunk begins in its contents or, in the answer, up to where the
	// sender has written them.
	Offset int64
	// Chunk, in an InstallSnapshot, is the next part of the contents.
	Chunk []byte
}
