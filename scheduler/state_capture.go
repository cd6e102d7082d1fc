package scheduler

import (
	"errors"
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
	whole  bool // for a snapshot, which takes the nodes in the order of joining
	shared bool // with a state that shares the records
}

// place returns which of the captures of a state one is: lists do not wait for a
// snapshot, which is as slow as who takes it.
func (p parts) place() int {
	if p.whole {
		return 1
	}
	return 0
}

// capture takes the state of one instant while decisions go on: records are
// copied a few at a time, and one that is about to change before its turn is
// copied first. Lists are made of it, without the lock; how a snapshot is written
// of one is in state_stream.go.
//
// Invariant: while a capture is under way, every record that was there when it
// began is among its copies, as it was then, or has been handed over, or is
// unchanged since.
type capture struct {
	of     *state
	parts  parts
	number uint64    // among all captures of it, from 1
	now    time.Time // of the state
	head   headItem  // for a snapshot

	copies []*nodeCopy // by reference, since growing the list holds up decisions
	infos  []NodeInfo
	next   index.Row // the first row that has not had its turn
	stream nodeStream

	shared  *state               // for a fork
	outline reservation.Snapshot // likewise, without what is captured in turns

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

// capture begins a capture of the present state. There is one at a time for lists,
// and one for a snapshot.
func (st *state) capture(now time.Time, p parts) *capture {
	st.captures++
	c := &capture{of: st, parts: p, number: st.captures, now: st.now}
	if p.quotas {
		c.accounts.begin(st.quota.Names(), func(ns string) (accountCopy, bool) { return st.account(now, ns) })
	}
	if p.plan {
		c.reservations.begin(st.plan.Names(), st.plan.Reservation)
		if p.whole || p.shared { // no list has them
			c.stays.begin(st.plan.StayNames(), st.plan.Stay)
		}
		st.plan.Before(reservation.Before{Reservation: st.keepReservation, Stay: st.keepStay})
	}
	if p.whole {
		c.begin(st)
	}
	if p.shared {
		c.shared, c.outline = st.share(), st.plan.Outline()
	}
	st.capturing[p.place()] = c
	return c
}

// keepReservation and keepStay have what the plan is about to change copied.
func (st *state) keepReservation(id string) {
	for _, c := range st.capturing {
		if c != nil {
			c.reservations.keep(id)
		}
	}
}

func (st *state) keepStay(id string) {
	for _, c := range st.capturing {
		if c != nil {
			c.stays.keep(id)
		}
	}
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
	if (c.parts.nodes || c.parts.infos) && int(c.next) < st.byRow.Len() {
		st.visited++
		if at := st.at(c.next); at != nil {
			st.copyNode(c, at)
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
	st.capturing[c.parts.place()] = nil
	if st.capturing == [2]*capture{} {
		st.plan.Before(reservation.Before{})
	}
}

// editQuota returns the accounts to be changed by a charge to a namespace, once those
// who keep what they were have it.
func (st *state) editQuota(ns string) *quota.Accounts {
	st.preserveQuota(ns)
	st.keepQuota(ns)
	return &st.quota
}

// preserveQuota copies what a charge to a namespace changes for the captures under way.
func (st *state) preserveQuota(ns string) {
	for _, c := range st.capturing {
		if c == nil || !c.parts.quotas {
			continue
		}
		for name := range st.quota.Line(ns) {
			c.accounts.keep(name)
		}
	}
}

// editSpec is editQuota for a change of a spec, which the accounts of its
// parents follow, and for a default those of all whom it is for.
func (st *state) editSpec(ns string, to quota.Spec) *quota.Accounts {
	st.keepSpecs(ns)
	st.editQuota(to.Parent)
	if was, _ := st.quota.Spec(ns); was.Default || to.Default {
		for _, c := range st.capturing {
			if c == nil || !c.parts.quotas {
				continue
			}
			for name := range st.quota.Names() {
				c.accounts.keep(name)
			}
		}
	}
	return st.editQuota(ns)
}

// preserve copies a node and what is on its books for the captures under way, if
// that has not been done.
func (st *state) preserve(n *node) {
	for _, c := range st.capturing {
		switch {
		case c == nil:
		case c.parts.whole:
			st.copyEarly(c, n)
		default:
			st.copyNode(c, n)
		}
	}
}

// has reports whether a capture has the node, or it came later.
func (c *capture) has(n *node) bool { return *c.mark(n) >= c.number }

// mark is the number of the latest capture of its kind that has a node.
func (c *capture) mark(n *node) *uint64 { return &c.of.captured[c.parts.place()][n.row] }

// copyNode copies a node for a list.
func (st *state) copyNode(c *capture, n *node) {
	if c.has(n) {
		return
	}
	*c.mark(n) = c.number
	if c.parts.infos {
		c.infos = append(c.infos, st.nodeInfo(n))
	}
	if c.parts.nodes {
		c.copies = append(c.copies, st.copyOf(n))
	}
}

// copyOf returns a copy of a node and of what is on its books.
func (st *state) copyOf(n *node) *nodeCopy {
	st.visited += len(n.instances)
	saved := &nodeCopy{node: *n, allocations: make([]allocation, 0, len(n.instances))}
	for _, a := range n.instances {
		saved.allocations = append(saved.allocations, *a)
	}
	return saved
}

// What is made of a capture, without the lock.

// placed is the copy of an instance, with its node.
type placed struct {
	*allocation
	on *node
}

// placed returns the instances by ID and generation.
func (c *capture) placed() (all []placed) {
	instances := 0
	for _, saved := range c.copies {
		instances += len(saved.allocations)
	}
	// Room for all at once: garbage is collected at the expense of decisions.
	all = make([]placed, 0, instances)
	for _, saved := range c.copies {
		for i := range saved.allocations {
			all = append(all, placed{&saved.allocations[i], &saved.node})
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return compareAllocations(a.allocation, b.allocation) })
	return all
}

func values[T any](records iter.Seq[*T]) []T {
	var all []T
	for record := range records {
		all = append(all, *record)
	}
	return all
}

// quotas returns the state of the accounts, and the versions of specs in their
// order.
func (c *capture) quotas() (state quota.AccountsSnapshot, versions []uint64) {
	for account := range c.accounts.all() {
		if account.declared {
			state.Specs = append(state.Specs, account.info.Spec)
			versions = append(versions, account.info.Version)
		}
		if account.Charges > 0 || account.Since != nil {
			state.Accounts = append(state.Accounts, account.AccountState)
		}
	}
	return state, versions
}

// charges yields what every running instance and every reservation charges.
func (c *capture) charges() iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		for _, saved := range c.copies {
			for i := range saved.allocations {
				a := &saved.allocations[i]
				if a.state == running && !yield(a.namespace(), a.charge()) {
					return
				}
			}
		}
		for r := range c.reservations.all() {
			for owes := range bills(r) {
				if !yield(r.Spec.Namespace, owes) {
					return
				}
			}
		}
	}
}

// verifyQuota compares what the accounts had with the charges, and with what
// accounts that start from the same charges would show as used.
func (c *capture) verifyQuota() error {
	var again quota.Accounts
	state, _ := c.quotas()
	if err := again.Restore(state, c.charges()); err != nil {
		return err
	}
	errs := []error{again.Verify(c.charges())}
	for account := range c.accounts.all() {
		want := again.Usage(c.now, account.Namespace)
		if !slices.EqualFunc(account.info.Usage, want, func(a, b quota.Usage) bool {
			return a.Resource == b.Resource && a.Used == b.Used
		}) {
			errs = append(errs, &quota.DriftError{Namespace: account.Namespace})
		}
	}
	return errors.Join(errs...)
}

// users returns the instances and reservations that charge a namespace, by ID.
func (c *capture) users(namespace string) []string {
	var ids []string
	all := c.placed()
	for _, a := range all {
		if a.state == running && a.namespace() == namespace {
			ids = append(ids, a.id)
		}
	}
	for r := range c.reservations.all() {
		if r.Spec.Namespace == namespace && !r.Owes().IsZero() {
			ids = append(ids, r.Spec.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// listed returns the reservations by ID.
func (c *capture) listed() []reservation.Reservation { return values(c.reservations.all()) }
