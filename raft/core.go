package raft

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// Never is the Deadline of a Core that waits for messages only.
const Never = time.Duration(math.MaxInt64)

// Level is the highest protocol level that this version speaks (rule 20 of PROTOCOL.md).
// A core speaks it if it keeps a log, and the one below if not.
const Level = logLevel

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

// Core is the election of one node as a pure state machine: messages and time
// go in, effects come out. Times are durations since any origin that the caller
// likes, the same for the life of the Core; a time before the latest one seen
// counts as that.
//
// Every call first does what has fallen due (rule 2), so a call that returns an
// error may still return effects. A Core is not safe for concurrent use. A call takes
// at most O(m log m) in the number of members.
type Core struct {
	cfg    Config
	random *rand.Rand
	boot   uint64
	level  uint32
	lease  time.Duration // length of a lease
	faults faults

	now      time.Duration // of the call
	out      Effects       // of the call
	counters Counters

	hard   HardState // durable once the effects of the call are done
	dirty  bool      // hard has changed in this call
	digest uint64    // of hard.Configuration
	self   int       // where the configuration names this very store, else -1
	voters int       // in the configuration
	peers  []peer    // what is known of each member, this node's own included

	role          Role
	leader        string // of hard.Term once known: it never changes in a term
	following     bool   // leader was heard and not given up since
	lastHeartbeat uint64 // highest heartbeat of this term (rule 8)
	log           entryLog
	received      received    // as Follower
	incoming      incoming    // as Follower
	checks        checkpoints // rule 37
	withholds     bool        // it has refused a shorter log since there was a leader
	promise       promise
	given         given         // for how long the promise on record is needed
	electionAt    time.Duration // when to give the leader up; Never for a leader
	sequence      uint64        // last one used by this process
	campaign      campaign      // as PreCandidate and Candidate
	abstains      bool          // set by the shell: it does not stand for election
	reign         leaderState   // as Leader
}

// faults switches single rules off. Only tests set it, to show that they would
// notice.
type faults struct {
	clearPromiseOnTerm    bool // rule 1: a promise outlives the term
	campaignWhileBound    bool // rule 1: no vote for oneself while bound
	leaseFromReceipt      bool // rule 2: a lease counts from the sending
	noBlackout            bool // rule 4: silence after a restart
	ownPromiseLength      bool // rule 4: a promise is as long as asked
	forgetPromises        bool // rule 4: a promise stays on record while it binds
	renewAfterTransfer    bool // rule 5: no lease after TimeoutNow
	transferToSilent      bool // rule 5: no transfer to a silent member
	keepPreCampaign       bool // rule 6: a grant ends the pre-campaign
	followForever         bool // rule 6: who does not stand forgets a silent leader
	countDuplicateVotes   bool // rule 8: votes are a set
	resetVoteOnEqualTerm  bool // rule 8: a heartbeat keeps the vote
	countStrayAnswers     bool // rule 8: answers count for who has asked
	followAnyTerm         bool // rule 11: no jump of terms
	trustLateFrames       bool // rule 15: a late message is no twin
	keepReplacedPeers     bool // rule 15: another owner is another peer
	bindLateStores        bool // rule 15: bind the store that answers
	voteUnnamed           bool // rule 16: no vote before the own store is named
	ignoreConfigurationID bool // rule 17: no vote for an older configuration
	hideConfiguration     bool // rule 17: who does not stand shows its configuration
	reconfigUnconfirmed   bool // rule 18: a quorum before a change
	dropUnknownCandidates bool // rule 19: hear unknown candidates
	keepOldBindings       bool // rule 19: ask for newer bindings
	voteForShorterLogs    bool // rule 25: no vote for a log that lacks something
	commitEarlierTerms    bool // rule 27: count entries of the own term alone
	reignBeforeStart      bool // rule 27: a reign begins with its start applied
	countUnsaved          bool // rule 28: the leader counts what it has saved
	answerUnsaved         bool // rule 28: a follower answers what it has saved
	savedByIndex          bool // rule 28: what is saved is told by term and index
	commitUnverified      bool // rule 28: commit what is known to be the leader's
	neverSendAgain        bool // rule 29: send again what was lost
	appendUnchecked       bool // rule 29: entries follow what the leader has
	appendsKeepNoLease    bool // rule 30: an append is a heartbeat, too
	transferToBehind      bool // rule 32: no transfer to who lacks something
	appendWhileClosing    bool // rule 34: take nothing while a snapshot is kept
	keepConflictingLog    bool // rule 34: drop the log where it conflicts
	dropUnderWay          bool // rule 34: keep what follows a snapshot under way
	neverCompare          bool // members compare what they have applied
	proposeWithoutBound   bool // rule 31: bound what is not committed
	reconfigUncommitted   bool // rule 33: commit before a change
	trustUnproven         bool // rule 35: a log whose end may be missing is compared
	proveByAnyAppend      bool // rule 35: by a leader that knows this process
	neverBridge           bool // rule 33: who does not stand hands on what it has
	frozenMembership      bool // no rule: it makes the explorer's world smaller
}

// peer is what a node knows of one member.
type peer struct {
	process
	progress
	// shown is the configuration that its last message named.
	shown ConfigurationID
	// level is the highest that it speaks.
	level uint32

	// As leader: acked is when the latest round that it answered was first
	// sent, long ago if none; abstains, that it does not stand for election, as
	// its latest answer says; confirmed, that it has answered one with the current
	// configuration (rule 18).
	acked               time.Duration
	abstains, confirmed bool
	// named is this node's last question before the member had its name; owner is
	// the store that has answered a heartbeat since, and so is to be bound to it.
	named uint64
	owner StoreID
}

// longAgo is before any time that counts.
const longAgo = time.Duration(math.MinInt64 / 2)

// NewCore returns a core that begins at now with a state from StartState. boot
// is drawn at random for each process: safety rests on it that no two processes
// under one name have the same. It fails with ErrConfig.
func NewCore(cfg Config, state HardState, boot uint64, now time.Duration) (*Core, error) {
	return newCore(cfg, state, boot, now, logLevel-1)
}

// NewCoreWithLog is NewCore for a node that keeps a log, of which its disk has this. Of
// a snapshot all is committed; the caller applies it, and says so with Applied. It fails
// with ErrCorrupt, too, if this is no log of the state. Without entries it takes as long
// as NewCore, else time in proportion to their number. The cluster begins to replicate
// once every member keeps a log (rule 20).
func NewCoreWithLog(cfg Config, state HardState, stored StoredLog, boot uint64, now time.Duration) (*Core, error) {
	if err := stored.validate(state.Term); err != nil {
		return nil, err
	}
	c, err := newCore(cfg, state, boot, now, logLevel)
	if err != nil {
		return nil, err
	}
	c.log = newEntryLog(stored)
	return c, nil
}

func newCore(cfg Config, state HardState, boot uint64, now time.Duration, level uint32) (*Core, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Rand == nil {
		return nil, fmt.Errorf("%w: Rand is missing", ErrConfig)
	}
	if err := state.validate(); err != nil {
		return nil, err
	}
	if state.Configuration.Level > level {
		return nil, fmt.Errorf("%w: protocol level %d, at most %d is spoken", ErrConfig, state.Configuration.Level, level)
	}
	if state.Cluster != cfg.Cluster || state.Node != cfg.ID || state.StoreID == (StoreID{}) {
		return nil, fmt.Errorf("%w: state of node %q in cluster %q", ErrConfig, state.Node, state.Cluster)
	}
	c := &Core{
		cfg:    cfg,
		random: rand.New(rand.NewPCG(cfg.Rand.Uint64(), nameSeed(cfg.ID))),
		boot:   boot,
		level:  level,
		lease:  cfg.lease(),
		now:    now,
		hard:   state,
	}
	c.reign.rounds = make([]time.Duration, cfg.ElectionTimeoutMin/cfg.HeartbeatInterval+2)
	c.configure(state.Configuration)
	c.given.since = now
	c.blackout()
	c.resetElection()
	return c, nil
}

// nameSeed makes the timeouts of members differ that were given the same Rand:
// they would campaign in step, and none of them would win.
func nameSeed(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // It never fails, see hash.Hash.
	return h.Sum64()
}

// Step handles one message. Whatever the message says, Step does not panic, and
// what no member would send changes nothing but Counters.
func (c *Core) Step(now time.Duration, m Message) Effects {
	c.begin(now)
	if sender, ok := c.admit(&m); ok {
		c.handle(sender, &m)
	}
	return c.end()
}

// Tick does what is due. It may be called at any time.
func (c *Core) Tick(now time.Duration) Effects {
	c.begin(now)
	return c.end()
}

// Deadline returns when Tick is to be called next, Never if only a message can
// change anything.
func (c *Core) Deadline() time.Duration {
	switch {
	case c.role == Leader && c.reign.leased:
		return min(c.reign.heartbeatAt, c.reign.leaseEnd)
	case c.role == Leader:
		return min(c.reign.heartbeatAt, c.reign.graceEnd)
	case c.role == Follower:
		return c.electionAt
	default:
		return min(c.electionAt, c.campaign.retryAt)
	}
}

// begin opens a call: it applies all deadlines up to now, so that nothing is
// decided by a lease or promise that is over (rule 2).
func (c *Core) begin(now time.Duration) {
	c.now = max(c.now, now)
	c.out = Effects{Messages: c.out.Messages[:0]}
	c.outlive()
	switch {
	case c.role == Leader:
		c.dueAsLeader()
	case c.now >= c.electionAt:
		c.preCampaign()
	case c.role != Follower && c.now >= c.campaign.retryAt:
		c.retry()
	}
}

// end closes a call.
func (c *Core) end() Effects {
	if c.dirty {
		c.out.Save, c.out.State = true, c.hard
		c.dirty = false
	}
	if c.log.written != 0 {
		c.out.Append = c.log.between(c.log.written-1, c.log.last().Index)
		c.log.written = 0
	}
	return c.out
}

// handle takes a message that admit has let in. sender is its index in the
// configuration, -1 if only a newer one names it.
func (c *Core) handle(sender int, m *Message) {
	switch m.Kind {
	case PreVoteRequest:
		c.onPreVoteRequest(m)
	case VoteRequest:
		c.onVoteRequest(m)
	case Heartbeat:
		c.onHeartbeat(m)
	case TimeoutNow:
		c.onTimeoutNow(m)
	case Append:
		c.onAppend(m)
	case InstallSnapshot:
		c.onInstallSnapshot(m)
	case PreVoteAnswer, VoteAnswer, HeartbeatAnswer, AppendAnswer, SnapshotAnswer:
		c.onAnswer(sender, m)
	case Refusal:
		c.onRefusal(m)
	}
}

// onAnswer handles the answer of a member. A higher term in it ends whatever
// this node was doing, a reign included.
func (c *Core) onAnswer(sender int, m *Message) {
	higher := m.Term > c.hard.Term
	if higher {
		c.adopt(m.Term)
	}
	switch {
	case higher:
	case m.Kind.isPromise():
		c.onHeartbeatAnswer(sender, m)
	default:
		c.onVoteAnswer(sender, m)
	}
}

// adopt moves to a higher term, in which this node has not voted and knows no
// leader. Its promise stays (rule 1).
func (c *Core) adopt(term uint64) {
	c.follow()
	c.hard.Term, c.hard.Vote, c.dirty = term, "", true
	c.knowNobody()
	if c.faults.clearPromiseOnTerm {
		c.promise = promise{}
	}
}

// knowNobody forgets who leads, and what is known of that one's log: the term is new.
func (c *Core) knowNobody() {
	c.leader, c.lastHeartbeat, c.received = "", 0, received{}
	c.incoming.sequence, c.incoming.asker = 0, 0
}

// follow makes this node a follower who knows no leader. A reign ends; the
// election timeout goes on, or begins if this node was a leader.
func (c *Core) follow() {
	c.endReign()
	wasLeader := c.role == Leader
	c.role, c.following = Follower, false
	if wasLeader {
		c.resetElection()
	}
}

// resetElection draws the instant at which this node gives its leader up unless
// it hears from it: a timeout from now, but not before its promise is over. A
// member campaigns then, or shows its configuration if it does not stand (rule 17),
// and does so again for as long as there is no leader; a store that is not named
// waits for the next leader (rule 6). The window moves back by its own length per
// step of priority (rule 10).
func (c *Core) resetElection() {
	priority := 0
	switch {
	case c.faults.followForever && !c.isElectable():
		c.electionAt = Never
		return
	case c.self >= 0:
		priority = c.hard.Configuration.Members[c.self].Priority
	case !c.following:
		c.electionAt = Never
		return
	}
	least, width := c.cfg.ElectionTimeoutMin, c.cfg.ElectionTimeoutMax-c.cfg.ElectionTimeoutMin
	beyond := time.Duration(-priority)*width + time.Duration(c.random.Int64N(int64(width)))
	c.electionAt = max(c.now+least, c.promise.until) + beyond
}

// message returns a message with what every kind carries (rule 8).
func (c *Core) message(kind MessageKind, to string) Message {
	return Message{
		Kind: kind, Cluster: c.cfg.Cluster, From: c.cfg.ID, To: to,
		StoreID: c.hard.StoreID, Incarnation: c.hard.Incarnation, Boot: c.boot,
		Term: c.hard.Term, Level: c.level,
		ConfigurationID: c.hard.Configuration.ConfigurationID, Digest: c.digest,
	}
}

// send queues a message among the effects of the call.
func (c *Core) send(m Message) { c.out.Messages = append(c.out.Messages, m) }

// answer replies to a request, echoing which one of which process it was.
func (c *Core) answer(m *Message, kind MessageKind, granted bool) { c.send(c.reply(m, kind, granted)) }

// reply returns an answer.
func (c *Core) reply(m *Message, kind MessageKind, granted bool) Message {
	a := c.message(kind, m.From)
	a.Sequence, a.Asker, a.Granted = m.Sequence, m.Boot, granted
	switch kind {
	case HeartbeatAnswer:
		a.Abstains = c.abstains
	case PreVoteAnswer, VoteAnswer:
		a.Abstains = granted && c.isSuspect()
	default:
	}
	if granted && kind.isPromise() {
		a.Match = c.verified()
	}
	return a
}

// ID returns the node's name.
func (c *Core) ID() string { return c.cfg.ID }

// Role returns the role.
func (c *Core) Role() Role { return c.role }

// Term returns the current term.
func (c *Core) Term() uint64 { return c.hard.Term }

// Leader returns who leads the term as far as this node knows, else "". Only
// Reign says whether this node itself may act.
func (c *Core) Leader() string {
	if !c.following {
		return ""
	}
	return c.leader
}

// Reign reports whether this node held a valid lease when it was last called,
// and until when. The reign is of Term; a caller who reads the clock itself
// compares it with leaseEnd.
func (c *Core) Reign() (leaseEnd time.Duration, running bool) {
	if !c.reigns() {
		return 0, false
	}
	return c.reign.leaseEnd, true
}

// PromisedUntil returns until when and to whom this node is bound (rule 1).
// After a restart it is bound to nobody in particular: "".
func (c *Core) PromisedUntil() (until time.Duration, to string) { return c.promise.until, c.promise.to }

// State returns the durable state. The Configuration in it is immutable.
func (c *Core) State() HardState { return c.hard }

// Configuration returns the newest membership known. It is immutable.
func (c *Core) Configuration() Configuration { return c.hard.Configuration }

// Committed returns the entries after an index that are committed. Nothing in them
// changes any more; they are the caller's to read.
func (c *Core) Committed(after uint64) []Entry {
	if after >= c.log.commit {
		return nil
	}
	return c.log.between(max(after, c.log.base.Index), c.log.commit)
}

// Counters returns what has happened so far.
func (c *Core) Counters() Counters { return c.counters }
