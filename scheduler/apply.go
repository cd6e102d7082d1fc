package scheduler

import (
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// listener is told of every change of an entry in order, derived ones at
// their place. nil is nobody.
type listener func(Change)

func (l listener) tell(c Change) {
	if l != nil {
		l(c)
	}
}

// apply brings the state through one entry, and adds to it what its changes
// make necessary. Applying what is in the entry never searches, reads a clock
// or fails; only the consequences are decided here, once.
func (st *state) apply(e *entry, tell listener) {
	st.begin(e, tell)
	for _, c := range e.changes {
		st.step(c, tell)
	}
	for c := st.consequence(); c != nil; c = st.consequence() {
		e.changes = append(e.changes, c)
		st.step(c, tell)
	}
	st.roomier = false
}

// replayEntry brings the state through an entry that was applied before, with its
// consequences in it. It refuses one that the state can not follow.
func (st *state) replayEntry(e *entry) error {
	if e.time.Before(st.now) {
		return fmt.Errorf("time %s is before %s", e.time, st.now)
	}
	st.begin(e, nil)
	for _, c := range e.changes {
		if err := st.check(c); err != nil {
			return err
		}
		st.step(c, nil)
	}
	st.roomier, st.crowded = false, ""
	return nil
}

func (st *state) begin(e *entry, tell listener) {
	st.seq, st.token = e.seq, e.token
	st.advance(e.time, tell)
}

// step applies one change and what it has made due by itself.
func (st *state) step(c Change, tell listener) {
	tell.tell(c)
	st.change(c, tell)
	st.advance(st.now, tell)
}

// advance lets time pass and derives what falls due on the way, in the order
// of time; at one instant, what ends comes before what evicts.
func (st *state) advance(to time.Time, tell listener) {
	for {
		at, due := st.nextDeadline()
		if !due || at.After(to) {
			break
		}
		if at.After(st.now) {
			st.now = at
		}
		if planned, plans := st.plan.NextDeadline(); plans && planned.Equal(at) {
			st.follow(st.plan.Advance(at), tell)
		} else {
			st.evict(tell)
		}
	}
	st.now = to
	st.follow(st.plan.Advance(to), tell)
}

// evict tells of the earliest eviction, which is due.
func (st *state) evict(tell listener) {
	a := heap.Pop(&st.deadlines).(*deadline).allocation
	st.preserve(a.node)
	a.version = st.seq
	taint, _, _ := a.evictingTaint()
	tell.tell(&EvictionDue{ID: a.id, NodeID: a.node.ID, Taint: taint})
}

func (st *state) change(c Change, tell listener) {
	switch c := c.(type) {
	case *NodeAdded:
		st.addNode(c)
	case *NodeUpdated:
		st.updateNode(c, tell)
	case *NodeMarked:
		st.markNode(c, tell)
	case *NodeRemoved:
		st.removeNode(c, tell)
	case *NodeAdopted:
		st.applyAdoption(c, tell)
	case *Placed:
		st.place(c, tell)
	case *Released:
		a := st.generation(c.ID, c.Generation)
		st.release(a, tell)
		if a.state != stale && !c.Unclaimed {
			st.released.add(a.id)
		}
	case *Resized:
		st.resize(c, tell)
	case *PlanChanged:
		st.applyPlan(c.Changes, tell)
	case *MixChanged:
		st.setMix(cloneMix(c.Mix))
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
	st.quotaVersions[namespace], st.over = st.seq, over
	if len(over) > 0 {
		tell.tell(&QuotaOver{Usage: over})
	}
}

func (st *state) addNode(c *NodeAdded) {
	st.index.SetReference(c.Reference)
	n := st.insertNode(c.Node, c.Join)
	n.version, n.tainted = st.seq, st.taintTimes(nil, nil, n.Taints)
	st.joins = c.Join
	st.roomier = true
	if n.unreported = c.Unreported; n.unreported {
		st.index.SetState(n.slot, n.indexState())
	}
}

// insertNode takes a node into the tables, ready and empty.
func (st *state) insertNode(described placement.Node, join uint64) *node {
	canonical := described.Canonical()
	n := &node{Node: &canonical, join: join, captured: st.captures}
	st.nodes[n.ID] = n
	n.slot = st.index.Add(n.Node, join)
	if grow := int(n.slot) + 1 - len(st.slots); grow > 0 {
		st.slots = append(st.slots, make([]*node, grow)...)
	}
	st.slots[n.slot] = n
	return n
}

func (st *state) updateNode(c *NodeUpdated, tell listener) {
	st.applyPlan(c.Moves, tell)
	st.roomier = true
	n := st.nodes[c.Node.ID]
	st.preserve(n)
	canonical := c.Node.Canonical()
	n.tainted = st.taintTimes(n.Taints, n.tainted, canonical.Taints)
	n.Node, n.version = &canonical, st.seq
	st.index.SetReference(c.Reference)
	st.index.Update(n.slot, n.Node)
	st.hold(n) // for the places of instances
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
// first, and when. It reports false if none does.
func (a *allocation) evictingTaint() (first placement.Taint, at time.Time, found bool) {
	for i, t := range a.node.Taints {
		delay, evicts := placement.EvictionDelay(t, a.class.Request().Preferences.Tolerations)
		if !evicts {
			continue
		}
		since := a.node.tainted[i]
		if a.placed.After(since) {
			since = a.placed
		}
		if due := since.Add(delay); !found || due.Before(at) {
			first, at, found = t, due, true
		}
	}
	return first, at, found
}

// timeEviction sets, moves or cancels the eviction of an instance after its
// node's taints have changed. One that has fallen due is not told again while
// it stays due at the same instant.
func (st *state) timeEviction(a *allocation) {
	_, at, evicts := a.evictingTaint()
	if evicts && a.eviction != nil && a.eviction.at.Equal(at) {
		return
	}
	st.deadlines.cancel(a.eviction)
	a.eviction = nil
	if evicts && a.state == running {
		a.eviction = st.deadlines.add(at, a)
	}
}

func (st *state) markNode(c *NodeMarked, tell listener) {
	st.applyPlan(c.Moves, tell)
	n := st.nodes[c.NodeID]
	st.preserve(n)
	n.version = st.seq
	st.roomier = c.Mark == MarkUncordoned || c.Mark == MarkReady
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
	over := make(overUsage)
	for _, a := range n.allocations() {
		over.note(st.markInstance(a, n.lost, tell))
		tell.tell(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: a.state.public()})
	}
	over.report(tell)
}

// markInstance loses a running instance with its node, or takes a lost one
// back and returns what its namespace uses too much of then. A stale one stays
// stale.
func (st *state) markInstance(a *allocation, isLost bool, tell listener) []quota.Usage {
	switch {
	case isLost && a.state == running:
		st.refund(a)
		a.covered = nil
		st.leave(a, tell)
		a.state, a.version = lost, st.seq
		st.index.Leave(a.node.slot, a.class)
		st.deadlines.cancel(a.eviction)
		a.eviction = nil
	case !isLost && a.state == lost:
		a.state, a.version = running, st.seq
		st.index.Join(a.node.slot, a.class)
		st.stay(a, false, tell)
		st.timeEviction(a)
		return st.charge(a)
	}
	return nil
}

func (st *state) removeNode(c *NodeRemoved, tell listener) {
	st.applyPlan(c.Moves, tell)
	n := st.nodes[c.NodeID]
	st.preserve(n)
	for _, a := range n.allocations() {
		st.release(a, tell)
		tell.tell(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: Removed})
	}
	st.index.Remove(n.slot)
	st.slots[n.slot] = nil
	delete(st.nodes, n.ID)
	delete(st.planned, n)
	delete(st.reserved, n)
}

// place enters a new instance and returns what its namespace uses too much of
// then, which is nothing unless nobody asked the quota.
func (st *state) place(c *Placed, tell listener) []quota.Usage {
	class := c.class
	if class == nil {
		class = st.index.Class(&c.Request)
	}
	a := &allocation{
		id: c.Request.ID, class: class, resources: c.Request.Resources.Clone(), devices: slices.Clone(c.Devices),
		placed: st.now, generation: c.Generation, version: st.seq, token: st.token, score: uint16(c.Score),
	}
	if old := st.allocations[a.id]; old != nil {
		st.preserve(old.node)
		old.state, old.version = stale, st.seq
		st.stale[a.id] = append(st.stale[a.id], old)
	}
	st.allocations[a.id] = a
	st.settleIn(a, st.nodes[c.NodeID])
	if c.Claim != nil {
		covered := amountsOf(c.Claim.Claim.Held.Clone())
		a.covered = &covered
		st.applyPlan([]reservation.Change{*c.Claim}, tell)
	}
	st.stay(a, false, tell)
	return st.charge(a)
}

// settleIn enters an instance in the books of its node, and its eviction.
func (st *state) settleIn(a *allocation, n *node) {
	st.preserve(n)
	n.link(a)
	st.index.Retain(a.class)
	st.index.Occupy(n.slot, a.class, &a.resources, a.devices)
	if a.state == running {
		st.index.Join(n.slot, a.class)
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

func (st *state) release(a *allocation, tell listener) {
	st.preserve(a.node)
	if a.state == running {
		st.refund(a)
		st.leave(a, tell)
		st.index.Leave(a.node.slot, a.class)
	}
	st.index.Vacate(a.node.slot, a.class, &a.resources, a.devices)
	st.index.Release(a.class)
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

func (st *state) resize(c *Resized, tell listener) {
	a := st.allocations[c.ID]
	st.preserve(a.node)
	before, _ := st.plan.Stay(a.id)
	if a.covered == nil {
		st.leave(a, tell)
	}
	st.index.Vacate(a.node.slot, a.class, &a.resources, a.devices)
	if a.asked == nil {
		asked := a.resources
		a.asked = &asked
	}
	st.recharge(a, c.Resources.Clone())
	a.devices, a.version = slices.Clone(c.Devices), st.seq
	st.index.Occupy(a.node.slot, a.class, &a.resources, a.devices)
	st.resizeClaim(a, tell)
	st.stay(a, before.Told, tell)
}
