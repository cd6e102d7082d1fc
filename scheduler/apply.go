package scheduler

import (
	"container/heap"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// listener is told of every change of an entry in order, derived ones at
// their place. nil is nobody.
type listener func(Change)

func (l listener) tell(c Change) {
	if l != nil {
		l(c)
	}
}

// apply brings the state through one entry. It never searches, reads a clock
// or fails: everything that was decided is in the entry.
func (st *state) apply(e *entry, tell listener) {
	st.seq, st.token = e.seq, e.token
	st.advance(e.time, tell)
	for _, c := range e.changes {
		tell.tell(c)
		st.change(c, tell)
	}
	st.advance(e.time, tell) // what the changes themselves have made due
}

// advance lets time pass and derives what falls due on the way.
func (st *state) advance(to time.Time, tell listener) {
	for len(st.deadlines) > 0 && !st.deadlines[0].at.After(to) {
		d := heap.Pop(&st.deadlines).(*deadline)
		if d.at.After(st.now) {
			st.now = d.at
		}
		a := d.allocation
		a.version = st.seq
		switch d.kind {
		case dueEviction:
			taint, _ := a.evictingTaint()
			tell.tell(&EvictionDue{ID: a.id, NodeID: a.node.ID, Taint: taint})
		case dueEnd:
			a.overstayed = true
			tell.tell(&Overstayed{ID: a.id, NodeID: a.node.ID})
		}
	}
	st.now = to
}

func (st *state) change(c Change, tell listener) {
	switch c := c.(type) {
	case *NodeAdded:
		st.addNode(c)
	case *NodeUpdated:
		st.updateNode(c)
	case *NodeMarked:
		st.markNode(c, tell)
	case *NodeRemoved:
		st.removeNode(c, tell)
	case *Placed:
		st.place(c)
	case *Released:
		a := st.generation(c.ID, c.Generation)
		st.release(a)
		if a.state != stale {
			st.released.add(a.id)
		}
	case *Resized:
		st.resize(c)
	case *QuotaCreated:
		over, _ := st.quota.Create(st.now, c.Spec.Clone())
		st.declared(c.Spec.Namespace, over, tell)
	case *QuotaUpdated:
		over, _ := st.quota.Update(st.now, c.Spec.Clone())
		st.declared(c.Spec.Namespace, over, tell)
	case *QuotaDeleted:
		_ = st.quota.Delete(c.Namespace)
		delete(st.quotaVersions, c.Namespace)
	}
}

// declared notes the change of a quota, which was tried before it was
// recorded.
func (st *state) declared(namespace string, over []quota.Usage, tell listener) {
	st.quotaVersions[namespace] = st.seq
	if len(over) > 0 {
		tell.tell(&QuotaOver{Usage: over})
	}
}

func (st *state) addNode(c *NodeAdded) {
	st.index.SetReference(c.Reference)
	n := st.insertNode(c.Node, c.Join)
	n.version, n.tainted = st.seq, st.taintTimes(nil, nil, n.Taints)
	st.joins = c.Join
}

// insertNode takes a node into the tables, ready and empty.
func (st *state) insertNode(described placement.Node, join uint64) *node {
	canonical := described.Canonical()
	n := &node{Node: &canonical, join: join}
	st.nodes[n.ID] = n
	n.slot = st.index.Add(n.Node, join)
	if grow := int(n.slot) + 1 - len(st.slots); grow > 0 {
		st.slots = append(st.slots, make([]*node, grow)...)
	}
	st.slots[n.slot] = n
	return n
}

func (st *state) updateNode(c *NodeUpdated) {
	n := st.nodes[c.Node.ID]
	canonical := c.Node.Canonical()
	n.tainted = st.taintTimes(n.Taints, n.tainted, canonical.Taints)
	n.Node, n.version = &canonical, st.seq
	st.index.SetReference(c.Reference)
	st.index.Update(n.slot, n.Node)
	for a := n.first; a != nil; a = a.next {
		st.timeEviction(a)
	}
}

// taintTimes returns when each taint was added: a taint that was there before
// with the same key, value and effect keeps its time.
func (st *state) taintTimes(old []placement.Taint, times []time.Time, taints []placement.Taint) []time.Time {
	var result []time.Time
	for _, t := range taints {
		added := st.now
		if i := slices.Index(old, t); i >= 0 {
			added = times[i]
		}
		result = append(result, added)
	}
	return result
}

// evictingTaint returns the NoExecute taint that asks the instance to leave
// first, and when.
func (a *allocation) evictingTaint() (first placement.Taint, at time.Time) {
	for i, t := range a.node.Taints {
		delay, evicts := placement.EvictionDelay(t, a.class.Request().Preferences.Tolerations)
		if !evicts {
			continue
		}
		since := a.node.tainted[i]
		if a.placed.After(since) {
			since = a.placed
		}
		if due := since.Add(delay); at.IsZero() || due.Before(at) {
			first, at = t, due
		}
	}
	return first, at
}

// timeEviction sets, moves or cancels the eviction of an instance after its
// node's taints have changed. One that has fallen due is not told again while
// it stays due at the same instant.
func (st *state) timeEviction(a *allocation) {
	_, at := a.evictingTaint()
	if a.eviction != nil && a.eviction.at.Equal(at) {
		return
	}
	st.deadlines.cancel(a.eviction)
	a.eviction = nil
	if !at.IsZero() && a.state == running {
		a.eviction = st.deadlines.add(at, dueEviction, a)
	}
}

func (st *state) markNode(c *NodeMarked, tell listener) {
	n := st.nodes[c.NodeID]
	n.version = st.seq
	switch c.Mark {
	case MarkCordoned:
		n.cordoned = true
	case MarkUncordoned:
		n.cordoned = false
	case MarkLost:
		n.lost = true
	case MarkReady:
		n.lost = false
	}
	st.index.SetState(n.slot, n.indexState())
	if c.Mark != MarkLost && c.Mark != MarkReady {
		return
	}
	var over []quota.Usage
	for _, a := range n.allocations() {
		if now := st.markInstance(a, n.lost); len(now) > 0 {
			over = now
		}
		tell.tell(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: a.state.public()})
	}
	if len(over) > 0 {
		tell.tell(&QuotaOver{Usage: over})
	}
}

// markInstance loses a running instance with its node, or takes a lost one
// back and returns what its namespace uses too much of then. A stale one stays
// stale.
func (st *state) markInstance(a *allocation, isLost bool) []quota.Usage {
	switch {
	case isLost && a.state == running:
		a.state, a.version = lost, st.seq
		st.refund(a)
		st.index.Leave(a.node.slot, a.class)
		st.deadlines.cancel(a.eviction)
		a.eviction = nil
	case !isLost && a.state == lost:
		a.state, a.version = running, st.seq
		st.index.Join(a.node.slot, a.class)
		st.timeEviction(a)
		return st.charge(a)
	}
	return nil
}

func (st *state) removeNode(c *NodeRemoved, tell listener) {
	n := st.nodes[c.NodeID]
	for _, a := range n.allocations() {
		st.release(a)
		tell.tell(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: Removed})
	}
	st.index.Remove(n.slot)
	st.slots[n.slot] = nil
	delete(st.nodes, n.ID)
}

func (st *state) place(c *Placed) {
	class := c.class
	if class == nil {
		class = st.index.Class(&c.Request)
	}
	a := &allocation{
		id: c.Request.ID, class: class, resources: c.Request.Resources.Clone(), devices: c.Devices,
		placed: st.now, generation: c.Generation, version: st.seq, token: st.token, score: uint16(c.Score),
	}
	if old := st.allocations[a.id]; old != nil {
		old.state, old.version = stale, st.seq
		st.deadlines.cancel(old.end)
		st.stale[a.id] = append(st.stale[a.id], old)
	}
	st.allocations[a.id] = a
	st.charge(a)
	st.settleIn(a, st.nodes[c.NodeID])
}

// settleIn enters an instance in the books of its node, and its deadlines.
func (st *state) settleIn(a *allocation, n *node) {
	n.link(a)
	st.index.Retain(a.class)
	st.index.Occupy(n.slot, a.class, &a.resources, a.devices)
	if a.state == running {
		st.index.Join(n.slot, a.class)
	}
	if d := a.class.Request().Duration; d > 0 && !a.overstayed && a.state != stale {
		a.end = st.deadlines.add(a.placed.Add(d), dueEnd, a)
	}
	if len(n.Taints) > 0 {
		st.timeEviction(a)
	}
}

// generation returns the allocation of an ID and generation, nil if there is
// none.
func (st *state) generation(id string, generation uint64) *allocation {
	if a := st.allocations[id]; a != nil && a.generation == generation {
		return a
	}
	for _, a := range st.stale[id] {
		if a.generation == generation {
			return a
		}
	}
	return nil
}

func (st *state) release(a *allocation) {
	if a.state == running {
		st.refund(a)
		st.index.Leave(a.node.slot, a.class)
	}
	st.index.Vacate(a.node.slot, a.class, &a.resources, a.devices)
	st.index.Release(a.class)
	st.deadlines.cancel(a.end)
	st.deadlines.cancel(a.eviction)
	a.node.unlink(a)
	if a.state != stale {
		delete(st.allocations, a.id)
		return
	}
	rest := slices.DeleteFunc(st.stale[a.id], func(other *allocation) bool { return other == a })
	if st.stale[a.id] = rest; len(rest) == 0 {
		delete(st.stale, a.id)
	}
}

func (st *state) resize(c *Resized) {
	a := st.allocations[c.ID]
	st.recharge(a, c.Resources)
	st.index.Vacate(a.node.slot, a.class, &a.resources, a.devices)
	if a.asked == nil {
		asked := a.resources
		a.asked = &asked
	}
	a.resources, a.devices, a.version = c.Resources.Clone(), c.Devices, st.seq
	st.index.Occupy(a.node.slot, a.class, &a.resources, a.devices)
}
