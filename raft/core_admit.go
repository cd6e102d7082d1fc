package raft

// admit decides whether a message may change anything (rules 8, 11, 15, 19 of
// PROTOCOL.md). It counts what it turns away. sender is its index in the
// configuration, or -1 if only the newer configuration in the message names the
// sender.
func (c *Core) admit(m *Message) (sender int, ok bool) {
	dropped := &c.counters.Dropped
	newer := c.isNewer(m.Configuration)
	sender, known := c.hard.Configuration.index(m.From)
	if !known { // Only requests carry a configuration.
		sender = -1
		_, known = m.Configuration.Member(m.From)
		known = known && newer && !c.faults.dropUnknownCandidates
	}
	switch {
	case m.Cluster != c.cfg.Cluster || m.To != c.cfg.ID || m.From == c.cfg.ID:
		dropped.Foreign++
	case !m.wellFormed() || c.isFarAhead(m.Term):
		dropped.Malformed++
	case m.Kind.isAnswer() && m.Asker != c.boot && !c.faults.countStrayAnswers:
		// Rule 8: an earlier process of this node has asked, or the one that this
		// node replaces under its name.
		dropped.Late++
	case m.Kind == Refusal: // A wiped node may know nobody; it changes nothing.
		return sender, true
	case m.ConfigurationID == c.hard.Configuration.ConfigurationID && m.Digest != c.digest:
		dropped.Conflicting++ // Rule 17: one number has one content.
		c.refuse(m, RefusedConfiguration)
	case m.Configuration.Level > c.level, m.Kind >= Append && c.level < logLevel:
		dropped.Unsupported++
	case !known:
		dropped.Unknown++
		if !c.asksForNewer(m) {
			c.refuseRemoved(m)
		}
	case !c.isBound(sender, newer, m):
		dropped.Wiped++
		if !c.asksForNewer(m) {
			c.refuse(m, RefusedWiped)
		}
	case sender < 0:
		return sender, true
	default:
		return sender, c.identify(&c.peers[sender], m)
	}
	return sender, false
}

// wellFormed reports whether a member could have sent the message, as far as
// the message alone tells.
func (m *Message) wellFormed() bool {
	switch {
	case m.Kind < PreVoteRequest || m.Kind > lastMessageKind || m.From == "" || m.StoreID == StoreID{} || m.Incarnation == 0:
		return false
	case m.Term >= termLimit || m.Term == 0 && !m.mayLackTerm() || m.ConfigurationID.Term > m.Term:
		return false
	case (m.Kind == Refusal) != (m.Reason != 0) || m.Reason > lastReason:
		return false
	case m.Abstains && m.Kind != HeartbeatAnswer && (!m.Granted || m.Kind != PreVoteAnswer && m.Kind != VoteAnswer):
		return false
	case m.Kind.isRequest() && (m.Promise <= 0 || m.Promise > MaxPromise):
		return false
	case !m.wellFormedLog():
		return false
	case m.Transfer != 0 && (m.Kind != VoteRequest || m.Transfer != m.Term-1):
		return false
	case m.Configuration.IsZero():
		return m.Kind != PreVoteRequest && m.Kind != VoteRequest
	default:
		return m.Kind.isRequest() && m.Configuration.ConfigurationID == m.ConfigurationID &&
			m.Configuration.Validate() == nil && m.Configuration.Digest() == m.Digest
	}
}

// wellFormedLog is wellFormed for what a message says of a log.
func (m *Message) wellFormedLog() bool {
	answers := m.Granted && m.Kind.isPromise()
	switch {
	case !m.wellFormedSnapshot(), m.Check != Checkpoint{} && (m.Kind != Heartbeat || m.Check.Index == 0 || m.Check.Index%checkEvery != 0):
		return false
	case m.Kind != Append && (m.Previous != Position{} || len(m.Entries) > 0):
		return false
	case m.Commit != 0 && m.Kind != Append && m.Kind != Heartbeat, m.Match != 0 && !answers:
		return false
	case m.Conflict != Position{} && (!m.Granted || m.Kind != AppendAnswer || m.Conflict.Index == 0 || m.Conflict.Term > m.Term):
		return false
	case m.Previous.Term > m.Term || (m.Previous.Term == 0) != (m.Previous.Index == 0):
		return false
	}
	before := m.Previous
	for _, e := range m.Entries {
		if !e.follows(before, m.Term) {
			return false
		}
		before = e.position()
	}
	return true
}

// wellFormedSnapshot is wellFormed for what a message says of a snapshot.
func (m *Message) wellFormedSnapshot() bool {
	s := m.Snapshot
	if m.Kind != InstallSnapshot && (m.Kind != SnapshotAnswer || !m.Granted) {
		return s == Snapshot{} && m.Offset == 0 && len(m.Chunk) == 0
	}
	known := s.Last.Index > 0 && s.Last.Index < termLimit && s.Last.Term > 0 && s.Last.Term <= m.Term
	within := m.Offset >= 0 && m.Offset <= s.Size && int64(len(m.Chunk)) <= s.Size-m.Offset
	if m.Kind == SnapshotAnswer {
		return known && within && len(m.Chunk) == 0
	}
	return known && within && (len(m.Chunk) > 0 || s.Size == 0)
}

// asksForNewer answers a heartbeat that names a newer configuration, which may
// well name its sender, or have bound another store to that name. Rule 19: the
// answer shows the older one, and so asks for the newer.
func (c *Core) asksForNewer(m *Message) bool {
	asks := m.Kind == Heartbeat && m.ConfigurationID.Compare(c.hard.Configuration.ConfigurationID) > 0
	if asks && !c.faults.keepOldBindings {
		c.answer(m, HeartbeatAnswer, false)
	}
	return asks
}

// maxTermJump is how far ahead of a node's own the term of a message may be. Each
// term costs somebody an election timeout, so that even with timeouts of a
// millisecond no member is that far ahead unless it has held elections for 50
// days while this node heard of none.
const maxTermJump = 1 << 32

// isFarAhead reports whether a term is one that no history of this cluster has
// led to. Without a bound, one message near the last term would use up all terms
// at once, for good. The message is dropped instead of followed by a part of the
// way: a member whose record is damaged must not depose each leader that it
// answers, and is better taken for dead. A node that has not seen any term
// follows whatever it hears, because the cluster may have begun at a MinTerm.
func (c *Core) isFarAhead(term uint64) bool {
	return c.hard.Term > 0 && term > c.hard.Term && term-c.hard.Term > maxTermJump && !c.faults.followAnyTerm
}

// mayLackTerm reports whether a node that has seen no term yet can say this.
func (m *Message) mayLackTerm() bool {
	refusal := !m.Granted && (m.Kind == VoteAnswer || m.Kind.isPromise())
	return refusal || m.Kind == PreVoteAnswer || m.Kind == Refusal
}

// isRequest reports whether a message of this kind may carry a configuration and
// asks for a promise.
func (k MessageKind) isRequest() bool {
	return k == PreVoteRequest || k == VoteRequest || k == Heartbeat || k == Append || k == InstallSnapshot
}

// isPromise reports whether a message of this kind answers a leader, and grants it what
// a heartbeat asks for.
func (k MessageKind) isPromise() bool {
	return k == HeartbeatAnswer || k == AppendAnswer || k == SnapshotAnswer
}

// isAnswer reports whether a message of this kind is about one of the receiver's.
func (k MessageKind) isAnswer() bool {
	return k == PreVoteAnswer || k == VoteAnswer || k == Refusal || k.isPromise()
}

// isBound reports whether the sender's store is the one bound to its name, in
// the newer configuration if the message carries one, or whether none is bound.
func (c *Core) isBound(sender int, newer bool, m *Message) bool {
	if newer {
		if member, found := m.Configuration.Member(m.From); found {
			return member.StoreID == StoreID{} || member.StoreID == m.StoreID
		}
	}
	bound := c.hard.Configuration.Members[sender].StoreID
	return bound == StoreID{} || bound == m.StoreID
}

// refuseRemoved tells an unknown sender that it is no member any more. One whose
// configuration is the newer may be known to others, and one without any has yet
// to be named.
func (c *Core) refuseRemoved(m *Message) {
	older := m.ConfigurationID.Compare(c.hard.Configuration.ConfigurationID) < 0
	if older && m.ConfigurationID != (ConfigurationID{}) {
		c.refuse(m, RefusedRemoved)
	}
}

// refuse tells the sender why it is ignored. Nothing comes of a lost refusal, or
// of one that is not about this process (rule 8); the next message is refused
// again.
func (c *Core) refuse(m *Message, reason RefusalReason) {
	r := c.message(Refusal, m.From)
	r.Sequence, r.Asker, r.Reason = m.Sequence, m.Boot, reason
	c.send(r)
}

// onRefusal passes on why a member ignores this node, unless the member's
// configuration is the older one.
func (c *Core) onRefusal(m *Message) {
	if m.ConfigurationID.Compare(c.hard.Configuration.ConfigurationID) >= 0 {
		c.out.Refused = m.Reason
	}
}
