package scheduler

import (
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// undo is what a state was when a mark was set, as far as it has changed since: each
// record is kept before it is first changed.
//
// Invariant: what is not kept is as it was. Records of nodes, with what is on their
// books, are changed through state.edit, and accounts through editQuota and editSpec.
type undo struct {
	seq, joins, token uint64
	now               time.Time
	mix               []WorkloadClass
	mixed             bool // mix has changed
	replaced          int
	released          releasedIDs
	remembered        int // released IDs since

	nodes map[*node]*keptNode
	order []*node // of nodes, so that to go back is the same each time
	quota *quota.Backup
	plan  *keptPlan         // nil while it is as it was
	specs map[string]uint64 // versions of quotas, likewise
}

// keptNode is a node as it was, or one that there was not.
type keptNode struct {
	absent      bool
	record      nodeRecord
	held        index.Hold
	allocations []keptAllocation
}

type keptAllocation struct {
	of  *allocation
	was allocation
	due bool // its eviction was to come
}

// keptPlan is the plan of reservations as it was.
type keptPlan struct {
	plan     reservation.Snapshot
	planned  map[*node]bool
	reserved map[*node]bool
	payments map[string]reservationCharge
}

// mark begins to keep what changes from now on.
func (st *state) mark() {
	st.undo = append(st.undo, &undo{
		seq: st.seq, joins: st.joins, token: st.token, now: st.now, mix: st.mix, replaced: st.replaced,
		released: st.released, nodes: make(map[*node]*keptNode), quota: st.quota.Backup(),
	})
}

// latest returns the undo of the latest mark, nil without one.
func (st *state) latest() *undo {
	if len(st.undo) == 0 {
		return nil
	}
	return st.undo[len(st.undo)-1]
}

// forget takes the latest mark away: what has changed since it belongs to the mark
// before it.
func (st *state) forget() {
	later := st.latest()
	st.undo = st.undo[:len(st.undo)-1]
	u := st.latest()
	if u == nil {
		return
	}
	for _, n := range later.order {
		if u.nodes[n] == nil {
			u.nodes[n] = later.nodes[n]
			u.order = append(u.order, n)
		}
	}
	u.quota.Absorb(later.quota)
	if u.plan == nil {
		u.plan = later.plan
	}
	if u.specs == nil {
		u.specs = later.specs
	}
	u.mixed = u.mixed || later.mixed
	u.remembered += later.remembered
}

// keepNode keeps a node that is about to change.
func (st *state) keepNode(n *node) {
	u := st.latest()
	if u == nil || u.nodes[n] != nil {
		return
	}
	kept := &keptNode{absent: st.nodes[n.ID] != n, record: n.nodeRecord}
	u.nodes[n] = kept
	u.order = append(u.order, n)
	if kept.absent {
		return
	}
	if st.reserved[n] {
		kept.held = st.index.Held(n.row)
	}
	for a := n.first; a != nil; a = a.next {
		kept.allocations = append(kept.allocations, keptAllocation{a, *a, a.eviction != nil && a.eviction.at.After(u.now)})
	}
}

// keepPlan keeps the reservations, some of which are about to change.
func (st *state) keepPlan() {
	if u := st.latest(); u != nil && u.plan == nil {
		u.plan = &keptPlan{st.plan.Snapshot(), maps.Clone(st.planned), maps.Clone(st.reserved), maps.Clone(st.payments)}
	}
}

// keepQuota keeps the accounts that a charge to a namespace is about to change, and
// keepSpecs all.
func (st *state) keepQuota(ns string) {
	if u := st.latest(); u != nil {
		st.quota.Keep(u.quota, ns)
	}
}

func (st *state) keepSpecs(ns string) {
	if u := st.latest(); u != nil {
		st.quota.KeepAll(u.quota, ns)
		if u.specs == nil {
			u.specs = maps.Clone(st.quotaVersions)
		}
	}
}

// keepBursts keeps the accounts of which bursts are about to end.
func (st *state) keepBursts() {
	if u := st.latest(); u != nil {
		st.quota.KeepAll(u.quota, "")
	}
}

// rollBack brings the state back to the latest mark, and takes that away. It takes time in
// proportion to the nodes and accounts that have changed, with what is on the nodes'
// books, and if reservations or stays have changed to all of them.
func (st *state) rollBack() {
	u := st.latest()
	for _, n := range u.order {
		st.preserve(n)
	}
	for ns := range u.quota.Namespaces() {
		st.preserveQuota(ns)
	}
	for _, n := range u.order {
		st.takeBack(n, u.nodes[n])
	}
	st.index.DropUnused()
	st.quota.Revert(u.quota)
	for _, n := range u.order {
		st.putBack(n, u.nodes[n], u.plan != nil)
	}
	if u.specs != nil {
		st.quotaVersions = u.specs
	}
	if p := u.plan; p != nil {
		st.plan = reservation.Restore(p.plan)
		st.plan.Touched() // what the index knows
		st.planned, st.reserved, st.payments = p.planned, p.reserved, p.payments
	}
	st.released.forget(u.released, u.remembered)
	st.seq, st.joins, st.token, st.now, st.replaced = u.seq, u.joins, u.token, u.now, u.replaced
	if u.mixed {
		st.setMix(u.mix)
	}
	st.index.DropUnused()
	st.undo = st.undo[:len(st.undo)-1]
}

// takeBack takes out of the tables what has come to a node, or changed there.
func (st *state) takeBack(n *node, kept *keptNode) {
	was := make(map[*allocation]*allocation, len(kept.allocations))
	moved := kept.absent || kept.record.Node != n.Node
	for i := range kept.allocations {
		was[kept.allocations[i].of] = &kept.allocations[i].was
	}
	if st.nodes[n.ID] != n {
		return // as release has left it
	}
	for a := n.first; a != nil; a = a.next {
		if before := was[a]; before == nil || moved || !a.booked(before) {
			st.takeOut(a)
		} else {
			st.cancelEviction(a)
		}
	}
	if moved {
		st.index.Remove(n.row)
		st.byRow[n.row] = nil
		delete(st.nodes, n.ID)
	}
}

// booked reports whether the index has an allocation as it was before.
func (a *allocation) booked(before *allocation) bool {
	return a.state == before.state && a.leaving == before.leaving && a.rare == before.rare && a.class == before.class && a.resources.Equal(before.resources)
}

// takeOut takes an instance out of all tables but its node's list.
func (st *state) takeOut(a *allocation) {
	st.unjoin(a)
	st.index.Vacate(a.node.row, a.class, &a.resources, a.taken())
	st.index.Release(a.class)
	st.cancelEviction(a)
	st.unlist(a)
}

// unlist takes an instance out of the tables by ID.
func (st *state) unlist(a *allocation) {
	if st.allocations[a.id] == a {
		delete(st.allocations, a.id)
	} else {
		st.dropStale(a)
	}
}

// putBack makes a node what it was.
func (st *state) putBack(n *node, kept *keptNode, held bool) {
	if kept.absent {
		return
	}
	state := n.indexState()
	n.nodeRecord = kept.record
	if st.nodes[n.ID] != n {
		st.enterNode(n)
		held, state = true, index.Ready
	}
	if is := n.indexState(); is != state {
		st.index.SetState(n.row, is)
	}
	for i := range kept.allocations {
		st.putBackInstance(&kept.allocations[i])
	}
	if held {
		st.index.SetHeld(n.row, kept.held)
	}
}

func (st *state) putBackInstance(kept *keptAllocation) {
	a := kept.of
	entered := st.generation(a.id, a.generation) == a
	*a = kept.was
	if !entered {
		a.class = st.index.Retain(a.class)
		st.index.Occupy(a.node.row, a.class, &a.resources, a.taken())
		st.join(a)
		if a.state == stale {
			st.keepStale(a)
		} else {
			st.allocations[a.id] = a
		}
	}
	if a.eviction != nil {
		a.eviction = &eviction{at: a.eviction.at, allocation: a}
		if kept.due {
			st.evictions.Set(a.eviction)
		}
	}
}

// remember notes a released ID.
func (st *state) remember(id string) {
	if u := st.latest(); u != nil && st.released.limit > 0 && !st.released.known[id] {
		u.remembered++
	}
	st.released.add(id)
}

// forget makes r what it was before so many IDs were added.
func (r *releasedIDs) forget(was releasedIDs, added int) {
	for _, id := range r.order[len(r.order)-min(added, len(r.order)):] {
		delete(r.known, id)
	}
	gone := len(was.order) + added - len(r.order)
	for _, id := range was.order[:min(gone, len(was.order))] {
		r.known[id] = true
	}
	r.bytes, r.order = was.bytes, slices.Clip(was.order) // since what it was cut from may be in use
}
