package raft

import (
	"cmp"
	"time"
)

// Transfer ends the reign for good and asks the voter to campaign at once,
// without pre-vote and past the promises to this leader (rule 5 of PROTOCOL.md).
// This node goes on with heartbeats, but without a lease, so that nobody else
// campaigns. If it has not heard from a new leader within the maximal election
// timeout, it campaigns itself.
//
// It fails with ErrNotLeader without a reign, and with a MemberError of ErrSelf,
// ErrUnknownMember, ErrNotVoter, ErrWitness or, unless the voter has answered within
// the minimal election timeout, ErrMemberSilent (rule 5); with a BehindError if the
// voter lacks entries of the log; ErrTransferring if one is under way. Then the reign
// goes on. In the first heartbeat interval of a term, before it has had time to answer,
// a voter counts as one that has.
func (c *Core) Transfer(now time.Duration, to string) (Effects, error) {
	c.begin(now)
	err := c.mayTransfer(to)
	if err == nil {
		c.transfer(to)
	}
	return c.end(), err
}

func (c *Core) mayTransfer(to string) error {
	target, found := c.hard.Configuration.index(to)
	switch {
	case c.role == Leader && c.reign.transferring:
		return ErrTransferring
	case !c.reigns():
		return &NotLeaderError{Leader: c.Leader(), Term: c.hard.Term}
	case to == c.cfg.ID:
		return &MemberError{ID: to, Reason: ErrSelf}
	case !found:
		return &MemberError{ID: to, Reason: ErrUnknownMember}
	case !c.hard.Configuration.Members[target].Voter:
		return &MemberError{ID: to, Reason: ErrNotVoter}
	case c.hard.Configuration.Members[target].Witness:
		return &MemberError{ID: to, Reason: ErrWitness}
	case !c.answers(target) && !c.mayBecomeReady(target) && !c.faults.transferToSilent:
		return &MemberError{ID: to, Reason: ErrMemberSilent}
	case !c.hasAll(target):
		return c.behind(target)
	case c.peers[target].abstains:
		return &MemberError{ID: to, Reason: ErrUnfit}
	case c.hard.Term+1 >= termLimit:
		return ErrTermLimit
	default:
		return nil
	}
}

func (c *Core) transfer(to string) {
	c.endReign()
	c.reign.transferring = true
	c.reign.graceEnd = c.now + c.cfg.ElectionTimeoutMax
	if c.faults.renewAfterTransfer {
		c.reign.ended = false
	}
	c.send(c.message(TimeoutNow, to))
}

// Resign ends the reign in favour of the voter that answered last, by priority
// and then by ID among several; the one that handed this reign over comes after
// all others, because it is ending or unfit. Without one that answered within
// the minimal election timeout, this node only steps down. It fails with
// ErrNotLeader without a reign.
func (c *Core) Resign(now time.Duration) (Effects, error) {
	c.begin(now)
	if !c.reigns() {
		return c.end(), &NotLeaderError{Leader: c.Leader(), Term: c.hard.Term}
	}
	if to, ok := c.successor(); ok {
		c.transfer(to)
	} else {
		c.follow()
	}
	return c.end(), nil
}

// successor returns the voter to hand over to. One with an older configuration
// would not be voted for (rule 17).
func (c *Core) successor() (string, bool) {
	best := -1
	for i, m := range c.hard.Configuration.Members {
		able := i != c.self && m.electable() && !c.peers[i].abstains && c.answers(i) && c.isUpToDate(i)
		if able && (best < 0 || c.compareSuccessors(i, best) > 0) {
			best = i
		}
	}
	if best < 0 || c.hard.Term+1 >= termLimit {
		return "", false
	}
	return c.hard.Configuration.Members[best].ID, true
}

// compareSuccessors compares how well two members would succeed: first by when
// they have answered last, then by priority.
func (c *Core) compareSuccessors(i, j int) int {
	members := c.hard.Configuration.Members
	answered := func(member int) time.Duration {
		if members[member].ID == c.reign.predecessor {
			return longAgo
		}
		return c.peers[member].acked
	}
	return cmp.Or(cmp.Compare(answered(i), answered(j)), cmp.Compare(members[i].Priority, members[j].Priority))
}

// awaitsSuccessor reports whether waiting may yield a better successor soon: the
// member to or, if that is empty, any voter but the predecessor.
func (c *Core) awaitsSuccessor(to string) bool {
	best, found := c.successor()
	if to == "" && found && best != c.reign.predecessor {
		return false
	}
	for i, m := range c.hard.Configuration.Members {
		if i != c.self && m.electable() && !c.peers[i].abstains && (to == "" || to == m.ID) && c.mayBecomeReady(i) {
			return true
		}
	}
	return false
}

// mayBecomeReady reports whether a member's next answer is under way and may make
// it electable: it has yet to take in the current configuration, or to answer the
// first heartbeat of the term.
func (c *Core) mayBecomeReady(member int) bool {
	if c.answers(member) {
		return !c.isUpToDate(member)
	}
	return c.peers[member].acked == longAgo && c.now-c.reign.wonAt < c.cfg.HeartbeatInterval
}

// isUpToDate reports whether a member has shown the current configuration, and has
// the whole log (rule 32).
func (c *Core) isUpToDate(member int) bool {
	return c.peers[member].shown == c.hard.Configuration.ConfigurationID && c.hasAll(member)
}

// answers reports whether a member has answered within the minimal election
// timeout.
func (c *Core) answers(member int) bool {
	return c.now-c.peers[member].acked <= c.cfg.ElectionTimeoutMin
}

// onTimeoutNow campaigns at once if the leader of this term, or of a later one,
// asks for it. Like a heartbeat it says who leads its term, since it may come
// before any; unlike one it asks for no promise, and lifts none but those to that
// leader.
func (c *Core) onTimeoutNow(m *Message) {
	if m.Term < c.hard.Term {
		return
	}
	if m.Term > c.hard.Term {
		c.adopt(m.Term)
	}
	if c.leader == "" {
		c.leader = m.From
	}
	if c.leader == m.From && !c.abstains {
		c.elect(m.Term)
	}
}
