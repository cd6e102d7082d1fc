package scheduler

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// outcome is what applying an entry comes to: its events, and what the loop
// that commits it decides on next. A replay has no use for it.
type outcome struct {
	telling  bool          // somebody wants the events
	events   []Event       // then, one for every change in order, derived ones at their place, after others
	st       *state        // that changes
	room     []string      // nodes on which room may have come up for slots that reservations lack
	reported []Report      // that say in which reservation they stand, and are on the books now
	overfull string        // node on which room may have gone to reported instances
	vacated  string        // node on which an instance has left a slot
	over     []quota.Usage // what a change of a spec has left over its limits
}

func (out *outcome) emit(c Change) {
	if out.telling {
		out.events = append(out.events, Event{Seq: out.st.seq, Time: out.st.now, Token: out.st.token, Change: c})
	}
}

// roomOn notes that room may have come up on a node.
func (out *outcome) roomOn(st *state, node string) {
	if st.plan.Owing() && !slices.Contains(out.room, node) {
		out.room = append(out.room, node)
	}
}

// must stands where an error cannot be, since what was decided was checked.
// Going on would let the books drift from what runs, so it panics; who commits
// or replays an entry recovers it.
func must(invariant string, err error) {
	if err != nil {
		panic(&InvariantError{Invariant: invariant, Cause: err})
	}
}

// recoverBroken turns a panic of must into an error at the state's sequence
// number. It is to be deferred.
func (st *state) recoverBroken(err *error) {
	switch broken := recover().(type) {
	case nil:
	case *InvariantError:
		broken.Seq = st.seq
		*err = broken
	default:
		panic(broken)
	}
}

// commit decides on all that the changes of an entry make necessary, change by
// change, adds that to the entry and applies it. After an InvariantError the
// state is of no use.
func (st *state) commit(e *entry, out *outcome) (err error) {
	defer st.recoverBroken(&err)
	next := st.consequences(e)
	st.begin(e, out)
	for _, c := range e.changes {
		st.step(c, out)
	}
	next.carryOut(e, out)
	return nil
}

// commitPlaced adds a placement to an entry, with all that it makes necessary, and
// applies that: what commit does with an entry of it alone.
func (st *state) commitPlaced(e *entry, out *outcome, c *Placed) (err error) {
	defer st.recoverBroken(&err)
	if len(e.changes) == 0 {
		st.begin(e, out)
	}
	e.changes = append(e.changes, c)
	st.step(c, out)
	next := consequences{st: st}
	next.carryOut(e, out)
	return nil
}

// commitMore adds a change to an entry, with all that it makes necessary, and applies
// that.
func (st *state) commitMore(e *entry, out *outcome, c decided) (err error) {
	defer st.recoverBroken(&err)
	next := st.consequences(&entry{changes: []decided{c}})
	if len(e.changes) == 0 {
		st.begin(e, out)
	}
	e.changes = append(e.changes, c)
	st.step(c, out)
	next.carryOut(e, out)
	return nil
}

// begin and step bring the state through an entry, for commit and for a replay
// alike. They never search, read a clock or fail.
func (st *state) begin(e *entry, out *outcome) {
	st.seq, st.token, out.st = e.seq, e.token, st
	st.advance(e.time, out)
}

// step applies one change and what it has made due by itself.
func (st *state) step(c decided, out *outcome) {
	out.emit(c)
	c.apply(st, out)
	st.fallDue(st.now, out)
	st.index.DropUnused() // of what the change took away
}

// nextDeadline returns when time will next change something.
func (st *state) nextDeadline() (next time.Time, due bool) {
	next, due = st.quota.NextDeadline()
	if eviction, evicts := st.evictions.first(); evicts && (!due || eviction.at.Before(next)) {
		next, due = eviction.at, true
	}
	if planned, plans := st.plan.NextDeadline(); plans && (!due || planned.Before(next)) {
		next, due = planned, true
	}
	return next, due
}

// advance lets time pass.
func (st *state) advance(to time.Time, out *outcome) {
	st.fallDue(to, out)
	st.now = to
	st.follow(st.plan.Advance(to), out)
	st.index.DropUnused() // of what the passing of time took away
}

// fallDue derives what falls due up to a time, in the order of time. At one instant
// the plan comes first, whose ends free what is charged, so that a burst which ends
// with them has not expired; then bursts, then evictions.
func (st *state) fallDue(to time.Time, out *outcome) {
	for {
		at, due := st.nextDeadline()
		if !due || at.After(to) {
			return
		}
		if at.After(st.now) {
			st.now = at
		}
		if planned, plans := st.plan.NextDeadline(); plans && planned.Equal(at) {
			st.follow(st.plan.Advance(at), out)
		} else if burst, bursts := st.quota.NextDeadline(); bursts && burst.Equal(at) {
			st.expireBursts(out)
		} else {
			st.evict(out)
		}
	}
}

// expireBursts tells of the bursts that are due.
func (st *state) expireBursts(out *outcome) {
	st.keepBursts()
	for _, usage := range st.quota.Advance(st.now) {
		out.emit(&BurstExpired{Usage: usage})
	}
}

// consequences decides, while an entry is committed, what its changes make necessary:
// slots for reported instances, yielding instances asked to leave, slots moved out of
// the way, from where reported instances run or from a node that has become too small
// and that the slot's last instance has left, and places for slots that reservations
// lack. While no reservation lacks any, an entry costs nothing for the last.
//
// A slot that is lacking has found no room anywhere, or no quota for it. So it
// is enough to look on nodes where room comes up, and everywhere for those
// reservations that had no quota before the entry and have it now. An entry
// costs one look at each of its nodes and two at the quota per reservation that
// lacks slots; a search of all nodes where quota came up, or where the
// reservation has rules among instances.
type consequences struct {
	st   *state
	poor map[string]bool // reservations that had no quota for one more slot
	left []string        // reservations to look at yet, the most important first
	on   []string        // nodes for those
	rich map[string]bool // those of them for which all nodes are looked at
}

// consequences begins with which reservations lack slots for want of quota,
// before the entry. What only places an instance brings none.
func (st *state) consequences(e *entry) consequences {
	next := consequences{st: st}
	if !st.plan.Owing() {
		return next
	}
	if len(e.changes) == 1 {
		if _, places := e.changes[0].(*Placed); places {
			return next
		}
	}
	next.poor = make(map[string]bool)
	for _, id := range st.plan.Owed() {
		next.poor[id] = st.canRegain(id, 1) == 0
	}
	return next
}

// carryOut adds all that the changes so far make necessary to the entry and applies
// it.
func (next *consequences) carryOut(e *entry, out *outcome) {
	for c := next.decide(out); c != nil; c = next.decide(out) {
		e.changes = append(e.changes, c)
		next.st.step(c, out)
	}
}

// decide returns what the changes so far make necessary next, and nil when
// nothing is left to do.
func (next *consequences) decide(out *outcome) decided {
	st := next.st
	if attached := st.attachReported(out); attached != nil {
		return attached
	}
	if st.plan.Unsettled() {
		return &PlanChanged{Changes: st.plan.ResolveConflicts(&planNodes{st: st})}
	}
	if overfull := out.overfull; overfull != "" {
		out.overfull = ""
		if moves := st.plan.NodeChanged(&planNodes{st: st}, overfull); len(moves) > 0 {
			return &PlanChanged{Changes: moves}
		}
	}
	if out.vacated != "" {
		if n := st.named(out.vacated); n != nil && (st.index.Overheld(n.row) || st.plan.Closed(n.ID)) {
			out.vacated = ""
			if moves := st.plan.NodeChanged(&planNodes{st: st}, n.ID); len(moves) > 0 {
				return &PlanChanged{Changes: moves}
			}
		}
	}
	if changes := next.regain(out); len(changes) > 0 {
		return &PlanChanged{Changes: changes}
	}
	return nil
}

// regain decides on places for the slots of the next reservation that can have
// any of those that it lacks. It returns nil if none can.
func (next *consequences) regain(out *outcome) []reservation.PlanChange {
	st := next.st
	for st.plan.Owing() {
		if len(next.left) == 0 {
			next.rich = next.enriched()
			if len(out.room)+len(next.rich) == 0 {
				return nil
			}
			next.left, next.on, out.room = st.plan.Owed(), out.room, nil
			continue
		}
		id := next.left[0]
		next.left = next.left[1:]
		on := next.on
		if next.rich[id] {
			on = nil // which is everywhere
		} else if len(on) == 0 {
			continue
		}
		changes, err := st.plan.Repair(&planNodes{st: st}, id, on...)
		must("a reservation that lacks slots can be repaired", err)
		if changes = st.payable(id, changes); len(changes) > 0 {
			return changes
		}
	}
	return nil
}

// enriched returns, once, the reservations that have quota now and either had none
// before the entry or are updated by it.
func (next *consequences) enriched() map[string]bool {
	rich := make(map[string]bool)
	for id, poor := range next.poor {
		if poor && next.st.canRegain(id, 1) > 0 {
			rich[id] = true
			delete(next.poor, id)
		}
	}
	return rich
}

// payable returns those of the changes by which a reservation regains slots for
// which there is quota: all that cost nothing, and of the others the first.
func (st *state) payable(id string, changes []reservation.PlanChange) []reservation.PlanChange {
	if len(changes) == 0 {
		return nil
	}
	r, _ := st.plan.Reservation(id)
	costs := func(c reservation.PlanChange) bool {
		return c.Kind == reservation.Move && r.Slots[c.Slot].Node == ""
	}
	slots := 0
	for _, c := range changes {
		if costs(c) {
			slots++
		}
	}
	slots = st.canRegain(id, slots)
	return slices.DeleteFunc(changes, func(c reservation.PlanChange) bool {
		if !costs(c) {
			return false
		}
		slots--
		return slots < 0
	})
}

// canRegain asks the quota how many of so many slots a reservation may hold
// again.
func (st *state) canRegain(id string, slots int) int {
	r, _ := st.plan.Reservation(id)
	for regained := range slots {
		verdict, err := st.quota.CheckOver(st.now, r.Spec.Namespace, slotsOf(&r, int64(regained)+1))
		if err != nil || !verdict.Allowed() {
			return regained
		}
	}
	return slots
}
