package scheduler

import (
	"errors"
	"slices"
	"time"

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
	row      index.Row
	join     uint64
	captured [2]uint64 // the latest captures of lists and for a snapshot that have it
}

// nodeRecord is what changes of a node. It is read anywhere, and changed only
// through state.edit. What runs there is a list in order of placement.
type nodeRecord struct {
	*placement.Node // canonical, shared with the index, replaced as a whole
	version         uint64
	cordoned, lost  bool
	unreported      bool        // takes no work before AdoptNode
	closed          bool        // for maintenance, as the plan says
	tainted         []time.Time // when each of Taints was added
	first, last     *allocation
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
	var all []*allocation
	for a := record.first; a != nil; a = a.next {
		all = append(all, a)
	}
	slices.SortFunc(all, compareAllocations)
	return all
}

func (record *nodeRecord) link(a *allocation) {
	a.prev = record.last
	if record.last == nil {
		record.first = a
	} else {
		record.last.next = a
	}
	record.last = a
}

func (record *nodeRecord) unlink(a *allocation) {
	if a.prev == nil {
		record.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		record.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
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
	n, ok := st.nodes[id]
	if !ok {
		return nil, placement.NotFound(placement.KindNode, id)
	}
	return n, nil
}

func (c *NodeAdded) check(st *state) error {
	_, err := st.admitNew(c.Node)
	return err
}

func (c *NodeAdded) apply(st *state, out *outcome) {
	n := st.insertNode(c.Node, c.Join)
	record := st.edit(n)
	record.version, record.tainted = st.seq, st.taintTimes(nil, nil, n.Taints)
	st.joins = c.Join
	out.roomOn(st, n.ID)
	if record.unreported = c.Unreported; n.unreported {
		st.index.SetState(n.row, n.indexState())
	}
}

// insertNode takes a node into the tables, empty, and ready unless it is closed, and shares nothing with
// what describes it.
func (st *state) insertNode(described placement.Node, join uint64) *node {
	canonical := described.Canonical()
	return st.insertCanonical(&canonical, join)
}

// insertCanonical is insertNode of a canonical node that never changes.
func (st *state) insertCanonical(canonical *placement.Node, join uint64) *node {
	n := &node{nodeRecord: nodeRecord{Node: canonical, closed: st.plan.Closed(canonical.ID)}, join: join, captured: [2]uint64{st.captures, st.captures}}
	st.keepNode(n)
	st.enterNode(n)
	if n.closed {
		st.index.SetState(n.row, n.indexState())
	}
	return n
}

// enterNode takes a node into the tables, and into a row of the index.
func (st *state) enterNode(n *node) {
	st.nodes[n.ID] = n
	n.row = st.index.Add(n.Node, n.join)
	if grow := int(n.row) + 1 - len(st.byRow); grow > 0 {
		st.byRow = append(st.byRow, make([]*node, grow)...)
	}
	st.byRow[n.row] = n
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
	st.index.Update(n.row, n.Node)
	for a := n.first; a != nil; a = a.next {
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
	st.index.SetState(n.row, n.indexState())
	if c.Mark != MarkLost && c.Mark != MarkReady {
		return
	}
	over := make(overLimit)
	for _, a := range n.allocations() {
		over.note(st.markInstance(a, n.lost, out))
		out.emit(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: a.publicState()})
	}
	st.tellOver(over, out)
}

// markInstance loses a running instance with its node, or takes a lost one
// back and returns what its namespace uses too much of then. One that was leaving
// goes on to. A stale one stays stale, and leaves no more: nobody can stop it.
func (st *state) markInstance(a *allocation, isLost bool, out *outcome) []quota.Usage {
	switch {
	case isLost && a.state == running:
		st.refund(a)
		a.covered = nil
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
	n := st.nodes[c.NodeID]
	st.edit(n).lost = true // before the plan: see uncover
	st.applyPlan(c.Moves, out)
	for _, a := range n.allocations() {
		st.release(a, out)
		out.emit(&InstanceMarked{ID: a.id, Generation: a.generation, NodeID: n.ID, State: Removed})
	}
	st.index.Remove(n.row)
	st.byRow[n.row] = nil
	delete(st.nodes, n.ID)
	out.roomOn(st, n.ID) // for rules that looked at it
	delete(st.planned, n)
	delete(st.reserved, n)
}
