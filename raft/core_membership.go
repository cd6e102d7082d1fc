package raft

import (
	"fmt"
	"slices"
	"time"
)

// configure installs a configuration, keeping what is known of members that
// stay.
func (c *Core) configure(next Configuration) {
	peers := make([]peer, len(next.Members))
	for i, m := range next.Members {
		peers[i].acked, peers[i].named = longAgo, c.sequence
		if old, found := c.hard.Configuration.index(m.ID); found && old < len(c.peers) && c.stays(old, m) {
			peers[i] = c.peers[old]
			peers[i].confirmed = false
		}
	}
	c.hard.Configuration, c.peers = next, peers
	c.digest, c.voters, c.self = 0, next.Voters(), -1
	if !next.IsZero() {
		c.digest = next.Digest()
	}
	if i, found := next.index(c.cfg.ID); found && c.owns(next.Members[i]) {
		c.self = i
	}
}

// stays reports whether a member of the next configuration is the one that bears
// its name now. Another may have taken the name since, and the configuration
// without either may not have come here. What was heard of the first does not
// count against the second, whose incarnations begin again (rule 15 of
// PROTOCOL.md).
func (c *Core) stays(old int, next Member) bool {
	switch bound := c.hard.Configuration.Members[old].StoreID; bound {
	case next.StoreID:
		return true
	case StoreID{}: // A leader has bound it.
		return !c.peers[old].heard() || c.peers[old].store == next.StoreID
	default:
		return c.faults.keepReplacedPeers
	}
}

// install makes a configuration the current one, to be saved before anything is
// sent that names it. Rule 17: no campaign goes on under it, because it comes
// with a heartbeat or a refusal, which end them, or from this node as the leader.
func (c *Core) install(next Configuration) {
	wasNamed := c.self >= 0
	c.configure(next)
	c.dirty = true
	switch {
	case c.role == Leader:
		c.reign.installed = c.sequence + 1
		c.peers[c.self].confirmed = true // Durable before anybody can answer.
	case wasNamed != (c.self >= 0):
		c.resetElection()
	}
}

// isVoter reports whether the configuration names this very store as a voter.
func (c *Core) isVoter() bool { return c.self >= 0 && c.hard.Configuration.Members[c.self].Voter }

// isElectable reports whether the configuration names this very store as a voter
// that may lead.
func (c *Core) isElectable() bool {
	return c.self >= 0 && c.hard.Configuration.Members[c.self].electable()
}

// owns reports whether a member that bears this node's name is this node, by
// the store bound to it.
func (c *Core) owns(m Member) bool { return m.StoreID == StoreID{} || m.StoreID == c.hard.StoreID }

// isNewer reports whether a configuration that came with a message is newer
// than one's own.
func (c *Core) isNewer(o Configuration) bool {
	return !o.IsZero() && o.Compare(c.hard.Configuration.ConfigurationID) > 0
}

// AddMember adds a member that does not vote, if m.Voter is false and its
// StoreID zero. Promote it once it answers. With m.Witness it becomes a witness
// then.
//
// Like all changes it is made by a leader in its reign, takes effect at once
// and fails with ErrNotLeader, or with ErrReconfigPending until a quorum has
// acknowledged the configuration before it (rule 18). Other refusals are
// ErrMemberExists and ErrConfig.
func (c *Core) AddMember(now time.Duration, m Member) (Effects, error) {
	return c.change(now, func(next *Configuration) error {
		i, found := next.index(m.ID)
		if found {
			return &MemberError{ID: m.ID, Reason: ErrMemberExists}
		}
		if m.Voter || m.StoreID != (StoreID{}) {
			return fmt.Errorf("%w: new member %q must be unbound and no voter; promote it later", ErrConfig, m.ID)
		}
		next.Members = slices.Insert(next.Members, i, m)
		return next.Validate()
	})
}

// RemoveMember removes a member. It fails with ErrNotLeader and ErrReconfigPending
// like AddMember, and in a MemberError with ErrUnknownMember, or with ErrSelf for the
// leader itself, which must transfer first.
func (c *Core) RemoveMember(now time.Duration, id string) (Effects, error) {
	return c.changeOther(now, id, func(next *Configuration, i int) error {
		next.Members = slices.Delete(next.Members, i, i+1)
		return nil
	})
}

// Promote makes a member a voter. It does nothing if the member is one already. It
// fails like RemoveMember, and with ErrMemberSilent unless the member has answered
// within the minimal election timeout (rule 18), or a BehindError while it lacks more
// of the log than what is under way (rule 33).
func (c *Core) Promote(now time.Duration, id string) (Effects, error) {
	return c.changeOther(now, id, func(next *Configuration, i int) error {
		if next.Members[i].Voter {
			return nil
		}
		if !c.answers(i) {
			return &MemberError{ID: id, Reason: ErrMemberSilent}
		}
		if !c.keepsUp(i) {
			return c.behind(i)
		}
		next.Members[i].Voter = true
		next.Members[i].StoreID = c.storeOf(i)
		return nil
	})
}

// Demote makes a voter a member that does not vote. It does nothing if the member
// does not vote already. It fails like RemoveMember.
func (c *Core) Demote(now time.Duration, id string) (Effects, error) {
	return c.changeOther(now, id, func(next *Configuration, i int) error {
		next.Members[i].Voter = false
		return nil
	})
}

// mayLose reports, as a MemberError, whose silence leaves too few voters to lead
// if the member id does not vote any more. No safety rests on it, so that only
// Node asks. It finds nothing wrong with what the change itself refuses.
func (c *Core) mayLose(id string) error {
	lost, found := c.hard.Configuration.index(id)
	if !found || !c.hard.Configuration.Members[lost].Voter || c.mayReconfig() != nil {
		return nil
	}
	answering, silent := 0, ""
	for i, m := range c.hard.Configuration.Members {
		switch {
		case i == lost || !m.Voter:
		case i == c.self || c.answers(i):
			answering++
		case silent == "":
			silent = m.ID
		}
	}
	if silent != "" && answering < (c.voters-1)/2+1 {
		return &MemberError{ID: silent, Reason: ErrMemberSilent}
	}
	return nil
}

// UpdateMember changes the Data, Priority and Witness of the member m.ID to those
// of m, and nothing if they are the same; it looks at nothing else of m. The leader
// may be the one, because no quorum is touched, but does not become a witness. It
// fails like AddMember, with ErrUnknownMember, ErrSelf and ErrConfig.
func (c *Core) UpdateMember(now time.Duration, m Member) (Effects, error) {
	return c.change(now, func(next *Configuration) error {
		i, found := next.index(m.ID)
		if !found {
			return &MemberError{ID: m.ID, Reason: ErrUnknownMember}
		}
		if i == c.self && m.Witness {
			return &MemberError{ID: m.ID, Reason: ErrSelf}
		}
		member := &next.Members[i]
		member.Data, member.Priority, member.Witness = m.Data, m.Priority, m.Witness
		return next.Validate()
	})
}

// changeOther makes a change to one member that is not the leader.
func (c *Core) changeOther(now time.Duration, id string, edit func(next *Configuration, i int) error) (Effects, error) {
	return c.change(now, func(next *Configuration) error {
		i, found := next.index(id)
		if !found {
			return &MemberError{ID: id, Reason: ErrUnknownMember}
		}
		if i == c.self {
			return &MemberError{ID: id, Reason: ErrSelf}
		}
		return edit(next, i)
	})
}

// change makes the next configuration out of the current one, if that is
// allowed, and tells everybody at once. An edit changes one voter at most, so
// that majorities before and after it share a node.
func (c *Core) change(now time.Duration, edit func(next *Configuration) error) (Effects, error) {
	c.begin(now)
	if err := c.mayReconfig(); err != nil {
		return c.end(), err
	}
	next := c.hard.Configuration.Clone()
	if err := edit(&next); err != nil {
		return c.end(), err
	}
	if !next.Equal(c.hard.Configuration) {
		next.Version++
		c.install(next)
		c.beat()
	}
	return c.end(), nil
}

// mayReconfig is the one place that decides whether the configuration may
// change (rule 20): in a running reign, once a quorum of the current one has
// acknowledged it in this term, in answers to heartbeats sent since (rule 18).
// Then no older configuration can elect anybody any more.
func (c *Core) mayReconfig() error {
	switch {
	case !c.reigns():
		return &NotLeaderError{Leader: c.Leader(), Term: c.hard.Term}
	case c.hard.Configuration.Version+1 >= termLimit:
		return ErrTermLimit
	case c.hard.Configuration.Term != c.hard.Term,
		c.confirmed() < c.quorum() && !c.faults.reconfigUnconfirmed,
		!c.isSettled():
		return ErrReconfigPending
	default:
		return nil
	}
}

// confirmed counts the voters that have acknowledged the configuration.
func (c *Core) confirmed() int {
	n := 0
	for i, m := range c.hard.Configuration.Members {
		if m.Voter && c.peers[i].confirmed {
			n++
		}
	}
	return n
}

// refresh does, before a round of heartbeats, what a reign owes to its
// configuration. First it takes the new term (rule 17): not in the step that
// wins, because the first heartbeats would have to wait for that to be saved.
// Then stores that have spoken are bound to their names (rule 15), and the level
// goes up once every member speaks it (rule 20).
func (c *Core) refresh() {
	if !c.reigns() || c.faults.frozenMembership {
		return
	}
	if c.hard.Configuration.Term != c.hard.Term {
		next := c.hard.Configuration
		next.Term = c.hard.Term
		c.install(next)
		return
	}
	if c.mayReconfig() != nil || !c.isStale() {
		return
	}
	next := c.hard.Configuration.Clone()
	for i := range next.Members {
		next.Members[i].StoreID = c.storeOf(i)
	}
	next.Level = c.commonLevel()
	next.Version++
	c.install(next)
}

// isStale reports whether refresh would change the configuration.
func (c *Core) isStale() bool {
	if c.commonLevel() != c.hard.Configuration.Level {
		return true
	}
	for i, m := range c.hard.Configuration.Members {
		if m.StoreID != c.storeOf(i) {
			return true
		}
	}
	return false
}

// storeOf returns the store bound to a member's name or, if none is, the one to
// bind: that which answers under it, zero if none does. Not each that is heard
// lives, because a frame of an earlier owner of the name may come late.
func (c *Core) storeOf(i int) StoreID {
	switch bound := c.hard.Configuration.Members[i].StoreID; {
	case bound != StoreID{}:
		return bound
	case i == c.self:
		return c.hard.StoreID
	case c.faults.bindLateStores:
		return c.peers[i].store
	default:
		return c.peers[i].owner
	}
}

// commonLevel returns the highest level that every member is known to speak, or
// the configuration's if some have not been heard.
func (c *Core) commonLevel() uint32 {
	common := c.level
	for i := range c.peers {
		if i != c.self {
			common = min(common, c.peers[i].level)
		}
	}
	return max(common, c.hard.Configuration.Level)
}
