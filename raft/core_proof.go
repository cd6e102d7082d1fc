package raft

// isSuspect reports whether this node's log may lack what it has answered for, because
// the end of it could not be read (rule 35). Then its vote, also for itself, counts only beside
// those of all other voters: one of them has what this one may have lost.
func (c *Core) isSuspect() bool { return c.log.unproven && !c.faults.trustUnproven }

// hasWon reports whether enough have granted what was asked for.
func (c *Core) hasWon() bool {
	granted := c.campaign.granted
	firm := granted &^ c.campaign.suspect
	return firm.size()+c.campaign.doubleCounted >= c.quorum() || granted.size() == c.voters
}

// challenge puts the process of a member into a message to it, so that the member knows
// that it was sent when no answer of an earlier process could count any more.
func (c *Core) challenge(i int, m *Message) {
	if c.reign.start != 0 {
		m.Asker, m.Commit = c.peers[i].boot, c.log.commit
	}
}

// compare notes, for rule 35, that a leader, which knows this very process, has committed an entry of
// its own term that this log has: everything that was committed before is before it.
func (c *Core) compare(m *Message) {
	term, _ := c.log.term(m.Commit)
	knows := m.Asker == c.boot || c.faults.proveByAnyAppend
	if c.log.unproven && knows && term == m.Term && m.Commit <= c.received.matched {
		c.received.proof = m.Commit
		c.proveDurable()
	}
}

// proveDurable ends the suspicion once what proves the log is durable.
func (c *Core) proveDurable() {
	if proof := c.received.proof; proof != 0 && c.log.durable >= proof {
		c.prove()
	}
}

// prove says that the log has all that was committed.
func (c *Core) prove() {
	if c.log.unproven {
		c.log.unproven, c.out.Proven = false, true
	}
}
