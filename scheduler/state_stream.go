package scheduler

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/reservation"
)

// A snapshot is written while it is captured: nodes are handed over a few at a
// time, in the order of joining, with what is on their books. What a capture
// holds at a time is those, the list of nodes, and copies of the nodes that
// changed before their turn.

// nodeStream is the nodes of a capture that are to be handed over.
type nodeStream struct {
	nodes []*node // all that were there; by join once they are listed
	next  int     // the first that has not been handed over
	early map[index.Row]*nodeCopy

	// What is taken at once.
	released []string
	plan     reservation.Snapshot
}

// begin takes all that does not grow with nodes, instances and reservations.
func (c *capture) begin(st *state) {
	c.stream = nodeStream{
		early: make(map[index.Row]*nodeCopy), released: st.released.all(), plan: st.plan.Outline(),
	}
	c.head = headItem{
		Seq: st.seq, Time: st.now, Token: st.token, Joins: st.joins,
		Created: c.stream.plan.Created, Nodes: st.nodes.Len(), Instances: st.allocations.Len() + st.replaced,
		Workload: st.mix,
	}
}

// listSome lists about n nodes, and reports whether any are left. The list is then
// to be sorted, which needs no lock.
func (st *state) listSome(c *capture, n int) bool {
	for ; n > 0 && int(c.next) < st.byRow.Len(); n-- {
		st.visited++
		if at := st.at(c.next); at != nil && !c.has(at) {
			c.stream.nodes = append(c.stream.nodes, at)
		}
		c.next++
	}
	return int(c.next) < st.byRow.Len()
}

func (c *capture) sort() {
	slices.SortFunc(c.stream.nodes, func(a, b *node) int { return cmp.Compare(a.join, b.join) })
}

// copyEarly copies a node that is about to change before its turn.
func (st *state) copyEarly(c *capture, n *node) {
	if c.has(n) {
		return
	}
	*c.mark(n) = c.number
	c.stream.early[n.row] = st.copyOf(n)
	if n.row >= c.next {
		c.stream.nodes = append(c.stream.nodes, n) // its row will not list it any more
	}
}

// handOver appends the next nodes, with about n records, to a batch. It appends
// nothing once all have been handed over.
func (st *state) handOver(c *capture, batch []*nodeCopy, n int) []*nodeCopy {
	s := &c.stream
	for end := st.visited + n; st.visited < end && s.next < len(s.nodes); s.next++ {
		st.visited++
		n := s.nodes[s.next]
		saved, early := s.early[n.row]
		if !early {
			*c.mark(n) = c.number
			saved = st.copyOf(n)
		}
		delete(s.early, n.row)
		batch = append(batch, saved)
	}
	return batch
}

// snapshotWriter writes a capture as a stream of items.
type snapshotWriter struct {
	partWriter
	classes map[*index.Class]int
	items   snapshotItems
}

func newSnapshotWriter(c *capture, emit func(Record) error) *snapshotWriter {
	return &snapshotWriter{
		partWriter: partWriter{emit: emit, next: snapshotPart{seq: c.head.Seq}},
		classes:    make(map[*index.Class]int),
	}
}

// writing returns what makes the writer of a capture.
func writing(emit func(Record) error) func(*capture) receiver {
	return func(c *capture) receiver { return newSnapshotWriter(c, emit) }
}

// begin writes what stands before the nodes.
func (w *snapshotWriter) begin(c *capture) error {
	if err := w.put(itemHead, &c.head); err != nil {
		return err
	}
	for _, id := range c.stream.released {
		if err := w.put(itemReleased, &releasedItem{id}); err != nil {
			return err
		}
	}
	return nil
}

// node writes a node and what is on its books, and may reorder that.
func (w *snapshotWriter) node(saved *nodeCopy) error {
	n := &saved.node
	w.items.node = nodeItem{
		Node: *n.Node, Join: n.join, Version: n.version, Cordoned: n.cordoned, Lost: n.lost,
		Unreported: n.unreported, Tainted: n.tainted,
	}
	if err := w.put(itemNode, &w.items.node); err != nil {
		return err
	}
	slices.SortFunc(saved.allocations, func(a, b allocation) int { return compareAllocations(&a, &b) })
	for i := range saved.allocations {
		if err := w.instance(&saved.allocations[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *snapshotWriter) instance(a *allocation) error {
	class, known := w.classes[a.class]
	if !known {
		class = len(w.classes)
		w.classes[a.class] = class
		if err := w.put(itemClass, &classItem{*a.class.Request()}); err != nil {
			return err
		}
	}
	w.items.instance = instanceItem{
		ID: a.id, Class: class, Resources: a.resources, Asked: a.asked(), Devices: a.taken().Devices, Placed: a.placed(),
		Generation: a.generation, Version: a.version, Token: a.token, Score: a.score, State: a.state,
		Overstayed: a.overstayed, Ports: a.taken().Ports, Leaving: a.leaving,
	}
	return w.put(itemInstance, &w.items.instance)
}

// rest writes what comes after the nodes, but not the last part.
func (w *snapshotWriter) rest(c *capture) error {
	state, versions := c.quotas()
	for i, spec := range state.Specs {
		if err := w.put(itemQuota, &quotaItem{spec, versions[i]}); err != nil {
			return err
		}
	}
	for _, account := range state.Accounts {
		if err := w.put(itemAccount, &accountItem{account}); err != nil {
			return err
		}
	}
	for _, spec := range c.stream.plan.Series {
		if err := w.put(itemSeries, &seriesItem{spec}); err != nil {
			return err
		}
	}
	for r := range c.reservations.all() {
		if err := w.put(itemReservation, &reservationItem{*r}); err != nil {
			return err
		}
	}
	for stay := range c.stays.all() {
		if err := w.put(itemStay, &stayItem{*stay}); err != nil {
			return err
		}
	}
	for _, id := range c.stream.plan.Unsettled {
		if err := w.put(itemUnsettled, &unsettledItem{id}); err != nil {
			return err
		}
	}
	for _, past := range c.stream.plan.Past {
		if err := w.put(itemPast, &pastItem{past}); err != nil {
			return err
		}
	}
	return nil
}
