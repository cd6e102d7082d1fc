package raft

import "time"

// maxChunks is how many chunks of a snapshot to one member may be under way at once: one
// travels while the disk takes in the one before.
const maxChunks = 2

// Chunk is a part of the contents of a snapshot that a leader has sent.
type Chunk struct {
	// Snapshot says what the contents are of.
	Snapshot Snapshot
	// Offset is where Data begins in the contents. It is 0 for the first part, with
	// which what was written of any other snapshot goes.
	Offset int64
	Data   []byte
}

// IsLast reports whether the contents are complete with this part.
func (c Chunk) IsLast() bool { return c.Offset+int64(len(c.Data)) == c.Snapshot.Size }

// outgoing is the snapshot that a leader sends to one member (rule 34), zero if none.
type outgoing struct {
	snapshot Snapshot
	// acked bytes are known to be written, and sent ones have left, in chunks of which
	// flights may be under way, the last since the round sentIn.
	acked, sent int64
	flights     int
	sentIn      uint64
}

func (o *outgoing) isActive() bool { return o.snapshot != Snapshot{} }

// isLost is progress.isLost for chunks.
func (o *outgoing) isLost(round uint64) bool { return o.flights > 0 && round > o.sentIn+1 }

// incoming is the snapshot that a follower is sent (rule 34), zero if none.
type incoming struct {
	snapshot Snapshot
	// taken bytes were given to the caller, and saved ones are written.
	taken, saved int64
	// closing says that all was taken and is not kept yet. The log takes nothing then,
	// because it may have to go.
	closing bool
	// sequence and asker are of the latest chunk from the leader of this term, 0 if none
	// came.
	sequence, asker uint64
}

// Compact says that the log has kept, after each Append before, a snapshot of the
// application as it was after an entry. The core forgets what is in it, but for entries that members may lack, and says
// in Effects.Compact up to where. It takes time in proportion to the entries that stay.
func (c *Core) Compact(now time.Duration, s Snapshot) Effects {
	c.begin(now)
	term, found := c.log.term(s.Last.Index)
	if found && term == s.Last.Term && s.Last.Index <= c.log.commit {
		c.keepSnapshot(s)
	}
	return c.end()
}

// keepSnapshot takes in that a snapshot of what is committed is durable, and with it
// all entries that it has.
func (c *Core) keepSnapshot(s Snapshot) {
	l := &c.log
	if s.Last.Index <= l.snapshot.Last.Index {
		return
	}
	l.snapshot = s
	l.durable = max(l.durable, s.Last.Index)
	if index := c.needless(); index > l.base.Index {
		l.compact(index)
		c.out.Compact = index
	}
}

// Gone says that the contents of a snapshot cannot be read any more, because the log has
// kept a later one: members that were sent it are sent the later one.
func (c *Core) Gone(now time.Duration, s Snapshot) Effects {
	c.begin(now)
	for i := range c.peers {
		if o := &c.peers[i].outgoing; o.snapshot == s {
			*o = outgoing{}
		}
	}
	return c.end()
}

// needless returns up to which index entries are needed by nobody. Rule 34: those that a
// member lacks stay as long as they are fewer bytes than the snapshot that it would be
// sent in their place, and so does what follows a snapshot that is under way.
func (c *Core) needless() uint64 {
	l := &c.log
	index, lacking := l.snapshot.Last.Index, max(c.leastMatch(), l.base.Index)
	for spare := l.snapshot.Size; index > lacking; index-- {
		if spare -= int64(l.entries[index-l.base.Index-1].size()); spare < 0 {
			break
		}
	}
	for i := range c.peers {
		if o := &c.peers[i].outgoing; o.isActive() && c.role == Leader && c.answers(i) && !c.faults.dropUnderWay {
			index = min(index, o.snapshot.Last.Index)
		}
	}
	return index
}

// leastMatch returns what every live member is known to have. A follower knows of none.
func (c *Core) leastMatch() uint64 {
	if c.role != Leader || c.reign.start == 0 {
		return 0
	}
	least := c.log.last().Index
	for i := range c.peers {
		if i != c.self && c.answers(i) {
			least = min(least, c.peers[i].match)
		}
	}
	return least
}

// feedSnapshot sends a member a snapshot in place of entries that are not here any more.
// The caller fills the chunks.
func (c *Core) feedSnapshot(i int) {
	p := &c.peers[i].progress
	o := &p.outgoing
	if !o.isActive() {
		*o = outgoing{snapshot: c.log.snapshot}
		p.flights, p.probing = 0, true
	}
	window := maxChunks
	if p.probing {
		window = 1
	}
	for o.flights < window && (o.sent < o.snapshot.Size || o.flights == 0) {
		m := c.message(InstallSnapshot, c.hard.Configuration.Members[i].ID)
		m.Sequence, m.Promise = c.sequence, c.cfg.ElectionTimeoutMin
		m.Snapshot, m.Offset = o.snapshot, o.sent
		m.Chunk = make([]byte, min(int64(c.appendRoom()), o.snapshot.Size-o.sent))
		c.send(m)
		o.sent, o.sentIn = o.sent+int64(len(m.Chunk)), c.sequence
		o.flights++
	}
}

// trackSnapshot takes in what an answer says of the snapshot that a member is sent. The
// member may be further, because an earlier leader has sent it the same, or have to begin
// again.
func (c *Core) trackSnapshot(p *progress, m *Message) {
	o := &p.outgoing
	answered := m.Kind == SnapshotAnswer && m.Snapshot == o.snapshot
	switch {
	case p.match >= o.snapshot.Last.Index:
		*o = outgoing{}
		p.next, p.flights, p.probing = p.match+1, 0, true
	case answered && m.Offset > o.acked:
		o.acked, o.sent = m.Offset, max(o.sent, m.Offset)
		room := int64(c.appendRoom())
		o.flights, p.probing = int((o.sent-o.acked+room-1)/room), false
	case answered && m.Offset < o.acked && m.Sequence >= o.sentIn:
		o.acked, o.sent, o.flights, p.probing = m.Offset, m.Offset, 0, true
	case o.isLost(m.Sequence) && !c.faults.neverSendAgain:
		o.sent, o.flights, p.probing = o.acked, 0, true
	}
}

// onInstallSnapshot takes a chunk of a snapshot of the leader. It is a heartbeat, too, as
// an append is (rule 30).
func (c *Core) onInstallSnapshot(m *Message) {
	if !c.heed(m, SnapshotAnswer) {
		return
	}
	in, last := &c.incoming, m.Snapshot.Last
	term, found := c.log.term(last.Index)
	if last.Index <= c.log.commit || found && term == last.Term {
		c.received.matched = max(c.received.matched, last.Index) // It was committed.
		c.learnCommit(last.Index)
		c.answerSnapshot(m.Sequence, m.Boot, m.Snapshot, m.Snapshot.Size)
		return
	}
	if in.snapshot != m.Snapshot {
		if in.closing {
			return
		}
		*in = incoming{snapshot: m.Snapshot}
	}
	in.sequence, in.asker = m.Sequence, m.Boot
	if in.closing || m.Offset != in.taken {
		c.answerSnapshot(m.Sequence, m.Boot, m.Snapshot, in.saved)
		return
	}
	in.taken += int64(len(m.Chunk))
	in.closing = in.taken == m.Snapshot.Size
	c.out.Chunk = Chunk{Snapshot: m.Snapshot, Offset: m.Offset, Data: m.Chunk}
}

// answerSnapshot tells the leader up to where a snapshot is written.
func (c *Core) answerSnapshot(sequence, asker uint64, s Snapshot, offset int64) {
	a := c.message(SnapshotAnswer, c.leader)
	a.Sequence, a.Asker, a.Granted = sequence, asker, true
	a.Match, a.Snapshot, a.Offset = c.verified(), s, offset
	c.send(a)
}

// Received says that what Effects.Chunk has brought of a snapshot is written up to an
// offset; and, with the last of it, that the log has kept it. An offset of 0 before that
// says that what was written is dropped, because its checksum is wrong.
func (c *Core) Received(now time.Duration, s Snapshot, offset int64) Effects {
	c.begin(now)
	in := &c.incoming
	if in.snapshot != s || offset < 0 || offset > in.taken {
		return c.end()
	}
	sequence, asker := in.sequence, in.asker
	switch {
	case offset == s.Size && in.closing:
		*in = incoming{}
		c.restore(s)
	case offset == 0:
		*in = incoming{}
	default:
		in.saved = max(in.saved, offset)
	}
	if asker != 0 {
		c.answerSnapshot(sequence, asker, s, offset)
	}
	return c.end()
}

// restore begins the log anew behind a snapshot that the disk has kept, unless the log
// has its last entry. Rule 34: else all that is in the log is of another history, or in
// the snapshot.
func (c *Core) restore(s Snapshot) {
	l := &c.log
	term, found := l.term(s.Last.Index)
	switch {
	case found && term == s.Last.Term:
		c.commitTo(s.Last.Index)
	case s.Last.Index <= l.commit || c.role == Leader:
		return // Nobody has sent it.
	default:
		kept := entryLog{base: s.Last, commit: s.Last.Index, applied: l.applied, snapshot: s}
		if c.faults.keepConflictingLog && l.last().Index > s.Last.Index {
			kept.entries = l.between(s.Last.Index, l.last().Index)
		}
		*l = kept
		l.durable = l.last().Index
		c.out.Restore = s
	}
	c.received.matched = max(c.received.matched, s.Last.Index) // It was committed.
	c.keepSnapshot(s)
}
