package index

import (
	"cmp"
	"iter"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// node is what the index keeps of a node beside its columns.
type node struct {
	spec      *placement.Node
	join      uint64
	gpus      *gpus        // nil while the node never had or used any
	hold      *heldAmounts // nil without holds
	instances int64
	taints    int32 // number of its list in Index.taints
	// dynamicFree is how many dynamic ports it has left; see port.go.
	dynamicFree uint16
	state       NodeState
}

// heldAmounts is what reservations heldAmounts of a node. Only few nodes have any at a
// time, so the amounts before the heldAmounts are kept here and not in columns.
type heldAmounts struct {
	amounts   vector
	spare     vector // allocatable − used
	instances int64
	devices   []int64
}

// Add takes in a node that is valid and canonical and returns its row. The
// index keeps the pointer and treats the node as read-only. join breaks ties,
// the smaller first, and must be unique. The node is Ready.
//
// It takes time in proportion to the node's labels, and to the number of nodes
// if join is not the greatest so far. A new row takes an entry for each label key
// that rules count by.
func (x *Index) Add(n *placement.Node, join uint64) Row {
	row := x.takeRow()
	x.add(row, n, join)
	return row
}

// InJoinOrder yields the rows of all nodes in the order of joining.
func (x *Index) InJoinOrder() iter.Seq[Row] { return slices.Values(x.byJoin) }

// Restore is Add in a row that Remove has left. It takes also time in proportion to the
// rows that were left since.
func (x *Index) Restore(row Row, n *placement.Node, join uint64) {
	x.vacant = without(x.vacant, row)
	x.add(row, n, join)
}

func (x *Index) add(row Row, n *placement.Node, join uint64) {
	x.nodes[row] = node{spec: n, join: join}
	x.present.set(row)
	x.ready.set(row)
	at, _ := slices.BinarySearchFunc(x.byJoin, join, x.compareJoin)
	x.byJoin = slices.Insert(x.byJoin, at, row)

	allocatable := n.Allocatable()
	x.use(&allocatable, 1)
	amounts := x.registerAll(&allocatable)
	x.resize(&vector{}, &amounts)
	for d := range x.dims {
		x.free[d][row] = amounts[d]
	}
	x.key[row] = x.keyOf(x.allDimensions(), row)
	x.describe(row, nil, n)
	x.measureGPUs(row)
	x.changed(row)
}

func (x *Index) compareJoin(row Row, join uint64) int {
	return cmp.Compare(x.nodes[row].join, join)
}

// takeRow returns a vacant row and makes room in every column for a new one.
func (x *Index) takeRow() Row {
	if last := len(x.vacant) - 1; last >= 0 {
		row := x.vacant[last]
		x.vacant = x.vacant[:last]
		return row
	}
	row := Row(len(x.nodes))
	x.nodes = append(x.nodes, node{})
	for d := range x.dims {
		x.free[d] = append(x.free[d], 0)
	}
	x.key = append(x.key, 0)
	x.packed = append(x.packed, 0)
	x.most = append(x.most, 0)
	x.whole = append(x.whole, 0)
	x.running = append(x.running, nil)
	n := words(len(x.nodes))
	for _, set := range []*bitset{&x.present, &x.ready, &x.full, &x.overused, &x.held, &x.shared} {
		*set = set.resized(n)
	}
	for _, topology := range x.topologies {
		topology.own(x.owner)
		topology.domains = append(topology.domains, noDomain)
	}
	return row
}

// Update replaces the node of a row; its join number, its state and what runs
// there stay. Custom dimensions must be admitted first; see Admits. It takes the
// time of Add; where a label changes that rules count by, also in proportion to
// the classes that run on the node.
func (x *Index) Update(row Row, n *placement.Node) {
	before := x.nodes[row].spec
	was, is := before.Allocatable(), n.Allocatable()
	x.use(&is, 1)
	x.use(&was, -1)
	amounts := x.registerAll(&is)
	earlier := x.registerAll(&was)
	x.resize(&earlier, &amounts)
	x.nodes[row].spec = n
	for d := range x.dims {
		x.spend(row, d, earlier[d]-amounts[d])
	}
	x.key[row] = x.keyOf(x.allDimensions(), row)
	x.describe(row, before, n)
	x.measureGPUs(row)
	x.changed(row)
}

// Remove takes the node out, in the time of Add. Nothing may be on its books any
// more.
func (x *Index) Remove(row Row) {
	n := &x.nodes[row]
	x.SetHeld(row, Hold{})
	allocatable := n.spec.Allocatable()
	x.use(&allocatable, -1)
	at, _ := slices.BinarySearchFunc(x.byJoin, n.join, x.compareJoin)
	x.byJoin = slices.Delete(x.byJoin, at, at+1)
	x.describe(row, n.spec, nil)
	x.present.remove(row)
	x.ready.remove(row)
	n.spec = nil
	x.forgetNode(row)
	amounts := x.registerAll(&allocatable)
	x.resize(&amounts, &vector{})
	for d := range x.dims {
		x.free[d][row] = 0
	}
	x.key[row] = 0
	x.nodes[row] = node{}
	x.running[row] = nil
	x.most[row], x.whole[row] = 0, 0
	x.vacant = append(x.vacant, row)
	x.changed(row)
}

// SetState sets the state of a node.
func (x *Index) SetState(row Row, state NodeState) {
	x.nodes[row].state = state
	x.ready.put(row, state == Ready)
	x.bookLog.add(row, max(x.thresholds.changeLog, len(x.nodes)/2))
	x.nodeLog.add(row, x.thresholds.changeLog)
	x.version++
}

// forgetNode takes a node that goes out of every grid, while its join number is
// there to find it by.
func (x *Index) forgetNode(row Row) {
	for _, o := range x.orders {
		if g := o.grid; g != nil && int(row) < len(g.at) && g.at[row] > 0 {
			g.remove(x, row)
		}
	}
}

// describe keeps up the structures on labels and taints when the node's
// description changes; nil stands for no node.
func (x *Index) describe(row Row, before, after *placement.Node) {
	x.moveDomains(row, before, after)
	x.relabel(row, before, after)
	x.retaint(row, before, after)
	x.describePorts(row, before, after)
	x.nodeLog.add(row, x.thresholds.changeLog)
}

// changed brings the columns that are computed from others up to date after
// any change of a node's amounts.
func (x *Index) changed(row Row) {
	n := &x.nodes[row]
	x.overused.put(row, x.usesTooMuch(row))
	x.full.put(row, n.full() || x.overused.has(row))
	x.packed[row] = x.pack(row)
	x.bookLog.add(row, max(x.thresholds.changeLog, len(x.nodes)/2))
	x.version++
}

// full reports whether the node takes no more instances beside those on its
// books and those for which it is held.
func (n *node) full() bool { return n.fullBeside(n.heldInstances()) }

// fullBeside is full with another number of instances held.
func (n *node) fullBeside(held int64) bool {
	return n.spec != nil && n.spec.MaxInstances > 0 && n.instances >= n.spec.MaxInstances-held
}

func (n *node) heldInstances() int64 {
	if n.hold == nil {
		return 0
	}
	return n.hold.instances
}

// usesTooMuch reports whether more of some dimension, or of one GPU, is used
// than the node has.
func (x *Index) usesTooMuch(row Row) bool {
	if x.nodes[row].gpusOver() > 0 {
		return true
	}
	for d := range x.dims {
		if x.spare(row, d) < 0 {
			return true
		}
	}
	return false
}

// NodeState says whether a node takes work.
type NodeState uint8

// The states of a node. Only Ready nodes take work.
const (
	Ready NodeState = iota
	Cordoned
	Lost
	Unreported
	Closed // for maintenance
)

// String returns the state's name in lower case.
func (s NodeState) String() string {
	switch s {
	case Ready:
		return "ready"
	case Cordoned:
		return "cordoned"
	case Lost:
		return "lost"
	case Unreported:
		return "unreported"
	default:
		return "closed for maintenance"
	}
}

// changeLog remembers which nodes were described again, most recent last.
type changeLog struct {
	rows []Row
	base uint64 // entries dropped
}

// add appends a node; the older half of as many entries as the log may have
// makes room.
func (l *changeLog) add(row Row, most int) {
	if len(l.rows) == most {
		l.base += uint64(most / 2)
		l.rows = append(l.rows[:0], l.rows[most/2:]...)
	}
	l.rows = append(l.rows, row)
}

// end returns the position after the last entry.
func (l *changeLog) end() uint64 { return l.base + uint64(len(l.rows)) }

// since returns the entries from a position on; it reports false if some were
// dropped.
func (l *changeLog) since(position uint64) ([]Row, bool) {
	if position < l.base {
		return nil, false
	}
	return l.rows[position-l.base:], true
}
