package raft

import (
	"fmt"
	"slices"
	"time"
)

// maxFlights is how many appends to one member may be under way at once (rule 29):
// one travels while the disk takes in the one before.
const maxFlights = 2

// appendOverhead is at least what an Append takes besides its entries.
const appendOverhead = 512

// progress is what a leader knows of one member's log (rule 29). It holds for its
// term alone.
type progress struct {
	// match is up to where the member's durable log is known to be the leader's.
	// While the member's process lives it never falls: answers that come late, twice or
	// in another order change nothing. Rule 35: a later process is asked anew, since its
	// disk may have lost the end of the log.
	match uint64
	// next is the first entry to be sent, 0 until the member has been heard.
	next uint64
	// probing says that it is not known whether the member has what is before
	// next: then there is one append at a time.
	probing bool
	// flights appends are under way. first is what the earliest of them began
	// with, flying what they end with, and sentIn the round in which the last of
	// them left.
	flights int
	first   uint64
	flying  [maxFlights]uint64
	sentIn  uint64
	// outgoing is the snapshot that it is sent instead.
	outgoing outgoing
}

// advance notes that the member has everything up to match.
func (p *progress) advance(match uint64) {
	p.match, p.next = max(p.match, match), max(p.next, match+1)
	for p.flights > 0 && p.flying[0] <= p.match {
		p.flights--
		copy(p.flying[:], p.flying[1:])
	}
}

// depart notes that an append leaves with entries up to an index.
func (p *progress) depart(upTo, round uint64) {
	if p.flights == 0 {
		p.first = p.next
	}
	p.flying[p.flights], p.sentIn = upTo, round
	p.flights++
	p.next = upTo + 1
}

// isLost reports whether appends under way are taken for lost, once the round of
// heartbeats of this number is answered: that left at least an interval after them.
func (p *progress) isLost(round uint64) bool { return p.flights > 0 && round > p.sentIn+1 }

// rewind has sent again what may not have arrived.
func (p *progress) rewind() {
	if p.flights > 0 {
		p.next = max(p.match+1, p.first)
	}
	p.flights, p.probing = 0, true
	p.outgoing = outgoing{snapshot: p.outgoing.snapshot}
}

// received is what a follower knows of the log of its term's leader.
type received struct {
	// matched is up to where this log is that of the leader.
	matched uint64
	// sequence and asker are of the latest append that is to be answered once it is
	// durable, 0 if none is.
	sequence, asker uint64
	// proof is an entry that the leader has committed in its term, see compare.
	proof uint64
}

// replicates reports whether this core's cluster keeps a log (rule 20): every member
// has said that it does. Where there is an entry that was so once.
func (c *Core) replicates() bool {
	return c.level >= logLevel && (c.hard.Configuration.Level >= logLevel || c.log.last().Index > 0)
}

// beginLog appends the start of the term that this node leads (rule 27). Entries of
// earlier terms are committed with it.
func (c *Core) beginLog() {
	if !c.replicates() || c.reign.start != 0 {
		return
	}
	c.reign.start = c.log.last().Index + 1
	for i := range c.peers {
		c.peers[i].progress = progress{next: c.reign.start, probing: true}
	}
	c.extend(Entry{Kind: EntryStart})
}

// extend appends entries of this term and sends them.
func (c *Core) extend(entries ...Entry) {
	index := c.log.last().Index
	for i := range entries {
		index++
		entries[i].Index, entries[i].Term = index, c.hard.Term
	}
	c.log.add(entries...)
	c.reign.uncommitted += entriesSize(entries)
	for i := range c.peers {
		c.feed(i)
	}
}

// hasBegun reports whether this node has applied all that was committed before its
// term. Rule 27: the start of the term has everything before it.
func (c *Core) hasBegun() bool {
	if c.faults.reignBeforeStart || !c.replicates() {
		return true
	}
	return c.reign.start != 0 && c.log.applied >= c.reign.start
}

// Propose appends commands to the log of the leader. They are committed once
// Effects.Commit has reached their index in this reign; if the reign ends before,
// whether they will be is not known. It returns the index of the first; the others
// follow. The core keeps data, which must not change any more.
//
// It fails with ErrNotLeader without a reign, with ErrNoLog unless every member
// keeps a log, with ErrTooLarge for a command that does not fit an Append of
// Config.MaxAppend, with ErrFull if too much is uncommitted already (rule 31), and
// with ErrTermLimit. Then nothing is appended. It takes time in proportion to the
// commands and members.
func (c *Core) Propose(now time.Duration, data ...[]byte) (uint64, Effects, error) {
	c.begin(now)
	index := c.log.last().Index + 1
	entries := make([]Entry, len(data))
	for i := range data {
		entries[i] = Entry{Kind: EntryCommand, Data: data[i]}
	}
	if err := c.mayPropose(entries); err != nil {
		return 0, c.end(), err
	}
	c.extend(entries...)
	return index, c.end(), nil
}

func (c *Core) mayPropose(entries []Entry) error {
	switch {
	case !c.reigns():
		return &NotLeaderError{Leader: c.Leader(), Term: c.hard.Term}
	case c.reign.start == 0:
		return ErrNoLog
	case c.log.last().Index >= termLimit-1-uint64(len(entries)):
		return ErrTermLimit
	}
	for _, e := range entries {
		if e.size() > c.appendRoom() {
			return fmt.Errorf("%w: command of %d bytes", ErrTooLarge, len(e.Data))
		}
	}
	if c.reign.uncommitted+entriesSize(entries) > c.cfg.MaxUncommitted && !c.faults.proposeWithoutBound {
		return ErrFull
	}
	return nil
}

// appendRoom is how many bytes of entries an Append has room for.
func (c *Core) appendRoom() int { return c.cfg.MaxAppend - appendOverhead }

// Saved says that what Effects.Append has asked for is durable up to an entry, and
// with it all before. Rule 28: a node counts for nothing before; and if another
// entry has taken that one's place since, this says nothing.
func (c *Core) Saved(now time.Duration, upTo Position) Effects {
	c.begin(now)
	term, found := c.log.term(upTo.Index)
	if found && upTo.Index > c.log.durable && (term == upTo.Term || c.faults.savedByIndex) {
		c.log.durable = upTo.Index
		c.proveDurable()
		c.advanceCommit()
		c.answerAppend()
	}
	return c.end()
}

// Applied says that the application has applied all entries up to an index. A
// reign may begin with it.
func (c *Core) Applied(now time.Duration, upTo uint64) Effects {
	c.begin(now)
	c.log.applied = max(c.log.applied, min(upTo, c.log.commit))
	if c.role == Leader {
		c.ascend()
	}
	return c.end()
}

// feed sends a member what it lacks, as far as there may be more under way.
func (c *Core) feed(i int) {
	p := &c.peers[i].progress
	if i != c.self && p.next != 0 && (p.outgoing.isActive() || p.next <= c.log.base.Index) {
		c.feedSnapshot(i)
		return
	}
	flights := maxFlights
	if p.probing {
		flights = 1
	}
	for i != c.self && p.next != 0 && p.flights < flights && (p.probing || p.next <= c.log.last().Index) {
		m := c.message(Append, c.hard.Configuration.Members[i].ID)
		m.Sequence, m.Promise = c.sequence, c.cfg.ElectionTimeoutMin
		term, _ := c.log.term(p.next - 1)
		m.Previous = Position{Term: term, Index: p.next - 1}
		m.Entries = c.log.chunk(p.next-1, c.appendRoom())
		c.challenge(i, &m)
		c.send(m)
		p.depart(m.Previous.Index+uint64(len(m.Entries)), c.sequence)
	}
}

// onAppend takes entries of the leader's log. Rule 30: it is a heartbeat, too,
// whether the entries fit or not.
func (c *Core) onAppend(m *Message) {
	if !c.heed(m, AppendAnswer) || c.incoming.closing && !c.faults.appendWhileClosing {
		return // Rule 34: the log may have to go.
	}
	conflict, ok := c.conflict(m.Previous)
	switch {
	case !ok:
		c.counters.Dropped.Conflicting++
		return
	case conflict != Position{}:
		a := c.reply(m, AppendAnswer, true)
		a.Conflict = conflict
		c.send(a)
		return
	case !c.log.take(m.Entries):
		c.counters.Dropped.Conflicting++
		return
	}
	c.received.matched = max(c.received.matched, m.Previous.Index+uint64(len(m.Entries)))
	c.learnCommit(m.Commit)
	c.compare(m)
	c.received.sequence, c.received.asker = max(c.received.sequence, m.Sequence), m.Boot
	c.answerAppend()
}

// conflict returns what the log has in place of an entry, zero if it has that; see
// Message.Conflict. It is not ok if another is committed here, for then nobody leads
// who has that. What was compacted was committed, and so is every leader's.
func (c *Core) conflict(previous Position) (Position, bool) {
	term, found := c.log.term(previous.Index)
	switch {
	case c.faults.appendUnchecked:
		return Position{}, previous.Index <= c.log.last().Index
	case found && term == previous.Term, previous.Index < c.log.base.Index:
		return Position{}, true
	case previous.Index <= c.log.commit:
		return Position{}, false
	case !found:
		return Position{Index: c.log.last().Index + 1}, true
	default:
		return Position{Term: term, Index: c.log.firstOf(previous.Index)}, true
	}
}

// answerAppend answers the latest append once all that is known to be the leader's
// is durable. A part of it is told in answers to heartbeats.
func (c *Core) answerAppend() {
	r := &c.received
	if r.asker == 0 || c.verified() < r.matched {
		return
	}
	a := c.message(AppendAnswer, c.leader)
	a.Sequence, a.Asker, a.Granted, a.Match = r.sequence, r.asker, true, c.verified()
	c.send(a)
	r.sequence, r.asker = 0, 0
}

// verified is up to where this node's durable log is the leader's.
func (c *Core) verified() uint64 {
	if c.faults.answerUnsaved {
		return c.received.matched
	}
	return min(c.received.matched, c.log.durable)
}

// learnCommit takes in what the leader has committed, as far as this log is known
// to be the leader's.
func (c *Core) learnCommit(commit uint64) {
	if c.faults.commitUnverified {
		c.commitTo(min(commit, c.log.last().Index))
		return
	}
	c.commitTo(min(commit, c.received.matched))
}

func (c *Core) commitTo(index uint64) {
	if index > c.log.commit {
		c.log.commit, c.out.Commit = index, index
	}
}

// track takes in what an answer says of a member's log.
func (c *Core) track(i int, m *Message) {
	if c.reign.start == 0 || m.Match > c.log.last().Index {
		return
	}
	p := &c.peers[i].progress
	if p.next == 0 { // It is new, or has another store.
		p.next, p.probing = c.log.last().Index+1, true
	}
	p.advance(m.Match)
	switch {
	case p.outgoing.isActive():
		c.trackSnapshot(p, m)
	case m.Conflict != Position{}:
		c.retreat(p, m.Conflict)
	case m.Kind != HeartbeatAnswer:
		p.probing = false
	case p.isLost(m.Sequence) && !c.faults.neverSendAgain:
		p.rewind()
	}
	c.advanceCommit()
	c.feed(i)
	c.handOn()
}

// bridges reports whether this node, which does not stand, keeps all others from
// winning because it has the longest log. Rule 33: it leads just long enough for one
// of them to have that, and there is no reign meanwhile.
func (c *Core) bridges() bool {
	return c.withholds && c.isVoter() && !c.stands() && c.replicates() && !c.faults.neverBridge
}

// handOn hands over to the first member that has what this one has, if that leads
// for no other reason.
func (c *Core) handOn() {
	if !c.reign.bridge || c.reign.transferring {
		return
	}
	if to, found := c.successor(); found {
		c.transfer(to)
	}
}

// retreat looks for the place where a member's log parts from this one, one term
// at a time. A refusal that is no news is one that came late.
func (c *Core) retreat(p *progress, conflict Position) {
	next := conflict.Index
	if last, found := c.log.lastOf(conflict.Term); found {
		next = max(next, last+1)
	}
	if next > p.match && next < p.next {
		p.next, p.flights, p.probing = next, 0, true
	}
}

// advanceCommit commits what a quorum has. Rule 27: it is found by counting only if
// it is of this term, because an entry of an earlier one may give way to another
// even when a majority has it.
func (c *Core) advanceCommit() {
	if c.role != Leader || c.reign.start == 0 {
		return
	}
	index := c.quorumMatch()
	term, _ := c.log.term(index)
	if index <= c.log.commit || term != c.hard.Term && !c.faults.commitEarlierTerms {
		return
	}
	if index >= c.reign.start {
		first := max(c.log.commit, c.reign.start-1)
		c.reign.uncommitted -= entriesSize(c.log.between(first, index))
	}
	c.commitTo(index)
}

// quorumMatch returns up to where a majority of the voters has the log of this
// leader on disk.
func (c *Core) quorumMatch() uint64 {
	var matches [MaxMembers]uint64
	n := 0
	for i, m := range c.hard.Configuration.Members {
		if !m.Voter {
			continue
		}
		matches[n] = c.peers[i].match
		if i == c.self {
			matches[n] = c.ownMatch()
		}
		n++
	}
	slices.Sort(matches[:n])
	return matches[n-c.quorum()]
}

func (c *Core) ownMatch() uint64 {
	if c.faults.countUnsaved {
		return c.log.last().Index
	}
	return c.log.durable
}

// hasAll reports whether a member has the whole log of this leader.
func (c *Core) hasAll(i int) bool {
	return c.reign.start == 0 || c.peers[i].match == c.log.last().Index || c.faults.transferToBehind
}

// keepsUp reports whether all that is committed was sent to a member, and accepted
// but for what is under way (rule 33).
func (c *Core) keepsUp(i int) bool {
	p := &c.peers[i].progress
	return c.reign.start == 0 || !p.probing && p.next > c.log.commit
}

// behind says how far a member is.
func (c *Core) behind(i int) error {
	return &BehindError{ID: c.hard.Configuration.Members[i].ID, Match: c.peers[i].match, Last: c.log.last().Index}
}

// isSettled reports whether the log allows a change of the membership (rule 33): an
// entry of this term is committed, and all that is committed is on a quorum of the
// current configuration, of which the next one's shares a member.
func (c *Core) isSettled() bool {
	if c.reign.start == 0 || c.faults.reconfigUncommitted {
		return true
	}
	return c.log.commit >= c.reign.start && c.quorumMatch() >= c.log.commit
}

// renewProcess forgets what is under way to a process that is no more, and what it has
// answered for. A new store has nothing of what the one before had.
func (p *peer) renewProcess(m *Message) {
	switch {
	case !p.heard():
	case p.store != m.StoreID:
		p.progress = progress{}
	default:
		p.match = 0
		p.rewind()
	}
}
