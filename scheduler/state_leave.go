package scheduler

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// An instance that leaves is being stopped and still there. Invariant: the index has
// joined every running instance, as leaving if it is, and as leaving the stale ones
// that leave, which Move has put others in the place of. No others have joined.

// joined reports whether the index counts an instance for anything.
func (a *allocation) joined() bool { return a.state == running || a.state == stale && a.leaving }

// join lets an instance count among those that rules look at, as what it is.
func (st *state) join(a *allocation) {
	switch {
	case a.leaving && a.state != lost:
		st.leaving++
		st.index.JoinLeaving(a.row, a.class)
	case a.state == running:
		st.index.Join(a.row, a.class)
	}
}

// unjoin undoes join.
func (st *state) unjoin(a *allocation) {
	switch {
	case a.leaving && a.state != lost:
		st.leaving--
		st.index.LeaveLeaving(a.row, a.class)
	case a.state == running:
		st.index.Leave(a.row, a.class)
	}
}

// setLeaving says of a running instance, which is owned, whether it
// leaves, which may make room for slots with rules on what stays.
func (st *state) setLeaving(a *allocation, leaving bool, out *outcome) {
	if a.leaving == leaving {
		return
	}
	before := *a
	a.leaving, a.version = leaving, st.seq
	st.join(a) // first, so that what is compiled for its class stays
	st.unjoin(&before)
	out.roomOn(st, st.on(a).ID)
}

// canLeave decides on whether a running instance leaves. It returns no change if
// that is so already.
func (st *state) canLeave(id string, leaving bool) (decided, error) {
	a, err := st.allocation(id)
	switch {
	case err != nil:
		return nil, err
	case a.state == lost:
		return nil, placement.Conflict(placement.KindAllocation, id, "is lost")
	case a.leaving == leaving:
		return nil, nil
	}
	return &LeavingChanged{ID: id, Generation: a.generation, Leaving: leaving}, nil
}

func (c *LeavingChanged) check(st *state) error {
	a, err := st.allocation(c.ID)
	if err == nil && (a.generation != c.Generation || a.state != running || a.leaving == c.Leaving) {
		err = fmt.Errorf("generation %d of %q cannot change whether it leaves", c.Generation, c.ID)
	}
	return err
}

func (c *LeavingChanged) apply(st *state, out *outcome) {
	a := st.own(st.allocations.At(c.ID))
	st.setLeaving(a, c.Leaving, out)
}
