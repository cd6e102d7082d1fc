package index

import (
	"slices"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// world is an index and its oracle under the same history.
type world struct {
	x       *Index
	m       *model
	joins   uint64
	queries int
	known   []placement.Request // some that were drawn before
}

func newWorld(cfg Config, limits thresholds) *world {
	return &world{x: newIndex(cfg, limits), m: newModel(cfg)}
}

// tinyThresholds make structures change their form all the time.
func tinyThresholds() thresholds {
	return thresholds{
		gridNodes: 2, gridBlock: 2, gridCost: 0, slice: 3, scanSlice: 5, orders: 4, gridBytes: 500, topBytes: 60, refusalBytes: 4000, parts: 4,
		listNodes: 1, walkNodes: 1000, denseSet: 1, denseDomains: 1,
		unusedClasses: 2, builtSets: 7, profiles: 50, changeLog: 4,
	}
}

func (w *world) add(n placement.Node) {
	n = n.Canonical()
	w.joins++
	w.addAt(n, w.joins)
}

func (w *world) addAt(n placement.Node, join uint64) {
	spec := n
	node := &modelNode{spec: n, join: join, row: w.x.Add(&spec, join)}
	at, _ := slices.BinarySearchFunc(w.m.nodes, join, func(n *modelNode, join uint64) int { return int(n.join) - int(join) })
	w.m.nodes = slices.Insert(w.m.nodes, at, node)
	w.m.saw(n.Allocatable())
}

func (w *world) update(n *modelNode, spec placement.Node) {
	spec.ID = n.spec.ID
	n.spec = spec.Canonical()
	kept := n.spec
	w.x.Update(n.row, &kept)
	w.m.saw(n.spec.Allocatable())
}

func (w *world) remove(n *modelNode) {
	w.x.Remove(n.row)
	w.m.nodes = slices.DeleteFunc(w.m.nodes, func(other *modelNode) bool { return other == n })
}

func (w *world) query(r *placement.Request) *Query {
	w.queries++
	return &Query{Class: w.x.Class(r), Resources: &r.Resources, ID: r.ID, Seq: uint64(w.queries)}
}

// occupy puts a request on a node, fitting or not.
func (w *world) occupy(n *modelNode, r placement.Request, taken Taken) {
	c := w.x.Class(&r)
	w.x.Retain(c)
	w.x.Occupy(n.row, c, &r.Resources, taken)
	w.x.Join(n.row, c)
	n.instances = append(n.instances, &modelInstance{request: r, Taken: taken, counts: true})
}

func (w *world) vacate(n *modelNode, i int) {
	instance := n.instances[i]
	c := w.x.Class(&instance.request)
	if instance.counts {
		w.x.exits(n.row, c, instance)
	}
	w.x.Vacate(n.row, c, &instance.request.Resources, instance.Taken)
	w.x.Release(c)
	n.instances = slices.Delete(n.instances, i, i+1)
}

// setCounts lets an instance be lost or come back, and be stopped or go on.
func (w *world) setCounts(n *modelNode, i int, counts, leaves bool) {
	instance := n.instances[i]
	c := w.x.Class(&instance.request)
	w.x.Retain(c)
	if instance.counts {
		w.x.exits(n.row, c, instance)
	}
	if instance.counts, instance.leaves = counts, leaves; counts {
		w.x.enters(n.row, c, instance)
	}
	w.x.Release(c)
}

// enters and exits join an instance as what it is, and undo that.
func (x *Index) enters(row Row, c *Class, instance *modelInstance) {
	if instance.leaves {
		x.JoinLeaving(row, c)
	} else {
		x.Join(row, c)
	}
}

func (x *Index) exits(row Row, c *Class, instance *modelInstance) {
	if instance.leaves {
		x.LeaveLeaving(row, c)
	} else {
		x.Leave(row, c)
	}
}

func (w *world) absent(instance *modelInstance) Absent {
	return Absent{w.x.Class(&instance.request), &instance.request.Resources, instance.Taken, instance.leaves}
}

func (w *world) setHeld(n *modelNode, held Hold) {
	n.held = held
	w.x.SetHeld(n.row, held)
}

// place decides with both, compares and commits.
func (w *world) place(t require.TestingT, r placement.Request) {
	q := w.query(&r)
	choice, ok := w.checkBest(t, q, &r)
	if ok {
		w.occupy(w.m.at(choice.Row), r, w.taken(q, choice.Row))
	}
}

// taken returns what a query gets of a node that it fits on.
func (w *world) taken(q *Query, row Row) Taken {
	return Taken{w.x.Devices(q, row, nil), w.x.DynamicPorts(q, row)}
}

// id names things in the order they are made.
func id(prefix string, n uint64) string { return prefix + strconv.FormatUint(n, 10) }
