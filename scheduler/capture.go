package scheduler

import (
	"cmp"
	"maps"
	"slices"

	"github.com/rads-project/constellation/internal/index"
)

// capture is a snapshot in the making. It takes the state of one instant while
// decisions go on: nodes are copied a few at a time, and one that is about to
// change before its turn is copied first.
//
// Invariant: while a capture is under way, every node that was there when it
// began is either among its copies, as it was then, or unchanged since.
type capture struct {
	wire   snapshotJSON // all but nodes and allocations
	copies []*nodeCopy  // by reference, since growing the list holds up decisions
	next   index.Slot   // the first slot that has not had its turn
}

// nodeCopy holds copies of the records; what these point to is never changed,
// only replaced.
type nodeCopy struct {
	node        node
	allocations []allocation
}

// captureTurn is how many nodes are copied without letting go of the lock.
const captureTurn = 32

// capture begins a capture of the present state. There is one at a time.
func (st *state) capture() *capture {
	c := &capture{wire: snapshotJSON{
		Version: formatVersion, Seq: st.seq, Time: st.now, Token: st.token, Joins: st.joins,
		Reference: st.index.Reference(), Released: slices.Clone(st.released.order),
		Quota: st.quota.State(), Quotas: maps.Clone(st.quotaVersions), Reservations: st.plan.Snapshot(),
		Mix: st.mix,
	}}
	// The plan may have been brought to the present without an entry.
	c.wire.Reservations.Now = st.now
	st.captures++
	st.capturing = c
	return c
}

// captureSome copies up to n nodes and reports whether any are left. The
// capture ends with the last one.
func (st *state) captureSome(c *capture, n int) bool {
	for ; n > 0 && int(c.next) < len(st.slots); n-- {
		if at := st.slots[c.next]; at != nil {
			st.preserve(at)
		}
		c.next++
	}
	if int(c.next) < len(st.slots) {
		return true
	}
	st.capturing = nil
	return false
}

// edit returns the record of a node to be changed, and with it what is on the
// node's books: nothing of that is changed before edit was called in the same
// step. The capture under way gets its copy first.
func (st *state) edit(n *node) *nodeRecord {
	st.preserve(n)
	return &n.nodeRecord
}

// preserve copies a node and what is on its books for the capture under way,
// if that has not been done.
func (st *state) preserve(n *node) {
	if st.capturing == nil || n.captured == st.captures {
		return
	}
	n.captured = st.captures
	instances := 0
	for a := n.first; a != nil; a = a.next {
		instances++
	}
	saved := &nodeCopy{node: *n, allocations: make([]allocation, 0, instances)}
	for a := n.first; a != nil; a = a.next {
		saved.allocations = append(saved.allocations, *a)
	}
	st.capturing.copies = append(st.capturing.copies, saved)
}

// snapshot captures the state in one go.
func (st *state) snapshot() snapshotJSON {
	c := st.capture()
	for st.captureSome(c, captureTurn) {
		continue
	}
	return c.finish()
}

// finish puts the copies in order: nodes by join, allocations by ID and
// generation, classes by first use.
func (c *capture) finish() snapshotJSON {
	wire := c.wire
	slices.SortFunc(c.copies, func(a, b *nodeCopy) int { return cmp.Compare(a.node.join, b.node.join) })
	type placed struct {
		*allocation
		node int
	}
	instances := 0
	for _, saved := range c.copies {
		instances += len(saved.allocations)
	}
	// Room for all at once: garbage is collected at the expense of decisions.
	all := make([]placed, 0, instances)
	wire.Nodes, wire.Allocations = slices.Grow(wire.Nodes, len(c.copies)), slices.Grow(wire.Allocations, instances)
	for i := range c.copies {
		n := &c.copies[i].node
		wire.Nodes = append(wire.Nodes, nodeJSON{
			Node: *n.Node, Join: n.join, Version: n.version, Cordoned: n.cordoned, Lost: n.lost,
			Unreported: n.unreported, Tainted: n.tainted,
		})
		for k := range c.copies[i].allocations {
			all = append(all, placed{&c.copies[i].allocations[k], i})
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return compareAllocations(a.allocation, b.allocation) })
	classes := make(map[*index.Class]int)
	for _, a := range all {
		class, known := classes[a.class]
		if !known {
			class = len(classes)
			classes[a.class] = class
			wire.Classes = append(wire.Classes, *a.class.Request())
		}
		wire.Allocations = append(wire.Allocations, allocationJSON{
			ID: a.id, Class: class, Node: a.node, Resources: a.resources, Asked: a.asked,
			Devices: a.devices, Placed: a.placed, Generation: a.generation, Version: a.version,
			Token: a.token, Score: a.score, State: a.state, Overstayed: a.overstayed,
		})
	}
	return wire
}
