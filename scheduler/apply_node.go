package scheduler

import (
	"errors"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func (c *NodeAdded) check(st *state) error {
	_, err := st.admitNew(c.Node)
	return err
}

func (c *NodeAdded) apply(st *state, out *outcome) {
	st.index.SetReference(c.Reference)
	n := st.insertNode(c.Node, c.Join)
	record := st.edit(n)
	record.version, record.tainted = st.seq, st.taintTimes(nil, nil, n.Taints)
	st.joins = c.Join
	out.roomOn(st, n.ID)
	if record.unreported = c.Unreported; n.unreported {
		st.index.SetState(n.slot, n.indexState())
	}
}

// insertNode takes a node into the tables, ready and empty.
func (st *state) insertNode(described placement.Node, join uint64) *node {
	canonical := described.Canonical()
	n := &node{nodeRecord: nodeRecord{Node: &canonical}, join: join, captured: st.captures}
	st.nodes[n.ID] = n
	n.slot = st.index.Add(n.Node, join)
	if grow := int(n.slot) + 1 - len(st.slots); grow > 0 {
		st.slots = append(st.slots, make([]*node, grow)...)
	}
	st.slots[n.slot] = n
	return n
}

func (c *NodeUpdated) check(st *state) error {
	_, err := st.admitUpdate(c.Node)
	return errors.Join(err, st.checkPlan(c.Moves, &c.Node))
}

func (c *NodeUpdated) apply(st *state, out *outcome) {
	st.applyPlan(c.Moves, out)
	out.roomOn(st, c.Node.ID)
	n := st.nodes[c.Node.ID]
	record, canonical := st.edit(n), c.Node.Canonical()
	record.tainted = st.taintTimes(n.Taints, n.tainted, canonical.Taints)
	record.Node, record.version = &canonical, st.seq
	st.index.SetReference(c.Reference)
	st.index.Update(n.slot, n.Node)
	for a := n.first; a != nil; a = a.next {
		st.timeEviction(a)
	}
}

func (c *NodeMarked) check(st *state) error {
	n, err := st.node(c.NodeID)
	if err == nil && c.Mark == MarkReady {
		err = st.countable(n, nil)
	}
	return errors.Join(err, st.checkPlan(c.Moves, nil))
}

func (c *NodeMarked) apply(st *state, out *outcome) {
	n := st.nodes[c.NodeID]
	record := st.edit(n)
	record.lost = n.lost || c.Mark == MarkLost // before the plan: see uncover
	st.applyPlan(c.Moves, out)
	record.version = st.seq
	out.roomOn(st, n.ID)
	switch c.Mark {
	case MarkCordoned:
		record.cordoned = true
	case MarkUncordoned:
		record.cordoned = false
	case MarkLost:
	case MarkReady:
		record.lost = false
	}
	st.index.SetState(n.slot, n.indexState())
	if c.Mark != MarkLost && c.Mark != MarkReady {
		return
	}
	over := make(overLimit)
	for _, a := range n.allocations() {
		over.note(st.markInstance(a, n.lost, out))
		out.emit(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: a.state.public()})
	}
	st.tellOver(over, out)
}

// markInstance loses a running instance with its node, or takes a lost one
// back and returns what its namespace uses too much of then. A stale one stays
// stale.
func (st *state) markInstance(a *allocation, isLost bool, out *outcome) []quota.Usage {
	switch {
	case isLost && a.state == running:
		st.refund(a)
		a.covered = nil
		st.leave(a, out)
		a.state, a.version = lost, st.seq
		st.index.Leave(a.node.slot, a.class)
		st.evictions.cancel(a.eviction)
		a.eviction = nil
	case !isLost && a.state == lost:
		a.state, a.version = running, st.seq
		st.index.Join(a.node.slot, a.class)
		st.stay(a, false, out)
		st.timeEviction(a)
		return st.charge(a)
	}
	return nil
}

func (c *NodeRemoved) check(st *state) error {
	_, err := st.node(c.NodeID)
	return errors.Join(err, st.checkPlan(c.Moves, nil))
}

func (c *NodeRemoved) apply(st *state, out *outcome) {
	n := st.nodes[c.NodeID]
	st.edit(n).lost = true // before the plan: see uncover
	st.applyPlan(c.Moves, out)
	for _, a := range n.allocations() {
		st.release(a, out)
		out.emit(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: Removed})
	}
	st.index.Remove(n.slot)
	st.slots[n.slot] = nil
	delete(st.nodes, n.ID)
	out.roomOn(st, n.ID) // for rules that looked at it
	delete(st.planned, n)
	delete(st.reserved, n)
}
