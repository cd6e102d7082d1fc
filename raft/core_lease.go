package raft

import (
	"slices"
	"time"
)

// leaderState is what a leader knows of its own term. Rule 3 of PROTOCOL.md: the
// reign begins with the first valid lease, at most one in a term, and once ended
// never resumes.
type leaderState struct {
	running  bool
	ended    bool
	leased   bool          // a lease runs; without a log the reign does, too
	leaseEnd time.Duration // while leased
	// graceEnd is when a leader without a reign gives up: one that never got a
	// lease (rule 3), or that transfers in vain (rule 5).
	graceEnd     time.Duration
	transferring bool
	// wonAt is when this node won the term.
	wonAt time.Duration
	// predecessor handed the lead over to this node, empty if nobody did.
	predecessor string
	bridge      bool // see campaign

	heartbeatAt time.Duration
	// rounds holds when each of the latest heartbeats was first sent, by
	// sequence number modulo its length. It covers more than a lease.
	rounds []time.Duration
	// installed is the first heartbeat that carried the current configuration
	// (rule 18).
	installed uint64

	// start is the index of the first entry of the term, 0 while there is no log
	// (rule 27), and uncommitted the size of those from there on that are not
	// committed (rule 31).
	start       uint64
	uncommitted int
}

// reigns reports whether this node holds a valid lease.
func (c *Core) reigns() bool { return c.role == Leader && c.reign.running }

// win makes a candidate the leader of its term. Rule 11: its first heartbeats
// leave in the same step. Rule 3: the votes count from the first sending of the
// request.
func (c *Core) win() {
	c.role = Leader
	c.leader, c.following = c.cfg.ID, true
	c.electionAt = Never
	c.counters.Wins++
	c.reign = leaderState{
		rounds:      c.reign.rounds,
		graceEnd:    c.now + c.cfg.ElectionTimeoutMax,
		wonAt:       c.now,
		predecessor: c.campaign.predecessor,
		bridge:      c.campaign.bridge,
	}
	for i := range c.peers {
		p := &c.peers[i]
		p.acked, p.abstains = longAgo, false
		if c.campaign.granted.has(i) {
			p.acked = c.campaign.sentAt
		}
	}
	c.prove() // Who wins has everything.
	c.beat()
	c.beginLog()
}

// dueAsLeader does what time asks of a leader. The end of the lease comes first:
// it is the quorum check, for a leader that a majority no longer answers.
func (c *Core) dueAsLeader() {
	switch {
	case c.reign.leased && c.now >= c.reign.leaseEnd:
		c.follow()
	case !c.reign.leased && c.now >= c.reign.graceEnd && c.reign.transferring:
		c.preCampaign() // Rule 5: as its own promisee.
	case !c.reign.leased && c.now >= c.reign.graceEnd:
		c.follow()
	case c.now >= c.reign.heartbeatAt:
		c.refresh()
		c.beat()
		if c.reigns() {
			c.beginLog() // Every member keeps a log since.
		}
	}
}

// beat sends one round of heartbeats. The leader answers it itself at once, and
// gives the same promise as everybody else.
func (c *Core) beat() {
	c.sequence++
	c.reign.rounds[c.sequence%uint64(len(c.reign.rounds))] = c.now
	c.reign.heartbeatAt = c.now + c.cfg.HeartbeatInterval
	c.bind(c.cfg.ID, c.cfg.ElectionTimeoutMin)
	c.peers[c.self].acked = c.now
	for i, to := range c.hard.Configuration.Members {
		if i == c.self {
			continue
		}
		m := c.message(Heartbeat, to.ID)
		m.Sequence, m.Promise = c.sequence, c.cfg.ElectionTimeoutMin
		if p := &c.peers[i]; p.heard() && p.shown.Compare(m.ConfigurationID) < 0 {
			m.Configuration = c.hard.Configuration // Rule 19: its answer showed an older one.
		}
		c.challenge(i, &m)
		m.Check = c.checks.latest
		c.send(m)
	}
	c.renew()
}

// onHeartbeat is AppendEntries of the Raft paper without entries.
func (c *Core) onHeartbeat(m *Message) {
	if c.heed(m, HeartbeatAnswer) {
		c.learnCommit(m.Commit)
		c.compare(m)
		c.checks.leader = m.Check
		c.compareChecks()
		c.answer(m, HeartbeatAnswer, true)
	}
}

// heed follows the leader that has sent a heartbeat, or an append, and gives the
// promise. It reports whether that leads this node's term; if the term is over, it
// answers so.
func (c *Core) heed(m *Message, answer MessageKind) bool {
	if c.precedesOwner(m.Configuration) {
		c.counters.Dropped.Late++
		return false
	}
	if m.Term < c.hard.Term {
		c.answer(m, answer, false)
		return false
	}
	if m.Term > c.hard.Term {
		c.adopt(m.Term)
	}
	if c.leader != "" && c.leader != m.From {
		c.counters.Dropped.Conflicting++ // Rule 8: a term has one leader.
		return false
	}
	if c.role != Follower {
		c.follow()
	}
	c.leader = m.From
	if c.faults.resetVoteOnEqualTerm {
		c.hard.Vote, c.dirty = "", true
	}
	if m.Sequence > c.lastHeartbeat { // Rule 8: else it resets nothing.
		c.lastHeartbeat, c.following, c.withholds = m.Sequence, true, false
		c.bind(m.From, m.Promise)
		c.resetElection()
	}
	if c.isNewer(m.Configuration) { // Rule 17: saved before it is acknowledged.
		c.install(m.Configuration)
	}
	return true
}

// onHeartbeatAnswer takes in the answer to a heartbeat or an append of this term:
// the promise, and how far the member's log is.
func (c *Core) onHeartbeatAnswer(sender int, m *Message) {
	if c.role != Leader || m.Term != c.hard.Term || !m.Granted {
		return
	}
	p := &c.peers[sender]
	if m.Sequence <= p.named && !c.faults.bindLateStores {
		return // Rule 15: the name had another owner.
	}
	c.countPromise(p, m)
	c.track(sender, m)
}

// countPromise counts a promise towards the lease. Rule 2: from when the heartbeat
// was first sent, not from when the answer came, for the promise may be as old as
// that. An append is of the round of heartbeats before it.
func (c *Core) countPromise(p *peer, m *Message) {
	sent, ok := c.sentAt(m.Sequence)
	if !ok || m.Kind == AppendAnswer && c.faults.appendsKeepNoLease {
		return
	}
	if c.faults.leaseFromReceipt {
		sent = c.now
	}
	p.owner = m.StoreID
	if sent >= p.acked {
		p.acked = sent
		if m.Kind == HeartbeatAnswer {
			p.abstains = m.Abstains
		}
	}
	if m.ConfigurationID == c.hard.Configuration.ConfigurationID && m.Sequence >= c.reign.installed {
		p.confirmed = true
	}
	c.renew()
}

// sentAt returns when a heartbeat was sent, if it is remembered. What is no
// heartbeat of this term was sent before all that are.
func (c *Core) sentAt(sequence uint64) (time.Duration, bool) {
	length := uint64(len(c.reign.rounds))
	if sequence > c.sequence || c.sequence-sequence >= length {
		return 0, false
	}
	return c.reign.rounds[sequence%length], true
}

// renew extends the lease by what has been answered. The reign may begin with the
// first lease that is valid.
func (c *Core) renew() {
	end := c.majorityAck() + c.lease
	switch {
	case c.reign.leased:
		c.reign.leaseEnd = max(c.reign.leaseEnd, end)
	case c.reign.ended && !c.faults.renewAfterTransfer, end <= c.now:
	default:
		c.reign.leased, c.reign.leaseEnd = true, end
		c.ascend()
	}
}

// ascend begins the reign once there is a lease and nothing is left to apply that
// was committed before.
func (c *Core) ascend() {
	if c.reign.leased && !c.reign.running && !c.reign.bridge && c.hasBegun() {
		c.reign.running = true
		c.out.Led = c.hard.Term
		c.counters.Reigns++
	}
}

// majorityAck returns the latest instant such that a majority of the voters has
// answered what was sent then or later.
func (c *Core) majorityAck() time.Duration {
	var acks [MaxMembers]time.Duration
	n := 0
	for i, m := range c.hard.Configuration.Members {
		if m.Voter {
			acks[n] = c.peers[i].acked
			n++
		}
	}
	slices.Sort(acks[:n])
	return acks[n-c.quorum()]
}

// endReign ends the reign, if one runs, for good (rule 3). A reign that began in
// the same call is reported neither as Led nor as Lost.
func (c *Core) endReign() {
	c.reign.ended, c.reign.leased = true, false
	if !c.reigns() {
		return
	}
	c.reign.running = false
	if c.out.Led != 0 {
		c.out.Led = 0
		return
	}
	c.out.Lost = c.hard.Term
}

// StepDown ends the reign at once and follows. It is for a caller whose process
// or disk was too slow to keep the lease, and for one who has ended the reign
// for the application already (rule 7).
func (c *Core) StepDown(now time.Duration) Effects {
	c.begin(now)
	if c.role == Leader {
		c.follow()
	}
	return c.end()
}
