package scheduler

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// parts says what a capture is of.
type parts struct {
	nodes  bool // with what is on their books
	infos  bool // as NodeInfo, without what is on their books
	quotas bool
	plan   bool
}

// capture takes the state of one instant while decisions go on: records are
// copied a few at a time, and one that is about to change before its turn is
// copied first. Snapshots and lists are made of it, without the lock.
//
// Invariant: while a capture is under way, every record that was there when it
// began is either among its copies, as it was then, or unchanged since.
type capture struct {
	parts parts
	wire  snapshotJSON // what is taken at once: all that does not grow with the state

	copies []*nodeCopy // by reference, since growing the list holds up decisions
	infos  []NodeInfo
	next   index.Row // the first row that has not had its turn

	accounts     table[accountCopy]
	reservations table[reservation.Reservation]
	stays        table[reservation.Stay]
}

// nodeCopy holds copies of the records; what these point to is never changed,
// only replaced.
type nodeCopy struct {
	node        node
	allocations []allocation
}

// accountCopy is what a namespace was granted and used.
type accountCopy struct {
	quota.AccountState
	info     QuotaInfo
	declared bool // info has a Spec
}

// table is the part of a capture that has records by name.
type table[T any] struct {
	copies map[string]*T // nil of one that came later; the map is nil if it is not captured
	take   func(name string) (record T, ok bool)
	next   func() (name string, ok bool) // nil once all had their turn
	stop   func()
}

func (t *table[T]) begin(names iter.Seq[string], take func(string) (T, bool)) {
	t.copies, t.take = make(map[string]*T), take
	t.next, t.stop = iter.Pull(names)
}

// keep copies a record unless that has been done.
func (t *table[T]) keep(name string) {
	if t.next == nil {
		return
	}
	if _, kept := t.copies[name]; kept {
		return
	}
	t.copies[name] = nil
	if record, ok := t.take(name); ok {
		t.copies[name] = &record
	}
}

// turn copies the next record and reports false if there is none.
func (t *table[T]) turn() bool {
	if t.next == nil {
		return false
	}
	name, ok := t.next()
	if ok {
		t.keep(name)
	} else {
		t.next = nil
	}
	return ok
}

// end ends the capture, complete or not.
func (t *table[T]) end() {
	if t.stop != nil {
		t.stop()
	}
	t.next = nil
}

// all yields the copies by name.
func (t *table[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, name := range slices.Sorted(maps.Keys(t.copies)) {
			if record := t.copies[name]; record != nil && !yield(record) {
				return
			}
		}
	}
}

// captureTurn is how many records are copied without letting go of the lock. A
// node and all that is on its books are copied at once.
const captureTurn = 64

// capture begins a capture of the present state. There is one at a time.
func (st *state) capture(now time.Time, p parts) *capture {
	c := &capture{parts: p, wire: snapshotJSON{
		Version: formatVersion, Seq: st.seq, Time: st.now, Token: st.token, Joins: st.joins,
		Released: st.released.all(), Mix: st.mix,
	}}
	if p.quotas {
		c.accounts.begin(st.quota.Names(), func(ns string) (accountCopy, bool) { return st.account(now, ns) })
	}
	if p.plan {
		c.wire.Reservations = st.plan.Outline()
		// The plan may have been brought to the present without an entry.
		c.wire.Reservations.Now = st.now
		c.reservations.begin(st.plan.Names(), st.plan.Reservation)
		c.stays.begin(st.plan.StayNames(), st.plan.Stay)
		st.plan.Before(reservation.Before{Reservation: c.reservations.keep, Stay: c.stays.keep})
	}
	st.captures++
	st.capturing = c
	return c
}

// captureSome copies about n records and reports whether any are left. The
// capture ends with the last one.
func (st *state) captureSome(c *capture, n int) bool {
	for end := st.visited + n; st.visited < end; {
		if !st.captureNext(c) {
			st.endCapture(c)
			return false
		}
	}
	return true
}

func (st *state) captureNext(c *capture) bool {
	if (c.parts.nodes || c.parts.infos) && int(c.next) < len(st.byRow) {
		st.visited++
		if at := st.byRow[c.next]; at != nil {
			st.preserve(at)
		}
		c.next++
		return true
	}
	st.visited++
	return c.accounts.turn() || c.reservations.turn() || c.stays.turn()
}

// endCapture ends a capture, complete or not.
func (st *state) endCapture(c *capture) {
	c.accounts.end()
	c.reservations.end()
	c.stays.end()
	st.plan.Before(reservation.Before{})
	st.capturing = nil
}

// edit returns the record of a node to be changed, and with it what is on the
// node's books: nothing of that is changed before edit was called in the same
// step. The capture under way gets its copy first.
func (st *state) edit(n *node) *nodeRecord {
	st.preserve(n)
	return &n.nodeRecord
}

// editQuota returns the accounts to be changed by a charge to a namespace, as
// edit does.
func (st *state) editQuota(ns string) *quota.Accounts {
	if c := st.capturing; c != nil && c.parts.quotas {
		for name := range st.quota.Line(ns) {
			c.accounts.keep(name)
		}
	}
	return &st.quota
}

// editSpec is editQuota for a change of a spec, which the accounts of its
// parents follow, and for a default those of all whom it is for.
func (st *state) editSpec(ns string, to quota.Spec) *quota.Accounts {
	st.editQuota(to.Parent)
	if c := st.capturing; c != nil && c.parts.quotas {
		if was, _ := st.quota.Spec(ns); was.Default || to.Default {
			for name := range st.quota.Names() {
				c.accounts.keep(name)
			}
		}
	}
	return st.editQuota(ns)
}

// preserve copies a node and what is on its books for the capture under way,
// if that has not been done.
func (st *state) preserve(n *node) {
	c := st.capturing
	if c == nil || n.captured == st.captures {
		return
	}
	n.captured = st.captures
	if c.parts.infos {
		c.infos = append(c.infos, st.nodeInfo(n))
	}
	if !c.parts.nodes {
		return
	}
	instances := 0
	for a := n.first; a != nil; a = a.next {
		instances++
	}
	st.visited += instances
	saved := &nodeCopy{node: *n, allocations: make([]allocation, 0, instances)}
	for a := n.first; a != nil; a = a.next {
		saved.allocations = append(saved.allocations, *a)
	}
	c.copies = append(c.copies, saved)
}
