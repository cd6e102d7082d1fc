package raft

import (
	"context"
	"iter"
)

// Watch returns the current status and then one for each change, until ctx ends
// or Run has; the last one says Stopped. A change is one of role, term, leader,
// lead, configuration, refusal, abstention or the number of unreleased
// leaderships; counters alone, so heartbeats, are none (rule 24). A slow reader
// skips what has been overtaken, so compare terms, but never misses the newest
// status. Each use of the sequence begins anew; they do not take from each
// other. A change wakes each reader, and costs it a copy of the configuration:
// time in proportion to the number of members. A heartbeat wakes none.
func (n *Node) Watch(ctx context.Context) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		var last statusKey
		for first := true; ; first = false {
			// Before the status, so that no change falls between the two.
			changed := n.nextChange()
			s := n.Status()
			if key := s.key(); first || key != last {
				last = key
				if !yield(s) {
					return
				}
			}
			if s.Stopped {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (n *Node) nextChange() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}
