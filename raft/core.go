package raft

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Never is the Deadline of a Core that waits for messages only.
const Never = time.Duration(math.MaxInt64)

// Level is the highest protocol level that this version speaks (rule 20).
const Level = 1

// Role is what a node does in its term.
type Role uint8

// The roles.
const (
	// Follower listens.
	Follower Role = iota
	// PreCandidate asks whether it could win (rule 6).
	PreCandidate
	// Candidate asks for votes.
	Candidate
	// Leader has won its term. It may act only while its reign runs (rule 3).
	Leader
)

// String returns the role's name.
func (r Role) String() string {
	switch r {
	case Follower:
		return "follower"
	case PreCandidate:
		return "pre-candidate"
	case Candidate:
		return "candidate"
	case Leader:
		return "leader"
	default:
		return fmt.Sprintf("Role(%d)", uint8(r))
	}
}

// Effects is what one call asks its caller to do, in this order (rule 12): end
// the reign Lost, save State if Save is set, begin the reign Led, send Messages.
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
	// call of the Core; what is in it may be kept.
	Messages []Message
	// Refused is set when a member says why it drops this node's messages.
	Refused Reason
}

// Core is the election of one node as a pure state machine: messages and time
// go in, effects come out. Times are durations since any origin that the caller
// likes, the same for the life of the Core, and never go back.
//
// A Core is not safe for concurrent use.
type Core struct {
	cfg    Config
	random *rand.Rand
	boot   uint64
	lease  time.Duration

	// What is durable, or will be before the call's effects go on.
	hard   HardState
	digest uint64 // of hard.Configuration
	dirty  bool   // hard has changed in this call
	self   int    // index in hard.Configuration.Members, -1 if not there

	out      Effects
	counters Counters
}

// Status of a core that accessors give one by one.

// ID returns the node's name.
func (c *Core) ID() string { return c.cfg.ID }

// Term returns the current term.
func (c *Core) Term() uint64 { return c.hard.Term }

// Configuration returns the newest membership known. It is immutable.
func (c *Core) Configuration() Configuration { return c.hard.Configuration }

// Counters returns what has happened so far.
func (c *Core) Counters() Counters { return c.counters }
