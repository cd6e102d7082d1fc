package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
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

// One generation of an instance gives way to another: to that which Move has placed,
// or to the one that KeepGeneration keeps. What it charges passes on in one step, so
// that usage has neither a gap, in which a burst would end, nor both.

// decideMove decides on a move: see findMove.
func (st *state) decideMove(now time.Time, id, nodeID string) (step, error) {
	a, err := st.allocation(id)
	if err != nil {
		return step{}, err
	}
	req := a.request()
	to, err := st.findMove(now, a, nodeID)
	if err != nil || to.existing != nil {
		return step{request: &req, to: to}, err
	}
	moved := st.placed(&req, &to)
	moved.Move = true
	return step{&moved, &req, to}, nil
}

// findMove decides where a running instance moves: to the node of that ID, or if it is
// empty to the best one. Its own instance is left out of account, as if it had gone.
func (st *state) findMove(now time.Time, a *allocation, nodeID string) (candidate, error) {
	var on *node
	if nodeID != "" {
		var err error
		if on, err = st.node(nodeID); err != nil {
			return candidate{}, err
		}
	}
	switch {
	case a.state == lost:
		return candidate{}, placement.Conflict(placement.KindAllocation, a.id, "is lost, and can be placed again")
	case a.covered() != nil:
		return candidate{}, placement.Conflict(placement.KindAllocation, a.id, "stands in reservation "+a.covered().reservation)
	case on != nil && on.row == a.row && a.leaving:
		return candidate{}, placement.Conflict(placement.KindAllocation, a.id, "is leaving node "+nodeID)
	case on != nil && on.row == a.row:
		return candidate{existing: a}, nil
	}
	req := a.request()
	if err := checkWindow(now, &req); err != nil {
		return candidate{}, err
	}
	q := st.queryOf(&req, a.class)
	if on == nil && st.on(a).state() == NodeReady || a.countsItself() {
		q.Own = &index.Own{Row: a.row, Absent: a.absent()}
	}
	to, err := st.choose(now, &req, &q, on)
	if exceeded := st.admitsSuccessor(now, a, quota.Timed{
		Amounts: placement.OneInstance(req.Resources), Until: leaving(now, req.Duration),
	}); exceeded != nil || err != nil {
		return candidate{}, both(err, exceeded)
	}
	if to.Row == a.row {
		return candidate{existing: a}, nil
	}
	st.complete(&q, &to, st.nextGeneration(a, a.id))
	return to, nil
}

// countsItself reports whether rules of an instance may count it on other nodes than
// its own.
func (a *allocation) countsItself() bool {
	rules := &a.class.Request().Preferences
	return len(rules.Affinity)+len(rules.Spread) > 0
}

// admitsSuccessor asks the quota for what another generation charges in place of one
// that is running.
func (st *state) admitsSuccessor(now time.Time, a *allocation, to quota.Timed) error {
	namespace := a.namespace()
	verdict, err := st.quota.CheckExchange(now, quota.Exchange{
		Namespace: namespace, From: []quota.Timed{a.charge()}, To: []quota.Timed{to},
	})
	return st.exceeded(namespace, verdict, err)
}

// takeOver makes a generation that is about to be on the books of a node the current
// one of its ID, charges it, and returns what its namespace uses too much of then. The
// old one, nil for none, leaves if it is running.
func (st *state) takeOver(a, old *allocation, out *outcome) (over []quota.Usage) {
	switch {
	case old == nil:
		over = st.charge(a)
	case old.state == lost:
		over = st.charge(a)
		old = st.own(old)
		old.state, old.leaving, old.version = stale, false, st.seq
		st.keepStale(old)
	default:
		over = st.giveWay(old, a, out)
	}
	st.allocations.Set(a.id, a)
	return over
}

// giveWay makes a running instance leave for another generation, which is charged in
// its place.
func (st *state) giveWay(old, to *allocation, out *outcome) []quota.Usage {
	old = st.own(old)
	over := st.chargeInPlace(old, to)
	st.leave(old, out)
	st.setLeaving(old, true, out)
	st.cancelEviction(old)
	old.state, old.version = stale, st.seq
	old.cover(nil)
	st.keepStale(old)
	out.roomOn(st, st.on(old).ID)
	return over
}

// chargeInPlace charges an instance in place of another, which is charged no more.
func (st *state) chargeInPlace(old, to *allocation) []quota.Usage {
	ns := old.namespace()
	if ns != to.namespace() {
		st.refund(old)
		return st.charge(to)
	}
	over, err := st.editQuota(ns).ReplaceOver(st.now, ns, old.charge(), to.charge())
	must("what runs can be charged in place of what did", err)
	return over
}

// keepStale and dropStale enter a generation among those that were replaced, and take
// it out.
func (st *state) keepStale(a *allocation) {
	st.stale[a.id] = append(st.stale[a.id], a)
	slices.SortFunc(st.stale[a.id], compareAllocations)
	st.replaced++
}

func (st *state) dropStale(a *allocation) {
	st.replaced--
	rest := slices.DeleteFunc(st.stale[a.id], func(other *allocation) bool { return other == a })
	if st.stale[a.id] = rest; len(rest) == 0 {
		delete(st.stale, a.id)
	}
}

// canKeep decides on whether a generation that was replaced is the one to go on. It
// returns no change if it does.
func (st *state) canKeep(now time.Time, id string, generation uint64) (decided, error) {
	a, current := st.generation(id, generation), st.allocations.At(id)
	switch {
	case a == nil || current == nil:
		return nil, placement.NotFound(placement.KindAllocation, id)
	case st.on(a).lost:
		return nil, placement.Conflict(placement.KindAllocation, id, fmt.Sprintf("has generation %d on a node that is lost", generation))
	case a == current:
		return nil, nil
	case current.state == running && current.namespace() == a.namespace():
		if err := st.admitsSuccessor(now, current, a.charge()); err != nil {
			return nil, err
		}
	default:
		verdict, err := st.quota.CheckOver(now, a.namespace(), a.charge())
		if err := st.exceeded(a.namespace(), verdict, err); err != nil {
			return nil, err
		}
	}
	return &GenerationKept{ID: id, Generation: generation}, nil
}

func (c *GenerationKept) check(st *state) error {
	a := st.generation(c.ID, c.Generation)
	if a == nil || a.state != stale || st.on(a).lost || st.allocations.At(c.ID) == nil {
		return fmt.Errorf("generation %d of %q cannot be kept", c.Generation, c.ID)
	}
	return nil
}

func (c *GenerationKept) apply(st *state, out *outcome) {
	a := st.own(st.generation(c.ID, c.Generation))
	st.dropStale(a)
	over := make(overLimit)
	over.note(st.takeOver(a, st.allocations.At(a.id), out))
	before := *a
	a.state, a.leaving, a.version = running, false, st.seq
	st.join(a)
	st.unjoin(&before)
	st.turnUp(a, out)
	st.timeEviction(a)
	st.tellOver(over, out)
}
