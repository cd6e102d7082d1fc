package scheduler

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/quota"
)

// outcome is what applying an entry comes to: its events, and what the loop
// that commits it decides on next. A replay has no use for it.
type outcome struct {
	tell     func(Change)  // called for every change in order, derived ones at their place; nil is nobody
	room     []string      // nodes on which room may have come up for slots that reservations lack
	overfull string        // node on which room may have gone to reported instances
	vacated  string        // node on which an instance has left a slot
	over     []quota.Usage // what a change of a spec has left over its limits
}

func (out *outcome) emit(c Change) {
	if out.tell != nil {
		out.tell(c)
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
	for c := next.decide(out); c != nil; c = next.decide(out) {
		e.changes = append(e.changes, c)
		st.step(c, out)
	}
	return nil
}

// begin and step bring the state through an entry, for commit and for a replay
// alike. They never search, read a clock or fail.
func (st *state) begin(e *entry, out *outcome) {
	st.seq, st.token = e.seq, e.token
	st.advance(e.time, out)
}

// step applies one change and what it has made due by itself.
func (st *state) step(c decided, out *outcome) {
	out.emit(c)
	c.apply(st, out)
	st.advance(st.now, out)
}

func (c *QuotaCreated) check(st *state) error { return st.quota.CheckCreate(c.Spec) }

func (c *QuotaCreated) apply(st *state, out *outcome) {
	over, err := st.editSpec(c.Spec.Namespace, c.Spec).Create(st.now, c.Spec.Clone())
	must("a quota that was checked can be created", err)
	st.declared(c.Spec.Namespace, over, out)
}

func (c *QuotaUpdated) check(st *state) error { return st.quota.CheckUpdate(c.Spec) }

func (c *QuotaUpdated) apply(st *state, out *outcome) {
	over, err := st.editSpec(c.Spec.Namespace, c.Spec).Update(st.now, c.Spec.Clone())
	must("a quota that was checked can be updated", err)
	st.declared(c.Spec.Namespace, over, out)
}

func (c *QuotaDeleted) check(st *state) error { return st.quota.CheckDelete(c.Namespace) }

func (c *QuotaDeleted) apply(st *state, _ *outcome) {
	must("a quota that was checked can be deleted", st.editSpec(c.Namespace, quota.Spec{}).Delete(c.Namespace))
	delete(st.quotaVersions, c.Namespace)
}

// declared notes the change of a quota, which was tried before it was
// recorded.
func (st *state) declared(namespace string, over []quota.Usage, out *outcome) {
	st.quotaVersions[namespace], out.over = st.seq, over
	if len(over) > 0 {
		out.emit(&QuotaOver{Usage: over})
	}
}

// nextDeadline returns when time will next change something.
func (st *state) nextDeadline() (time.Time, bool) {
	burst, bursts := st.quota.NextDeadline()
	planned, plans := st.plan.NextDeadline()
	next, due := burst, bursts
	if eviction, evicts := st.evictions.First(); evicts && (!due || eviction.at.Before(next)) {
		next, due = eviction.at, true
	}
	if plans && (!due || planned.Before(next)) {
		next, due = planned, true
	}
	return next, due
}

// advance lets time pass and derives what falls due on the way, in the order
// of time. At one instant the plan comes first, whose ends free what is charged,
// so that a burst which ends with them has not expired; then bursts, then
// evictions.
func (st *state) advance(to time.Time, out *outcome) {
	for {
		at, due := st.nextDeadline()
		if !due || at.After(to) {
			break
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
	st.now = to
	st.follow(st.plan.Advance(to), out)
	st.index.DropUnused() // of what the latest change, or the passing of time, took away
}

// expireBursts tells of the bursts that are due.
func (st *state) expireBursts(out *outcome) {
	for _, usage := range st.quota.Advance(st.now) {
		out.emit(&BurstExpired{Usage: usage})
	}
}
