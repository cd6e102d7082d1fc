package raft

import (
	"math/bits"
	"time"
)

// campaign is one round of asking, for pre-votes or for votes. Rule 8 of
// PROTOCOL.md: answers are a set by voter, so that a duplicate counts once.
type campaign struct {
	sequence uint64        // of the requests; answers echo it (rule 6)
	sentAt   time.Duration // before the first sending: leases count from here
	retryAt  time.Duration
	retries  int
	transfer uint64 // see Message.Transfer
	bridge   bool   // to hand its log on, not to reign (rule 33)
	// predecessor is who asked for this campaign by a transfer, else empty.
	predecessor   string
	granted       voterSet
	suspect       voterSet // those whose grant is none without everybody's
	refused       voterSet
	doubleCounted int // grants counted twice; always 0 but for a fault
}

// voterSet is a set of members by their index, of which there are at most 32.
type voterSet uint32

func (s *voterSet) add(i int)     { *s |= 1 << i }
func (s voterSet) has(i int) bool { return s&(1<<i) != 0 }
func (s voterSet) size() int      { return bits.OnesCount32(uint32(s)) }

// quorum is the size of a majority of the current configuration's voters.
func (c *Core) quorum() int { return c.voters/2 + 1 }

// Campaign begins an election now instead of when the leader has been silent
// for long enough. It begins with pre-votes like any other (rule 6). It does
// nothing while this node campaigns already, and fails with ErrLeaderAlive while
// it is bound by a promise or leads, with ErrUnknownMember, ErrWiped, ErrNotVoter,
// ErrWitness or ErrTermLimit.
func (c *Core) Campaign(now time.Duration) (Effects, error) {
	c.begin(now)
	err := c.mayCampaign()
	if err == nil && c.role == Follower {
		c.preCampaign()
	}
	return c.end(), err
}

// mayCampaign reports why this node must not try to win the next term.
func (c *Core) mayCampaign() error {
	_, named := c.hard.Configuration.index(c.cfg.ID)
	switch {
	case !named:
		return &MemberError{ID: c.cfg.ID, Reason: ErrUnknownMember}
	case c.self < 0:
		return &MemberError{ID: c.cfg.ID, Reason: ErrWiped}
	case !c.isVoter():
		return &MemberError{ID: c.cfg.ID, Reason: ErrNotVoter}
	case c.bridges():
	case !c.isElectable():
		return &MemberError{ID: c.cfg.ID, Reason: ErrWitness}
	case c.abstains:
		return ErrUnfit
	}
	switch {
	case c.role == Leader:
		return &MemberError{ID: c.cfg.ID, Reason: ErrLeaderAlive}
	case c.hard.Term+1 >= termLimit:
		return ErrTermLimit
	case !c.free(c.cfg.ID, 0):
		return &MemberError{ID: c.promise.to, Reason: ErrLeaderAlive}
	default:
		return nil
	}
}

// preCampaign asks whether a campaign could succeed. Rule 6: it forgets the
// leader, but not the promise.
func (c *Core) preCampaign() {
	c.follow()
	c.resetElection()
	if c.mayCampaign() != nil {
		c.showConfiguration()
		return
	}
	c.role = PreCandidate
	c.counters.PreCampaigns++
	c.ask(0, "")
}

// showConfiguration asks for pre-votes that this node makes no use of. Rule 17: a
// member that does not stand may be the only one alive that knows the newest
// configuration, and who may lead may not even know that it is a voter.
func (c *Core) showConfiguration() {
	if c.self < 0 || c.stands() || c.hard.Term+1 >= termLimit || c.faults.hideConfiguration {
		return
	}
	c.sequence++
	c.campaign = campaign{sequence: c.sequence}
	c.campaign.granted.add(c.self)
	c.request(PreVoteRequest, c.hard.Term+1)
}

// elect asks for the votes of the next term, beginning with this node's own,
// which passes the same guard as any other (rule 1).
func (c *Core) elect(transfer uint64) {
	c.follow()
	bound := !c.free(c.cfg.ID, transfer) && !c.faults.keepPreCampaign
	if bound || !c.stands() && (transfer != 0 || !c.bridges()) || c.hard.Term+1 >= termLimit {
		return
	}
	predecessor := ""
	if transfer != 0 {
		predecessor = c.leader
	}
	c.hard.Term++
	c.hard.Vote, c.dirty = c.cfg.ID, true
	c.knowNobody()
	c.bind(c.cfg.ID, c.cfg.ElectionTimeoutMin)
	c.role = Candidate
	c.counters.Campaigns++
	c.resetElection()
	c.ask(transfer, predecessor)
}

// stands reports whether this node would lead.
func (c *Core) stands() bool { return c.isElectable() && !c.abstains }

// ask opens a round of asking and puts the question to every other voter.
func (c *Core) ask(transfer uint64, predecessor string) {
	c.sequence++
	c.campaign = campaign{
		sequence: c.sequence, sentAt: c.now, transfer: transfer, predecessor: predecessor,
		bridge: transfer == 0 && c.bridges(),
	}
	c.campaign.granted.add(c.self)
	if c.isSuspect() {
		c.campaign.suspect.add(c.self)
	}
	c.put()
	c.tally()
}

// retry asks silent voters again, with the same sequence number (rule 9).
func (c *Core) retry() {
	c.campaign.retries++
	c.put()
}

// put puts the question of the campaign, and says when to put it again.
func (c *Core) put() {
	c.campaign.retryAt = Never
	if c.campaign.retries < c.cfg.MaxRetries {
		c.campaign.retryAt = c.now + c.cfg.HeartbeatInterval
	}
	if c.role == PreCandidate {
		c.request(PreVoteRequest, c.hard.Term+1)
	} else {
		c.request(VoteRequest, c.hard.Term)
	}
}

// request sends the question to the voters that have not answered it.
func (c *Core) request(kind MessageKind, term uint64) {
	answered := c.campaign.granted | c.campaign.refused
	for i, to := range c.hard.Configuration.Members {
		if !to.Voter || answered.has(i) {
			continue
		}
		m := c.message(kind, to.ID)
		m.Term, m.Sequence, m.Transfer = term, c.campaign.sequence, c.campaign.transfer
		m.Promise = c.cfg.ElectionTimeoutMin
		m.Configuration = c.hard.Configuration // Rule 19: it may make the sender known.
		m.Last = c.log.last()
		c.send(m)
	}
}

// onPreVoteRequest says how this node would vote. A refusal carries its term, in
// case that is higher (rule 6).
func (c *Core) onPreVoteRequest(m *Message) {
	if c.reigns() {
		return // Rule 1: it helps nobody else.
	}
	if c.free(m.From, 0) {
		c.takeIn(m.Configuration)
		c.withholds = c.withholds || m.Last.before(c.log.durableEnd())
	}
	granted := m.Term > c.hard.Term && c.free(m.From, 0) && c.eligible(m)
	c.answer(m, PreVoteAnswer, granted)
}

// onVoteRequest is RequestVote of the Raft paper, behind rule 1's guard.
func (c *Core) onVoteRequest(m *Message) {
	switch {
	case c.reigns():
		return // Rule 1: not even the term is adopted.
	case m.Term < c.hard.Term:
	case m.Term == c.hard.Term && c.hard.Vote == m.From:
		// Repeating a vote is no new promise, and needs no guard.
		c.answer(m, VoteAnswer, true)
		return
	case c.free(m.From, m.Transfer):
		if m.Term > c.hard.Term {
			c.adopt(m.Term)
		}
		if c.unpledged(m.From) && c.eligible(m) {
			c.grant(m)
			return
		}
	}
	c.answer(m, VoteAnswer, false)
}

// unpledged reports whether this node has neither voted for nor heard from
// anybody else in this term.
func (c *Core) unpledged(candidate string) bool {
	if c.hard.Vote != "" {
		return false
	}
	return c.leader == "" || c.leader == candidate || c.faults.resetVoteOnEqualTerm
}

// grant gives the vote of this term, and the promise that the candidate's lease
// may count on. Rule 6: it ends this node's own pre-campaign.
func (c *Core) grant(m *Message) {
	if c.role != PreCandidate || !c.faults.keepPreCampaign {
		c.follow()
	}
	c.hard.Vote, c.dirty, c.withholds = m.From, true, false
	c.bind(m.From, m.Promise)
	c.counters.Grants++
	c.resetElection()
	c.answer(m, VoteAnswer, true)
}

// takeIn makes a newer configuration this node's own, which ends its campaign, and
// with it the term in which it was made. Rule 26: also of a candidate that it
// refuses, because the newer configuration may be with one member and the longer
// log with another. A node that knows none waits for a
// leader's: to it any looks newer.
func (c *Core) takeIn(o Configuration) {
	switch {
	case !c.isNewer(o) || c.precedesOwner(o) || c.hard.Configuration.IsZero():
		return
	case c.role == Leader || c.faults.hideConfiguration:
		return
	}
	if o.Term > c.hard.Term {
		c.adopt(o.Term)
	}
	if c.role != Follower {
		c.follow()
	}
	c.install(o)
}

// eligible reports whether a candidate may lead as far as this node knows:
// rule 17, its configuration is not older than one's own, nor is its log; and
// whether this node's vote is one at all.
func (c *Core) eligible(m *Message) bool {
	older := m.ConfigurationID.Compare(c.hard.Configuration.ConfigurationID) < 0
	if older && !c.faults.ignoreConfigurationID {
		return false
	}
	// Rule 25: what is not durable here was never counted.
	if m.Last.before(c.log.durableEnd()) && !c.faults.voteForShorterLogs {
		return false
	}
	return c.mayVote(m)
}

// mayVote reports whether this very store is named, in the candidate's
// configuration if that is newer, else in its own. Rule 15: a wiped store is
// not, and a store that has just joined waits until it is (rule 16). A voter
// that knows itself as a listener only may have been promoted since.
func (c *Core) mayVote(m *Message) bool {
	if c.isNewer(m.Configuration) {
		if me, found := m.Configuration.Member(c.cfg.ID); found {
			return c.owns(me) && !c.precedesOwner(m.Configuration)
		}
	}
	return c.self >= 0
}

// precedesOwner reports whether a configuration is from before this node's name had
// another owner, whose vote may be lost. Rule 16: only a founder votes before its
// store is bound, and a founder is named from the beginning.
func (c *Core) precedesOwner(o Configuration) bool {
	me, found := o.Member(c.cfg.ID)
	return c.self < 0 && found && me.Voter && me.StoreID == StoreID{} && !c.faults.voteUnnamed
}

// onVoteAnswer counts an answer to the running campaign. Rules 6 and 8: the
// echoed sequence number keeps out what was granted to an earlier campaign of
// this process, as admit does with what others have asked; and a vote is of the
// term that it was given in, whatever question it claims to answer.
func (c *Core) onVoteAnswer(sender int, m *Message) {
	current := c.role == PreCandidate && m.Kind == PreVoteAnswer ||
		c.role == Candidate && m.Kind == VoteAnswer
	if !current || m.Sequence != c.campaign.sequence || !c.hard.Configuration.Members[sender].Voter {
		return
	}
	if m.Kind == VoteAnswer && m.Granted && m.Term != c.hard.Term && !c.faults.countStrayAnswers {
		return
	}
	if !m.Granted {
		c.campaign.refused.add(sender)
	} else {
		if c.faults.countDuplicateVotes && c.campaign.granted.has(sender) {
			c.campaign.doubleCounted++
		}
		c.campaign.granted.add(sender)
		if m.Abstains {
			c.campaign.suspect.add(sender)
		}
		if c.faults.leaseFromReceipt {
			c.campaign.sentAt = c.now
		}
	}
	c.tally()
}

// tally acts once a majority has decided.
func (c *Core) tally() {
	refused := c.campaign.refused &^ c.campaign.granted
	switch {
	case c.hasWon() && c.role == PreCandidate:
		c.elect(0)
	case c.hasWon():
		c.win()
	case c.voters-refused.size() < c.quorum():
		c.follow()
	}
}

// standsAt reports whether the next call would make this node stand for election,
// if it does not abstain.
func (c *Core) standsAt(now time.Duration) bool {
	if c.role == Leader {
		return c.reign.transferring && !c.reign.running && now >= c.reign.graceEnd
	}
	return c.isElectable() && now >= c.electionAt
}
