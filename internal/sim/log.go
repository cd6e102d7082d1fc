package sim

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/rads-project/constellation/raft"
)

// journal is the disk of a node's log, and its application. What is being appended
// comes behind what was before, in order; a crash leaves any first part of it.
type journal struct {
	entries   []raft.Entry
	appending [][]raft.Entry
	freeAt    time.Duration // when the last of them is durable
	applied   uint64        // by this process
}

// start returns what the disk has to a process that begins.
func (j *journal) start(now time.Duration) raft.StoredLog {
	j.freeAt, j.applied = now, 0
	return raft.StoredLog{Entries: slices.Clone(j.entries)}
}

// put makes entries the end of the log.
func (j *journal) put(entries []raft.Entry) {
	if len(entries) > 0 {
		after := entries[0].Index - 1
		j.entries = append(j.entries[:after:after], entries...)
	}
}

// cut ends what is being appended, as a crash does, after so many entries.
func (j *journal) cut(entries int) {
	for _, batch := range j.appending {
		j.put(batch[:min(entries, len(batch))])
		if entries -= len(batch); entries < 0 {
			break
		}
	}
	j.appending = nil
}

// size is how many entries are being appended.
func (j *journal) size() int {
	n := 0
	for _, batch := range j.appending {
		n += len(batch)
	}
	return n
}

// appendLog makes entries durable beside whatever else the process does.
func (n *member) appendLog(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	w, boot := n.world, n.boot
	takes := w.between(w.cfg.SaveMin, w.cfg.SaveMax)
	if w.now < n.disk.slowUntil {
		takes = w.between(w.cfg.SaveMax, n.disk.slowest)
	}
	n.log.appending = append(n.log.appending, entries)
	n.log.freeAt = max(n.log.freeAt, w.now) + takes
	w.after(n.log.freeAt-w.now, func() {
		if n.boot != boot || !n.up {
			return
		}
		n.log.put(n.log.appending[0])
		n.log.appending = n.log.appending[1:]
		w.counts.Appends++
		last := entries[len(entries)-1]
		n.tell(func(c *raft.Core, now time.Duration) raft.Effects {
			return c.Saved(now, raft.Position{Term: last.Term, Index: last.Index})
		})
	})
}

// apply has the application apply what is committed, some time later.
func (n *member) apply(commit uint64) {
	if commit == 0 {
		return
	}
	w, boot := n.world, n.boot
	for _, e := range n.core.Committed(n.log.applied) {
		w.oracle.applied(n, e)
		n.log.applied = e.Index
	}
	w.after(w.between(0, 2*ms), func() {
		if n.boot == boot && n.up {
			n.tell(func(c *raft.Core, now time.Duration) raft.Effects { return c.Applied(now, commit) })
		}
	})
}

// tell calls the core as soon as the process is free.
func (n *member) tell(call func(c *raft.Core, now time.Duration) raft.Effects) {
	n.whenFree(func() { n.perform(call(n.core, n.local(n.world.now))) })
}

// propose has every node that takes itself for the leader propose some commands,
// again and again.
func (c *chaos) propose() {
	if c.over {
		return
	}
	for _, n := range c.nodes {
		if n.core == nil || n.core.Role() != raft.Leader {
			continue
		}
		commands := make([][]byte, 1+c.random.IntN(3))
		for i := range commands {
			c.counts.Proposed++
			commands[i] = binary.BigEndian.AppendUint64(nil, uint64(c.counts.Proposed))
		}
		n.try(func(core *raft.Core, now time.Duration) (raft.Effects, error) {
			_, effects, err := core.Propose(now, commands...)
			return effects, err
		}, nil)
	}
	c.after(c.between(0, 40*ms), c.propose)
}

// applied checks an entry that an application is given.
func (o *oracle) applied(n *member, e raft.Entry) {
	if e.Index != n.log.applied+1 {
		o.breaks("O12", "%s applies entry %d after %d", n.cfg.ID, e.Index, n.log.applied)
	}
	if uint64(len(o.committed)) < e.Index {
		o.committed = append(o.committed, e)
		o.world.counts.Committed++
		o.world.transcript.write(o.world.now, "%s applies entry %d of term %d", n.cfg.ID, e.Index, e.Term)
	}
	if first := o.committed[e.Index-1]; first.Term != e.Term || !slices.Equal(first.Data, e.Data) {
		o.breaks("O12", "%s applies entry %d of term %d, others one of term %d", n.cfg.ID, e.Index, e.Term, first.Term)
	}
}

// begun checks that who leads has applied all that was committed in terms before.
func (o *oracle) begun(n *member, term uint64) {
	before, _ := slices.BinarySearchFunc(o.committed, term, func(e raft.Entry, term uint64) int {
		if e.Term < term {
			return -1
		}
		return 1
	})
	if n.log.applied < uint64(before) {
		o.breaks("O13", "%s leads term %d with %d entries applied of %d", n.cfg.ID, term, n.log.applied, before)
	}
}

// settled checks that in calm all members have applied all that was committed.
func (o *oracle) settled() {
	for _, m := range o.world.node(o.world.Leader()).core.Configuration().Members {
		if n := o.world.node(m.ID); n.log.applied != uint64(len(o.committed)) {
			o.breaks("O14", "%s has applied %d entries of %d in calm", m.ID, n.log.applied, len(o.committed))
		}
	}
}
