package sim

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/raft"
)

// Reign is a time in which the application on one node was allowed to act.
type Reign struct {
	Node string
	Term uint64
	// Begin and End are in true time; End is raft.Never while the reign runs.
	Begin, End time.Duration
}

// lead tells the application that it may act.
func (n *member) lead(term uint64) {
	w := n.world
	end, running := n.core.Reign()
	if !running {
		return
	}
	n.expire()
	w.oracle.led(n, term)
	w.transcript.write(w.now, "%s leads term %d", n.cfg.ID, term)
	n.led, n.leaseEnd = term, end
	w.reigns = append(w.reigns, Reign{Node: n.cfg.ID, Term: term, Begin: w.now, End: raft.Never})
	w.counts.Reigns++
}

// reigns reports whether the application may act at this instant.
func (n *member) reigns() bool { return n.led != 0 && n.local(n.world.now) < n.leaseEnd }

// expire ends a reign whose lease is over, as its timer does (rule 7).
func (n *member) expire() {
	if n.led != 0 && !n.reigns() {
		n.endReign()
	}
}

// endReign tells the application that it must not act any more.
func (n *member) endReign() {
	if n.led == 0 {
		return
	}
	w := n.world
	for i := range slices.Backward(w.reigns) {
		if r := &w.reigns[i]; r.Term == n.led && r.Node == n.cfg.ID {
			r.End = max(r.Begin, min(w.now, n.truly(n.leaseEnd)))
			break
		}
	}
	w.transcript.write(w.now, "%s has lost term %d", n.cfg.ID, n.led)
	n.led = 0
}

// agrees passes the core's lease on to the reign that the application knows, and
// reports whether both run or neither. If only the core's runs, the watchdog or
// the reign's own timer was first.
func (n *member) agrees() bool {
	n.expire()
	end, running := n.core.Reign()
	if running && n.led != 0 {
		n.leaseEnd = max(n.leaseEnd, end)
	}
	return !running || n.led != 0
}
