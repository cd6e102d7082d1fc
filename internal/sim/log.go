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
	entries []raft.Entry
	gap     bool // it was told to append what does not follow
	kept    raft.Snapshot
	images  map[raft.Snapshot]image // of kept, and of earlier ones

	// Of the process that runs:
	writing []write
	freeAt  time.Duration // when the last of them is durable
	chunks  []byte        // of a snapshot that comes
	image   image         // of the application
	last    raft.Position // that it has applied
}

// write is what the disk is given to do: entries to append, or a snapshot to keep, or
// nothing but to take its time.
type write struct {
	entries []raft.Entry
	kept    raft.Snapshot
	image   image
}

// start returns what the disk has to a process that begins.
func (j *journal) start(now time.Duration) raft.StoredLog {
	j.freeAt, j.chunks, j.image, j.last = now, nil, image{}, raft.Position{}
	return raft.StoredLog{Snapshot: j.kept, Entries: slices.Clone(j.entries)}
}

// do makes a write durable.
func (j *journal) do(w write) {
	j.put(w.entries)
	if w.kept != (raft.Snapshot{}) {
		j.keep(w.kept, w.image)
	}
}

// put makes entries the end of the log.
func (j *journal) put(entries []raft.Entry) {
	if len(entries) > 0 {
		keep := slices.IndexFunc(j.entries, func(e raft.Entry) bool { return e.Index >= entries[0].Index })
		if keep < 0 {
			keep = len(j.entries)
		}
		end := j.kept.Last.Index
		if len(j.entries) > 0 {
			end = j.entries[len(j.entries)-1].Index
		}
		j.gap = j.gap || entries[0].Index > end+1
		j.entries = append(j.entries[:keep:keep], entries...)
	}
}

// cut ends what is being appended, as a crash does, after so many entries.
func (j *journal) cut(entries int) {
	for _, w := range j.writing {
		if len(w.entries) > entries {
			j.put(w.entries[:entries])
			break
		}
		entries -= len(w.entries)
		j.do(w)
	}
	j.writing = nil
}

// size is how many entries are being appended.
func (j *journal) size() int {
	n := 0
	for _, w := range j.writing {
		n += len(w.entries)
	}
	return n
}

// appendLog makes entries durable beside whatever else the process does.
func (n *member) appendLog(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	last := entries[len(entries)-1]
	n.write(write{entries: entries}, func(c *raft.Core, now time.Duration) raft.Effects {
		n.world.counts.Appends++
		return c.Saved(now, raft.Position{Term: last.Term, Index: last.Index})
	})
}

// write has the disk do something behind all else, and calls the core then.
func (n *member) write(what write, done func(c *raft.Core, now time.Duration) raft.Effects) {
	w, boot := n.world, n.boot
	takes := w.between(w.cfg.SaveMin, w.cfg.SaveMax)
	if w.now < n.disk.slowUntil {
		takes = w.between(w.cfg.SaveMax, n.disk.slowest)
	}
	n.log.writing = append(n.log.writing, what)
	n.log.freeAt = max(n.log.freeAt, w.now) + takes
	w.after(n.log.freeAt-w.now, func() {
		if n.boot == boot && n.up {
			n.log.do(n.log.writing[0])
			if n.log.gap {
				w.oracle.breaks("O12", "the log of %s has a gap", n.cfg.ID)
			}
			n.log.writing = n.log.writing[1:]
			n.tell(done)
		}
	})
}

// compactLog drops entries but for the last of those that are not needed.
func (n *member) compactLog(upTo uint64) {
	if upTo > 0 {
		n.log.entries = slices.DeleteFunc(slices.Clone(n.log.entries), func(e raft.Entry) bool { return e.Index < upTo })
	}
}

// apply has the application apply what is committed, some time later.
func (n *member) apply(commit uint64) {
	if commit == 0 {
		return
	}
	w, boot := n.world, n.boot
	for _, e := range n.core.Committed(n.log.image.applied) {
		w.oracle.applied(n, e)
		n.log.image, n.log.last = n.log.image.after(e), raft.Position{Term: e.Term, Index: e.Index}
	}
	w.after(w.between(0, 2*ms), func() {
		if n.boot == boot && n.up {
			n.tell(func(c *raft.Core, now time.Duration) raft.Effects { return c.Applied(now, commit) })
		}
	})
}

// tell calls the core as soon as the process is free, before it takes any message that
// has come since.
func (n *member) tell(call func(c *raft.Core, now time.Duration) raft.Effects) {
	waiting := len(n.inbox)
	n.whenFree(func() { n.perform(call(n.core, n.local(n.world.now))) })
	if last := len(n.inbox) - 1; last >= waiting && n.core != nil {
		e := n.inbox[last]
		copy(n.inbox[n.told+1:], n.inbox[n.told:last])
		n.inbox[n.told] = e
		n.told++
	}
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
	if e.Index != n.log.image.applied+1 {
		o.breaks("O12", "%s applies entry %d after %d", n.cfg.ID, e.Index, n.log.image.applied)
	}
	if uint64(len(o.committed)) < e.Index {
		o.committed = append(o.committed, e)
		o.images = append(o.images, n.log.image.after(e))
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
	if n.log.image.applied < uint64(before) {
		o.breaks("O13", "%s leads term %d with %d entries applied of %d", n.cfg.ID, term, n.log.image.applied, before)
	}
}

// settled checks that in calm all members have applied all that was committed.
func (o *oracle) settled() {
	for _, m := range o.world.node(o.world.Leader()).core.Configuration().Members {
		if n := o.world.node(m.ID); n.log.image.applied != uint64(len(o.committed)) {
			o.breaks("O14", "%s has applied %d entries of %d in calm", m.ID, n.log.image.applied, len(o.committed))
		}
	}
}
