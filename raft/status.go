package raft

import (
	"slices"
	"time"
)

// Status is what a node knows, at one instant.
type Status struct {
	// Cluster and ID are the names of the cluster and of this node.
	Cluster string `json:"cluster"`
	ID      string `json:"id"`
	// StoreID identifies the store; Incarnation counts how often it has been
	// opened. Both are zero before Run.
	StoreID     StoreID `json:"storeID,omitzero"`
	Incarnation uint64  `json:"incarnation,omitempty"`

	// Role is what the node does in Term.
	Role Role `json:"role"`
	// Term is the highest term that the node has seen.
	Term uint64 `json:"term"`
	// Leader is who leads the term as far as the node knows, else empty. It is
	// this node only while Leading.
	Leader string `json:"leader,omitempty"`
	// Leading says that this node holds a valid lease and is not giving it up;
	// Lease, how much of the lease is left, and Reign, how long the reign has lasted.
	Leading bool          `json:"leading"`
	Lease   time.Duration `json:"lease,omitempty"`
	Reign   time.Duration `json:"reign,omitempty"`
	// Peers are the other members, by ID, as far as this node leads the term: a
	// follower hears nobody but the leader.
	Peers []PeerStatus `json:"peers,omitempty"`
	// Configuration is the newest membership known.
	Configuration Configuration `json:"configuration,omitzero"`
	// Log is how far the replicated log is, zero without one.
	Log LogStatus `json:"log,omitzero"`
	// Refused says why another member lately refused this node's messages, 0 if
	// none did; the reasons say what mends them. A node that sends nothing, such as
	// one that does not vote and hears no leader, is not refused either.
	Refused RefusalReason `json:"refused,omitempty"`
	// Abstains says why this node does not stand for election for now, as of when
	// it last could have; 0 if it does, or if Configuration does not let it. It ends,
	// without a call, as soon as the reason does.
	Abstains Abstention `json:"abstains,omitempty"`
	// Unreleased is work that has outlived its reign, zero if there is none.
	Unreleased Unreleased `json:"unreleased,omitzero"`
	// Stopped says that Run has ended.
	Stopped bool `json:"stopped,omitempty"`

	// Counters count what the election did.
	Counters Counters `json:"counters"`
	// Traffic counts what went in and out.
	Traffic Traffic `json:"traffic"`
}

// PeerStatus is what a leader knows of another member.
type PeerStatus struct {
	// ID of the member.
	ID string `json:"id"`
	// Heard says that it has answered a heartbeat of this term, and Lag, how long
	// ago the latest that it has answered was sent: a member that keeps up lags by less
	// than a heartbeat interval and a round trip.
	Heard bool          `json:"heard"`
	Lag   time.Duration `json:"lag,omitempty"`
	// Abstains says that it does not stand for election for now, as its latest answer
	// says.
	Abstains bool `json:"abstains,omitempty"`
}

// LogStatus is how far the replicated log of one node is.
type LogStatus struct {
	// Last is the end of the log in memory, and Durable up to which index the disk has
	// it.
	Last    Position `json:"last"`
	Durable uint64   `json:"durable"`
	// Commit is up to which index entries are known here to be committed, and Applied
	// up to which the Machine has applied them.
	Commit  uint64 `json:"commit"`
	Applied uint64 `json:"applied"`
	// Snapshot is up to which index the latest snapshot on disk has all, and Kept how
	// many entries are in memory, some of which it may have.
	Snapshot uint64 `json:"snapshot"`
	Kept     int    `json:"kept"`
	// Unproven says that the end of the log could not be read when the node began, so
	// that its vote counts only beside those of all other voters. It ends when a leader
	// has brought it what may be missing.
	Unproven bool `json:"unproven"`
}

// Traffic counts what went in and out of one Node since it began.
type Traffic struct {
	// Sent messages were given to the transport; it refused those Unsent.
	Sent   uint64 `json:"sent"`
	Unsent uint64 `json:"unsent"`
	// Received messages were given to the core.
	Received uint64 `json:"received"`
	// Malformed frames were no message, Forged ones not their sender's.
	Malformed uint64 `json:"malformed"`
	Forged    uint64 `json:"forged"`
	// Overflowed messages were dropped because more came than was taken, or
	// because the node did not run.
	Overflowed uint64 `json:"overflowed"`
	// Saves were made durable; SlowSaves outlasted half the minimal election
	// timeout, which ends a reign. LongestSave took the longest.
	Saves       uint64        `json:"saves"`
	SlowSaves   uint64        `json:"slowSaves"`
	LongestSave time.Duration `json:"longestSave"`
}

// Status returns one consistent snapshot. It copies the configuration, so that
// it takes time in proportion to the number of members.
func (n *Node) Status() Status {
	now := n.now()
	n.mu.Lock()
	s := n.snapshotLocked(now)
	if s.Role == Leader {
		s.Peers = slices.Clone(n.peers)
	}
	n.mu.Unlock()
	for i := range s.Peers {
		s.Peers[i].lagAt(now)
	}
	s.Configuration = s.Configuration.Clone()
	s.Traffic.Malformed = n.frames.malformed.Load()
	s.Traffic.Forged = n.frames.forged.Load()
	s.Traffic.Overflowed = n.inbox.drops()
	s.Traffic.SlowSaves = n.slowSaves.Load()
	return s
}

// snapshot returns the status as the loop saw it last, but for the lease, which
// it looks at now. It shares the configuration.
func (n *Node) snapshot() Status {
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.snapshotLocked(now)
}

func (n *Node) snapshotLocked(now time.Duration) Status {
	s := n.status
	s.Unreleased = n.unreleasedLocked(now)
	switch {
	case !s.Leading:
	case n.leadsLocked(now):
		s.Lease, s.Reign = n.reign.leftAt(now), now-n.reign.begun
	default: // The reign has ended, or is ending, since.
		s.Leading, s.Leader = false, ""
	}
	return s
}

// statusKey is what watchers are told about when it changes: not counters, nor
// the lease, which change with every heartbeat.
type statusKey struct {
	role          Role
	term          uint64
	leader        string
	leading       bool
	configuration ConfigurationID
	refused       RefusalReason
	abstains      Abstention
	unreleased    int
	stopped       bool
}

func (s *Status) key() statusKey {
	return statusKey{s.Role, s.Term, s.Leader, s.Leading, s.Configuration.ConfigurationID, s.Refused, s.Abstains, s.Unreleased.Count, s.Stopped}
}

// publish makes what the loop has done visible.
func (l *loop) publish() {
	n, state := l.node, l.core.State()
	s := Status{
		Cluster: state.Cluster, ID: state.Node, StoreID: state.StoreID, Incarnation: state.Incarnation,
		Role: l.core.Role(), Term: state.Term, Leader: l.core.Leader(),
		Configuration: state.Configuration, Log: l.core.logStatus(), Refused: l.refusal(), Abstains: l.abstains,
		Counters: l.core.Counters(), Traffic: l.traffic,
	}
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Leading = n.leadsLocked(now)
	if s.Leader == s.ID && !s.Leading {
		s.Leader = ""
	}
	before := n.status.key()
	n.status, n.peers = s, l.core.peersInto(n.peers[:0])
	if s.key() != before {
		n.notifyLocked()
	}
}

// peersInto appends what a leader knows of the others, by ID. Lag is when the latest
// heartbeat that they have answered was sent: see lagAt.
func (c *Core) peersInto(peers []PeerStatus) []PeerStatus {
	if c.role != Leader {
		return peers
	}
	for i, m := range c.hard.Configuration.Members {
		if m.ID != c.cfg.ID {
			p := &c.peers[i]
			peers = append(peers, PeerStatus{ID: m.ID, Heard: p.acked != longAgo, Lag: p.acked, Abstains: p.abstains})
		}
	}
	return peers
}

// lagAt turns the instant in Lag into how long ago that was.
func (p *PeerStatus) lagAt(now time.Duration) {
	if p.Heard {
		p.Lag = max(0, now-p.Lag)
	} else {
		p.Lag = 0
	}
}

// publishTraffic makes visible what the loop counted last, for one that ends and
// may not have saved the rest of its state.
func (l *loop) publishTraffic() {
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	l.node.status.Traffic = l.traffic
}

// notifyLocked wakes everybody who waits for a change.
func (n *Node) notifyLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}
