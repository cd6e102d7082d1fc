package raft

import (
	"fmt"
	"log/slog"
	"time"
)

// Abstention says why a node does not stand for election (rule 22). It votes and
// follows meanwhile like any other, and no leader hands over to it.
type Abstention uint8

// The reasons, the first that holds.
const (
	// AbstainsUnreleased says that work of an earlier reign has not ended, see
	// Status.Unreleased: a second leader's work would run beside it.
	AbstainsUnreleased Abstention = iota + 1
	// AbstainsUnhealthy says that Config.Healthy has returned an error.
	AbstainsUnhealthy
	// AbstainsFailing says that the work under WhileLeader has failed, and that
	// the node pauses, see WhileLeader.
	AbstainsFailing
)

// String returns the reason for people.
func (a Abstention) String() string {
	switch a {
	case 0:
		return "none"
	case AbstainsUnreleased:
		return "work of an earlier reign has not ended"
	case AbstainsUnhealthy:
		return "the node is unhealthy"
	case AbstainsFailing:
		return "the work of the leader has failed"
	default:
		return fmt.Sprintf("Abstention(%d)", uint8(a))
	}
}

// Unreleased is work that has outlived its reign: leaderships that were not
// released when it ended.
type Unreleased struct {
	// Count is how many there are.
	Count int `json:"count"`
	// Term is their reign, and For how long ago that has ended.
	Term uint64        `json:"term"`
	For  time.Duration `json:"for"`
}

// maxPauses bounds the pause after failed work, in maximal election timeouts.
const maxPauses = 64

// pause is how long a node does not stand after its work has failed: a maximal
// election timeout, twice as long each time that the work fails again without
// having run for longer than the pause before.
type pause struct {
	term   uint64 // of the reign that failed last; it counts once
	length time.Duration
	until  time.Duration
}

// workFailed notes that the work of a reign has failed while that ran.
func (n *Node) workFailed(r *reign) {
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &n.pause
	if p.term == r.term {
		return
	}
	length := n.cfg.ElectionTimeoutMax
	if p.term != 0 && now-r.begun <= p.length {
		length = min(2*p.length, maxPauses*n.cfg.ElectionTimeoutMax)
	}
	*p = pause{term: r.term, length: length, until: now + length}
	n.wake()
}

// endPause lets the node stand again.
func (n *Node) endPause() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pause = pause{}
}

// consider decides whether the core may stand for election. Healthy is asked if
// that is about to happen, and of an unhealthy node again after a heartbeat
// interval.
func (l *loop) consider(now time.Duration, stands bool) {
	if stands && l.core.Role() != Leader || l.unwell && now-l.askedAt >= l.node.cfg.HeartbeatInterval {
		_ = l.ask()
	}
	l.abstains = l.abstention(now)
	l.core.abstains = l.abstains != 0
}

func (l *loop) abstention(now time.Duration) Abstention {
	n := l.node
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case len(n.leftover) > 0:
		return AbstainsUnreleased
	case l.unwell:
		return AbstainsUnhealthy
	case now < n.pause.until:
		return AbstainsFailing
	default:
		return 0
	}
}

// ask asks the application whether the node is fit to lead. A node that has
// recovered does not pause.
func (l *loop) ask() error {
	if l.node.cfg.Healthy == nil {
		return nil
	}
	var err error
	l.callOut("Healthy", func() { err = l.node.cfg.Healthy() })
	l.askedAt = l.node.now()
	switch {
	case err != nil && !l.unwell:
		l.log(slog.LevelWarn, "raft: node is unfit to lead", "error", err)
	case err == nil && l.unwell:
		l.node.endPause()
	}
	l.unwell = err != nil
	return err
}

// unreleasedLocked counts what has outlived its reign.
func (n *Node) unreleasedLocked(now time.Duration) Unreleased {
	u := Unreleased{Count: len(n.leftover)}
	for l, ended := range n.leftover { // All of one reign: no other begins meanwhile.
		u.Term, u.For = l.reign.term, now-ended
	}
	return u
}
