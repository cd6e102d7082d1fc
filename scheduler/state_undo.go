package scheduler

import (
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/quota"
)

// undo is what a state was when a mark was set, as far as it has changed since: each
// record is kept before it is first changed.
//
// Invariant: what is not kept is as it was. Records of nodes and instances are changed
// through state.edit and state.own, and accounts through editQuota and editSpec.
type undo struct {
	seq, joins, token uint64
	now               time.Time
	mix               []WorkloadClass
	mixed             bool // mix has changed
	replaced          int
	released          releasedIDs
	remembered        int // released IDs since

	nodes   map[index.Row]keptNode
	order   []index.Row    // of nodes, so that to go back is the same each time
	classes []*index.Class // of instances that have gone since: they stay known
	quota   *quota.Backup
	paid    map[string]*reservationCharge // of reservations; nil of one that paid nothing
	specs   map[string]uint64             // versions of quotas; nil while they are as they were
}

// keptNode is a node as it was, with what was on its books, nil if there was none, and
// what was held of it, and whether anything was planned there or reserved.
type keptNode struct {
	was               *node
	held              index.Hold
	planned, reserved bool
}

// mark begins to keep what changes from now on. What is there belongs to nobody any
// more, so that it stays as it is.
func (st *state) mark() {
	st.owner = new(cow.Owner)
	st.undo = append(st.undo, &undo{
		seq: st.seq, joins: st.joins, token: st.token, now: st.now, mix: st.mix, replaced: st.replaced,
		released: st.released.at(), nodes: make(map[index.Row]keptNode), quota: st.quota.Backup(),
		paid: make(map[string]*reservationCharge),
	})
	st.plan.Mark()
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
	st.plan.Forget()
	u := st.latest()
	if u == nil {
		st.letGo(later.classes...)
		return
	}
	for _, row := range later.order {
		if _, kept := u.nodes[row]; !kept {
			u.nodes[row] = later.nodes[row]
			u.order = append(u.order, row)
		}
	}
	u.classes = append(u.classes, later.classes...)
	u.quota.Absorb(later.quota)
	for id, charge := range later.paid {
		if _, kept := u.paid[id]; !kept {
			u.paid[id] = charge
		}
	}
	if u.specs == nil {
		u.specs = later.specs
	}
	u.mixed = u.mixed || later.mixed
	u.remembered += later.remembered
}

// keepNode keeps the node of a row, which is about to change, or that there is none.
func (st *state) keepNode(row index.Row) {
	u := st.latest()
	if u == nil {
		return
	}
	if _, kept := u.nodes[row]; kept {
		return
	}
	kept := keptNode{was: st.at(row), planned: st.planned.has(row), reserved: st.reserved.has(row)}
	if kept.reserved {
		kept.held = st.index.Held(row)
	}
	u.nodes[row] = kept
	u.order = append(u.order, row)
}

// letGo forgets classes of instances that have gone, once no mark can bring these back.
func (st *state) letGo(classes ...*index.Class) {
	if u := st.latest(); u != nil {
		u.classes = append(u.classes, classes...)
		return
	}
	for _, class := range classes {
		st.index.Release(class)
	}
}

// keepPaid keeps what a reservation pays, which is about to change.
func (st *state) keepPaid(id string) {
	u := st.latest()
	if u == nil {
		return
	}
	if _, kept := u.paid[id]; kept {
		return
	}
	u.paid[id] = nil
	if charge, paying := st.payments[id]; paying {
		u.paid[id] = &charge
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
// proportion to the nodes and accounts that have changed, with the pointers to what is on
// the nodes' books, and to the instances, reservations and stays that have.
func (st *state) rollBack() {
	u := st.latest()
	for _, row := range u.order {
		if n := st.at(row); n != nil {
			st.preserve(n)
		}
	}
	for ns := range u.quota.Namespaces() {
		st.preserveQuota(ns)
	}
	nodes := make([]turnedNode, len(u.order))
	for i, row := range u.order {
		nodes[i] = turnedNode{keptNode: u.nodes[row], row: row, is: st.at(row)}
		st.takeBack(&nodes[i])
	}
	st.index.DropUnused()
	st.quota.Revert(u.quota)
	st.plan.Rollback()
	st.plan.Touched() // what the index knows
	for i := range nodes {
		st.putBack(&nodes[i])
	}
	if u.specs != nil {
		st.quotaVersions = u.specs
	}
	for id, charge := range u.paid {
		if delete(st.payments, id); charge != nil {
			st.payments[id] = *charge
		}
	}
	st.released.forget(&u.released, u.remembered)
	st.seq, st.joins, st.token, st.now, st.replaced = u.seq, u.joins, u.token, u.now, u.replaced
	if u.mixed {
		st.setMix(u.mix)
	}
	st.undo = st.undo[:len(st.undo)-1]
	for _, class := range u.classes {
		st.index.Release(class) // those that came back have been retained
	}
	st.index.DropUnused()
}

// turnedNode is a node on the way back to what it was.
type turnedNode struct {
	keptNode
	row  index.Row
	is   *node // nil for none
	anew bool  // it comes into the index again, or did not stand there
	back []*allocation
}

// takeBack takes out of the tables what has come to a node, or changed there, and notes
// what is to be put back.
func (st *state) takeBack(n *turnedNode) {
	var was, is []*allocation
	if n.was != nil {
		was = n.was.instances
	}
	if n.is != nil {
		is = n.is.instances
	}
	n.anew = n.was == nil || n.is == nil || n.was.Node != n.is.Node || n.was.join != n.is.join
	for i, j := 0, 0; i < len(was) || j < len(is); {
		switch { // both are in the order in which they came
		case i < len(was) && j < len(is) && was[i] == is[j] && !n.anew:
			i, j = i+1, j+1
		case i < len(was) && (j == len(is) || !was[i].same(is[j])):
			n.back = append(n.back, was[i])
			i++
		case i < len(was):
			n.back = append(n.back, was[i])
			st.takeOut(is[j])
			i, j = i+1, j+1
		default:
			st.takeOut(is[j])
			j++
		}
	}
	if n.anew && n.is != nil {
		st.index.Remove(n.row)
		st.byRow.Set(int(n.row), nil)
		st.nodes.Delete(n.is.ID)
	}
}

// same reports whether two records are of one generation of an ID.
func (a *allocation) same(other *allocation) bool {
	return a.generation == other.generation && a.id == other.id
}

// takeOut takes an instance out of all tables but its node's list.
func (st *state) takeOut(a *allocation) {
	st.unjoin(a)
	st.index.Vacate(a.row, a.class, &a.resources, a.taken())
	st.letGo(a.class)
	st.evictions.remove(instanceKey{a.id, a.generation})
	if a.state == stale {
		st.dropStale(a)
	} else {
		st.allocations.Delete(a.id)
	}
}

// putBack makes a node what it was.
func (st *state) putBack(n *turnedNode) {
	held := st.reserved.has(n.row) || n.reserved
	st.planned.put(n.row, n.planned)
	st.reserved.put(n.row, n.reserved)
	if n.was == nil {
		return
	}
	state := index.Ready
	if n.anew {
		st.index.Restore(n.row, n.was.Node, n.was.join)
		st.enterNode(n.was)
	} else {
		state = n.is.indexState()
		st.byRow.Set(int(n.row), n.was)
	}
	if was := n.was.indexState(); was != state {
		st.index.SetState(n.row, was)
	}
	for _, a := range n.back {
		st.putBackInstance(a)
	}
	if held {
		st.index.SetHeld(n.row, n.held)
	}
}

func (st *state) putBackInstance(a *allocation) {
	st.index.Retain(a.class)
	st.index.Occupy(a.row, a.class, &a.resources, a.taken())
	st.join(a)
	if a.state == stale {
		st.keepStale(a)
	} else {
		st.allocations.Set(a.id, a)
	}
	if at := a.evictAt(); at != nil && at.After(st.latest().now) {
		st.evictions.set(a)
	}
}

// remember notes a released ID.
func (st *state) remember(id string) {
	if u := st.latest(); u != nil && st.released.limit > 0 && !st.released.known.At(id) {
		u.remembered++
	}
	st.released.add(id)
}

// at returns what forget needs to come back to the present.
func (r *releasedIDs) at() releasedIDs { return releasedIDs{bytes: r.bytes, order: r.order} }

// forget makes r what it was before so many IDs were added.
func (r *releasedIDs) forget(was *releasedIDs, added int) {
	for _, id := range r.order[len(r.order)-min(added, len(r.order)):] {
		r.known.Delete(id)
	}
	gone := len(was.order) + added - len(r.order)
	for _, id := range was.order[:min(gone, len(was.order))] {
		r.known.Set(id, true)
	}
	r.bytes, r.order = was.bytes, slices.Clip(was.order) // since what it was cut from may be in use
}
