package sim

import (
	"fmt"
	"maps"
	"time"

	"github.com/rads-project/constellation/raft"
)

// OracleError says which oracle broke. Running the same trial again leads to it
// again.
type OracleError struct {
	Seed uint64
	// Mix is the name of the trial's mix, empty outside trials.
	Mix string
	// Oracle is O1 to O14.
	Oracle string
	At     time.Duration
	Detail string
}

// Error implements error.
func (v *OracleError) Error() string {
	return fmt.Sprintf("sim: %s is broken under seed %d (%s) at %v: %s", v.Oracle, v.Seed, v.Mix, v.At, v.Detail)
}

// oracle checks what holds in every history. It looks at nothing but what leaves
// a node, what is on its disk and what its application was told, so that it does
// not depend on how the core works.
type oracle struct {
	world   *World
	leaders map[uint64]string // O1: of each term, forever
	token   uint64            // O7: the highest so far
	past    []past            // of each node

	committed []raft.Entry // O12 to O14: from index 1
	images    []image      // after each of them
}

// past is what is remembered of one node across its processes.
type past struct {
	durable uint64            // O2: term on disk
	term    uint64            // O2: of the process
	grants  map[uint64]string // O3
}

func newOracle(w *World) oracle {
	o := oracle{world: w, leaders: make(map[uint64]string), past: make([]past, len(w.nodes))}
	for i := range o.past {
		o.past[i].grants = make(map[uint64]string)
	}
	return o
}

func (o *oracle) breaks(oracle, format string, args ...any) {
	w := o.world
	if w.err != nil {
		return
	}
	v := &OracleError{Seed: w.cfg.Seed, Oracle: oracle, At: w.now, Detail: fmt.Sprintf(format, args...)}
	w.transcript.write(w.now, "%s: %s", v.Oracle, v.Detail)
	w.err = v
}

// started checks a core that begins.
func (o *oracle) started(n *member) {
	p := &o.past[n.index]
	if term := n.core.Term(); term < p.durable {
		o.breaks("O2", "%s restarts in term %d after %d", n.cfg.ID, term, p.durable)
	}
	p.term = n.core.Term()
}

// saved checks a record that has become durable.
func (o *oracle) saved(n *member) {
	p := &o.past[n.index]
	if term := n.disk.record.State.Term; term < p.durable {
		o.breaks("O2", "%s saves term %d after %d", n.cfg.ID, term, p.durable)
	}
	p.durable = n.disk.record.State.Term
}

// wiped forgets the terms of a node whose disk is lost, but not its votes for
// others. One for itself counts only in the process that has asked with it, and
// that is gone.
func (o *oracle) wiped(n *member) {
	p := &o.past[n.index]
	p.durable = 0
	maps.DeleteFunc(p.grants, func(_ uint64, candidate string) bool { return candidate == n.cfg.ID })
}

// stepped checks a core that has just been called.
func (o *oracle) stepped(n *member) {
	p := &o.past[n.index]
	term := n.core.Term()
	if term < p.term {
		o.breaks("O2", "%s goes from term %d to %d", n.cfg.ID, p.term, term)
	}
	p.term = term
	stands := n.core.Role() != raft.Follower
	if o.world.cfg.Logs { // It may have to hand its log on.
		_, stands = n.core.Reign()
	}
	if me, _ := n.core.Configuration().Member(n.cfg.ID); me.Witness && stands {
		o.breaks("O11", "%s is a witness and %v of term %d", n.cfg.ID, n.core.Role(), term)
	}
	if n.core.Role() != raft.Leader {
		return
	}
	if earlier, found := o.leaders[term]; !found {
		o.leaders[term] = n.cfg.ID
	} else if earlier != n.cfg.ID {
		o.breaks("O1", "%s leads term %d after %s", n.cfg.ID, term, earlier)
	}
}

// sent checks a message as it leaves.
func (o *oracle) sent(n *member, m *raft.Message) {
	disk := &n.disk.record.State
	if m.Kind != raft.PreVoteRequest && (disk.Term < m.Term || disk.Configuration.Compare(m.ConfigurationID) < 0) {
		o.breaks("O4", "%s sends %v of term %d and configuration %v with term %d and configuration %v on disk",
			n.cfg.ID, m.Kind, m.Term, m.ConfigurationID, disk.Term, disk.Configuration.ConfigurationID)
	}
	switch {
	case m.From != n.cfg.ID:
		o.breaks("O5", "%s sends %v as %s", n.cfg.ID, m.Kind, m.From)
	case m.Kind == raft.VoteAnswer && m.Granted:
		o.granted(n, m.Term, m.To)
	case m.Kind == raft.VoteRequest:
		o.granted(n, m.Term, m.From)
	case m.Kind == raft.Heartbeat && o.leaders[m.Term] != n.cfg.ID:
		o.breaks("O5", "%s sends a heartbeat of term %d, won by %q", n.cfg.ID, m.Term, o.leaders[m.Term])
	}
}

// granted checks a vote that others are told of.
func (o *oracle) granted(n *member, term uint64, candidate string) {
	if disk := &n.disk.record.State; disk.Term == term && disk.Vote != candidate {
		o.breaks("O4", "%s votes for %s in term %d with %q on disk", n.cfg.ID, candidate, term, disk.Vote)
	}
	grants := o.past[n.index].grants
	if earlier, found := grants[term]; found && earlier != candidate {
		o.breaks("O3", "%s votes for %s in term %d after %s", n.cfg.ID, candidate, term, earlier)
	}
	grants[term] = candidate
}

// led checks a reign that begins.
func (o *oracle) led(n *member, term uint64) {
	if n.led != 0 {
		o.breaks("O7", "%s leads term %d before it has lost %d", n.cfg.ID, term, n.led)
	}
	if term <= o.token {
		o.breaks("O7", "%s leads term %d after token %d", n.cfg.ID, term, o.token)
	}
	o.token = max(o.token, term)
	o.begun(n, term)
}

// lost checks a reign that ends.
func (o *oracle) lost(n *member, term uint64) {
	if n.led != 0 && n.led != term {
		o.breaks("O7", "%s loses term %d while leading %d", n.cfg.ID, term, n.led)
	}
}

// bound checks that a process would keep silent for long enough if it began now.
func (o *oracle) bound(n *member) {
	until, _ := n.core.PromisedUntil()
	silence := max(n.cfg.ElectionTimeoutMin, n.disk.record.State.LongestPromise)
	if left := until - n.local(o.world.now); left > silence {
		o.breaks("O10", "%s is bound for %v and would keep silent for %v", n.cfg.ID, left, silence)
	}
}

// check looks at a node after a step. Two reigns can begin to overlap only in a
// step of one of the two, for otherwise a reign can only end.
func (o *oracle) check(n *member) {
	o.bound(n)
	end, running := n.core.Reign()
	reigns := n.reigns()
	switch {
	case reigns && (!running || n.led != n.core.Term()):
		o.breaks("O8", "%s is taken to lead term %d, which is over", n.cfg.ID, n.led)
	case running && !reigns && n.local(o.world.now) < end:
		o.breaks("O8", "%s leads term %d, which it has not been told", n.cfg.ID, n.core.Term())
	}
	if !reigns {
		return
	}
	for _, other := range o.world.nodes {
		switch {
		case other == n || !other.reigns():
		case o.world.cfg.MayOverlap:
			o.world.counts.Overlaps++
		default:
			o.breaks("O6", "%s leads term %d and %s leads term %d", n.cfg.ID, n.led, other.cfg.ID, other.led)
		}
	}
}
