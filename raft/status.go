package raft

import "time"

// Status is what a node knows, at one instant.
type Status struct {
	// Cluster and ID are the names of the cluster and of this node.
	Cluster, ID string
	// StoreID identifies the store; Incarnation counts how often it has been
	// opened. Both are zero before Run.
	StoreID     StoreID
	Incarnation uint64

	// Role is what the node does in Term.
	Role Role
	// Term is the highest term that the node has seen.
	Term uint64
	// Leader is who leads the term as far as the node knows, else empty. It is
	// this node only while Leading.
	Leader string
	// Leading says that this node holds a valid lease and is not giving it up;
	// Lease, how much of the lease is left.
	Leading bool
	Lease   time.Duration
	// Configuration is the newest membership known.
	Configuration Configuration
	// Refused says why another member lately refused this node's messages, 0 if
	// none did; the reasons say what mends them. A node that sends nothing, such as
	// one that does not vote and hears no leader, is not refused either.
	Refused RefusalReason
	// Abstains says why this node does not stand for election for now, as of when
	// it last could have; 0 if it does, or if Configuration does not let it. It ends,
	// without a call, as soon as the reason does.
	Abstains Abstention
	// Unreleased is work that has outlived its reign, zero if there is none.
	Unreleased Unreleased
	// Stopped says that Run has ended.
	Stopped bool

	// Counters count what the election did.
	Counters Counters
	// Traffic counts what went in and out.
	Traffic Traffic
}

// Traffic counts what went in and out of one Node since it began.
type Traffic struct {
	// Sent messages were given to the transport; it refused those Unsent.
	Sent, Unsent uint64
	// Received messages were given to the core.
	Received uint64
	// Malformed frames were no message, Forged ones not their sender's.
	Malformed, Forged uint64
	// Overflowed messages were dropped because more came than was taken, or
	// because the node did not run.
	Overflowed uint64
	// Saves were made durable; SlowSaves outlasted half the minimal election
	// timeout, which ends a reign. LongestSave took the longest.
	Saves, SlowSaves uint64
	LongestSave      time.Duration
}

// Status returns one consistent snapshot. It copies the configuration, so that
// it takes time in proportion to the number of members.
func (n *Node) Status() Status {
	s := n.snapshot()
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
	s := n.status
	s.Unreleased = n.unreleasedLocked(now)
	switch {
	case !s.Leading:
	case n.leadsLocked(now):
		s.Lease = n.reign.leftAt(now)
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
		Configuration: state.Configuration, Refused: l.refusal(), Abstains: l.abstains,
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
	n.status = s
	if s.key() != before {
		n.notifyLocked()
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
