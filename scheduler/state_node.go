package scheduler

import (
	"errors"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// NodeState is whether a node takes work.
type NodeState string

// The states of nodes.
const (
	NodeReady    NodeState = "ready"
	NodeCordoned NodeState = "cordoned"
	NodeLost     NodeState = "lost"
	// NodeUnreported: it waits for AdoptNode; see Config.RequireReports.
	NodeUnreported NodeState = "unreported"
	// NodeClosed: maintenance is on, or notice of it was given; see
	// reservation.Spec.Maintenance.
	NodeClosed NodeState = "closed"
)

// NodeInfo is a node with what runs on it, at one instant.
type NodeInfo struct {
	// Node as it was described, in canonical form.
	placement.Node
	// State says whether it takes work.
	State NodeState `json:"state"`
	// Total is what the node gives to instances: capacity less reserved,
	// overcommitted where the node says so, and of GPUs those that work.
	Total placement.Resources `json:"total,omitzero"`
	// Allocated is what instances use, lost ones included, and on broken GPUs too.
	Allocated placement.Resources `json:"allocated,omitzero"`
	// Held is what reservations hold for later or for their owners.
	Held placement.Resources `json:"held,omitzero"`
	// Available is Total less Allocated and Held, not below zero.
	Available placement.Resources `json:"available,omitzero"`
	// DeviceFree is what instances leave of each GPU, in thousandths: nothing of
	// those in Devices.Broken, less than nothing where more is used than there is.
	// What is held of it is not subtracted: reservation.Slot.Devices tells.
	DeviceFree []int64 `json:"deviceFree,omitempty"`
	// Instances on the node; Node.MaxInstances caps them.
	Instances int64 `json:"instances,omitempty"`
	// Use says who has the ports and GPUs, and what leaves. Node tells it, and lists of
	// nodes leave it empty.
	Use NodeUse `json:"use,omitzero"`
	// Join is the node's place in the order of joining, which breaks ties.
	Join uint64 `json:"join"`
	// Version is the sequence number of the last change of the node itself.
	Version uint64 `json:"version"`
}

// Utilization returns the used share of a dimension, 0 to 1, for people; it
// exceeds 1 on a node whose capacity was lowered below its use, or whose broken
// GPUs are in use.
func (n NodeInfo) Utilization(name placement.ResourceName) float64 {
	return float64(placement.Utilization(n.Allocated.Amount(name), n.Total.Amount(name))) / 1e6
}

// Overall returns the mean of Utilization over the dimensions with capacity.
func (n NodeInfo) Overall() float64 {
	return float64(placement.OverallUtilization(n.Allocated, n.Total)) / 1e6
}

// Over returns the dimensions in which more is allocated than there is, in
// the order of Resources.All, and last placement.NameInstances if there are
// more of those than Node.MaxInstances. GPUs are counted one by one: more than
// there is of any is over, and one that broke in use is not.
func (n NodeInfo) Over() []placement.ResourceName {
	var over []placement.ResourceName
	for name, used := range n.Allocated.All() {
		exceeded := used > n.Total.Amount(name)
		if name == placement.NameGPU {
			exceeded = slices.ContainsFunc(n.DeviceFree, overused)
		}
		if exceeded {
			over = append(over, name)
		}
	}
	if n.MaxInstances > 0 && n.Instances > n.MaxInstances {
		over = append(over, placement.NameInstances)
	}
	return over
}

func overused(free int64) bool { return free < 0 }

// HasTaint reports whether the node has a taint of this key, of any value and
// effect.
func (n NodeInfo) HasTaint(key string) bool {
	for _, t := range n.Taints {
		if t.Key == key {
			return true
		}
	}
	return false
}

// node is one node.
type node struct {
	nodeRecord
	row   index.Row
	join  uint64
	owner *cow.Owner
}

// nodeRecord is what changes of a node. It is read anywhere, and changed only
// through state.edit.
type nodeRecord struct {
	*placement.Node // canonical, shared with the index, replaced as a whole
	version         uint64
	cordoned, lost  bool
	unreported      bool          // takes no work before AdoptNode
	closed          bool          // for maintenance, as the plan says
	tainted         []time.Time   // when each of Taints was added
	instances       []*allocation // in the order in which they came
}

func (record *nodeRecord) state() NodeState {
	switch {
	case record.lost:
		return NodeLost
	case record.unreported:
		return NodeUnreported
	case record.cordoned:
		return NodeCordoned
	case record.closed:
		return NodeClosed
	default:
		return NodeReady
	}
}

func (record *nodeRecord) indexState() index.NodeState {
	switch {
	case record.lost:
		return index.Lost
	case record.unreported:
		return index.Unreported
	case record.closed: // uncordoning it would not help
		return index.Closed
	case record.cordoned:
		return index.Cordoned
	default:
		return index.Ready
	}
}

// allocations returns what is on the node's books, by ID and generation.
func (record *nodeRecord) allocations() []*allocation {
	return slices.SortedFunc(slices.Values(record.instances), compareAllocations)
}

// nodeInfo describes a node, which is not copied: see Canonical.
func (st *state) nodeInfo(n *node) NodeInfo {
	free := st.index.Free(n.row)
	for name, amount := range free.All() {
		if amount < 0 {
			free = free.With(name, 0)
		}
	}
	return NodeInfo{
		Node:       *n.Node,
		State:      n.state(),
		Total:      n.Allocatable(),
		Allocated:  st.index.Used(n.row).Clone(),
		Held:       st.index.Held(n.row).Resources.Clone(),
		Available:  free,
		DeviceFree: slices.Clone(st.index.DeviceFree(n.row)),
		Instances:  st.index.Instances(n.row),
		Join:       n.join,
		Version:    n.version,
	}
}

// node returns a node by ID.
func (st *state) node(id string) (*node, error) {
	n := st.named(id)
	if n == nil {
		return nil, placement.NotFound(placement.KindNode, id)
	}
	return n, nil
}

// named returns a node by ID, nil if there is none.
func (st *state) named(id string) *node {
	row, ok := st.nodes.Get(id)
	if !ok {
		return nil
	}
	return st.at(row)
}

// at returns the node of a row, nil if there is none, and on that of an instance.
func (st *state) at(row index.Row) *node { return st.byRow.At(int(row)) }
func (st *state) on(a *allocation) *node { return st.at(a.row) }

func (c *NodeAdded) check(st *state) error {
	_, err := st.admitNew(c.Node)
	return err
}

func (c *NodeAdded) apply(st *state, out *outcome) {
	record := st.insertNode(c.Node, c.Join)
	record.version, record.tainted = st.seq, st.taintTimes(nil, nil, record.Taints)
	st.joins = c.Join
	out.roomOn(st, record.ID)
	if record.unreported = c.Unreported; record.unreported {
		st.index.SetState(record.row, record.indexState())
	}
}

// insertNode takes a node into the tables, empty, and ready unless it is closed, and
// shares nothing with what describes it.
func (st *state) insertNode(described placement.Node, join uint64) *node {
	canonical := described.Canonical()
	return st.insertCanonical(&canonical, join)
}

// insertCanonical is insertNode of a canonical node that never changes.
func (st *state) insertCanonical(canonical *placement.Node, join uint64) *node {
	n := &node{nodeRecord: nodeRecord{Node: canonical, closed: st.plan.Closed(canonical.ID)}, join: join, owner: st.owner}
	n.row = st.index.Add(n.Node, n.join)
	for st.byRow.Len() <= int(n.row) {
		st.byRow.Append(nil)
	}
	st.keepNode(n.row)
	st.enterNode(n)
	if n.closed {
		st.index.SetState(n.row, n.indexState())
	}
	return n
}

// enterNode takes a node that the index has into the tables. No capture under way is
// of it.
func (st *state) enterNode(n *node) {
	st.nodes.Set(n.ID, n.row)
	st.byRow.Set(int(n.row), n)
	for place := range st.captured {
		for len(st.captured[place]) <= int(n.row) {
			st.captured[place] = append(st.captured[place], 0)
		}
		st.captured[place][n.row] = st.captures
	}
}

func (c *NodeUpdated) check(st *state) error {
	_, err := st.admitUpdate(c.Node)
	return errors.Join(err, st.checkPlan(c.Moves, &c.Node))
}

func (c *NodeUpdated) apply(st *state, out *outcome) {
	st.applyPlan(c.Moves, out)
	out.roomOn(st, c.Node.ID)
	record, canonical := st.edit(st.named(c.Node.ID).row), c.Node.Canonical()
	record.tainted = st.taintTimes(record.Taints, record.tainted, canonical.Taints)
	record.Node, record.version = &canonical, st.seq
	st.index.Update(record.row, record.Node)
	for _, a := range record.instances {
		st.timeEviction(a)
	}
}

func (c *NodeMarked) check(st *state) error {
	n, err := st.node(c.NodeID)
	switch c.Mark {
	case MarkCordoned, MarkUncordoned, MarkLost:
	case MarkReady:
		if err == nil {
			err = st.countable(n, nil)
		}
	default:
		err = errors.Join(err, &placement.InvalidError{Field: "mark", Value: string(c.Mark), Reason: "unknown"})
	}
	return errors.Join(err, st.checkPlan(c.Moves, nil))
}

func (c *NodeMarked) apply(st *state, out *outcome) {
	record := st.edit(st.named(c.NodeID).row)
	record.lost = record.lost || c.Mark == MarkLost // before the plan: see uncover
	st.applyPlan(c.Moves, out)
	record.version = st.seq
	out.roomOn(st, record.ID)
	switch c.Mark {
	case MarkCordoned:
		record.cordoned = true
	case MarkUncordoned:
		record.cordoned = false
	case MarkLost:
	case MarkReady:
		record.lost = false
	}
	st.index.SetState(record.row, record.indexState())
	if c.Mark != MarkLost && c.Mark != MarkReady {
		return
	}
	over := make(overLimit)
	for _, a := range record.allocations() {
		a = st.own(a)
		over.note(st.markInstance(a, record.lost, out))
		out.emit(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: record.ID, State: a.publicState()})
	}
	st.tellOver(over, out)
}

// markInstance loses a running instance, which is owned, with its node, or takes a lost one
// back and returns what its namespace uses too much of then. One that was leaving
// goes on to. A stale one stays stale, and leaves no more: nobody can stop it.
func (st *state) markInstance(a *allocation, isLost bool, out *outcome) []quota.Usage {
	switch {
	case isLost && a.state == running:
		st.refund(a)
		a.cover(nil)
		st.leave(a, out)
		st.unjoin(a)
		a.state, a.version = lost, st.seq
		st.cancelEviction(a)
	case isLost && a.state == stale && a.leaving:
		st.unjoin(a)
		a.leaving, a.version = false, st.seq
	case !isLost && a.state == lost:
		a.state, a.version = running, st.seq
		st.join(a)
		over := st.charge(a) // first, since it may have overstayed
		st.turnUp(a, out)
		st.timeEviction(a)
		return over
	}
	return nil
}

// marked decides on a mark of a node.
func (st *state) marked(n *node, mark Mark) (*NodeMarked, error) {
	c := &NodeMarked{NodeID: n.ID, Mark: mark}
	switch mark {
	case MarkLost:
		c.Moves = st.plan.NodeChanged(&planNodes{st: st, gone: n.ID}, n.ID)
	case MarkReady:
		return c, st.countable(n, nil)
	case MarkCordoned, MarkUncordoned:
	}
	return c, nil
}

// removed decides on taking a node away.
func (st *state) removed(id string) *NodeRemoved {
	return &NodeRemoved{NodeID: id, Moves: st.plan.NodeChanged(&planNodes{st: st, gone: id}, id)}
}

func (c *NodeRemoved) check(st *state) error {
	_, err := st.node(c.NodeID)
	return errors.Join(err, st.checkPlan(c.Moves, nil))
}

func (c *NodeRemoved) apply(st *state, out *outcome) {
	record := st.edit(st.named(c.NodeID).row)
	record.lost = true // before the plan: see uncover
	st.applyPlan(c.Moves, out)
	for _, a := range record.allocations() {
		st.release(a, out)
		out.emit(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: record.ID, State: Removed})
	}
	st.index.Remove(record.row)
	st.byRow.Set(int(record.row), nil)
	st.nodes.Delete(record.ID)
	out.roomOn(st, record.ID) // for rules that looked at it
	st.planned.put(record.row, false)
	st.reserved.put(record.row, false)
}
