package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// canAttach decides on a slot of a reservation for an instance that runs beside all
// reservations. It returns no change if it stands there already.
func (st *state) canAttach(now time.Time, a *allocation, id string) (decided, error) {
	switch {
	case a.state != running:
		return nil, placement.Conflict(placement.KindAllocation, a.id, "is lost, and can be placed again")
	case st.standsIn(a.id, id):
		return nil, nil
	}
	changes, err := st.plan.Attach(&planNodes{st: st}, id, st.stayOf(a))
	if err != nil {
		return nil, err
	}
	if err := st.affordsAttached(now, a, changes); err != nil {
		return nil, err
	}
	return &Attached{ID: a.id, Generation: a.generation, Changes: changes}, nil
}

// affordsAttached asks the quota of a reservation for what it owes besides once an
// instance stands in it: for a slot that was lost, and for the instance if that stays
// for longer than the reservation. What the instance pays no more makes room for it.
func (st *state) affordsAttached(now time.Time, a *allocation, changes []reservation.PlanChange) error {
	fill := &changes[len(changes)-1]
	r, _ := st.plan.Reservation(fill.ID)
	exchange := quota.Exchange{
		Namespace: r.Spec.Namespace, To: laterBillsFor(&r, fill.Claim),
		Freed: func(yield func(string, quota.Timed) bool) {
			yield(a.namespace(), quota.Timed{Amounts: fill.Claim.Held, Until: a.charge().Until})
		},
	}
	if r.Slots[fill.Slot].Node == "" {
		exchange.To = append(exchange.To, slotsOf(&r, 1))
	}
	if len(exchange.To) == 0 {
		return nil
	}
	verdict, err := st.quota.CheckExchange(now, exchange)
	return st.exceeded(exchange.Namespace, verdict, err)
}

// attachReported decides on the next of the instances that a report has brought in and
// that says in which reservation it stands, as far as it has a slot for it.
func (st *state) attachReported(out *outcome) decided {
	for len(out.reported) > 0 {
		r := out.reported[0]
		out.reported = out.reported[1:]
		if attached, err := st.canAttach(st.now, st.allocations.At(r.Request.ID), r.Reservation); err == nil && attached != nil {
			return attached
		}
	}
	return nil
}

func (c *Attached) check(st *state) error {
	a := st.generation(c.ID, c.Generation)
	switch {
	case a == nil:
		return placement.NotFound(placement.KindAllocation, c.ID)
	case a.state != running || a.covered() != nil || len(c.Changes) == 0:
		return fmt.Errorf("generation %d of %q cannot be attached", c.Generation, c.ID)
	}
	changes := c.Changes
	if _, stays := st.plan.Stay(c.ID); stays {
		if changes[0].Kind != reservation.Depart || changes[0].Instance != c.ID {
			return fmt.Errorf("instance %q stands elsewhere already", c.ID)
		}
		changes = changes[1:]
	}
	return st.checkAttached(a, changes)
}

// checkAttached refuses changes that do not put an instance into a slot on its node.
func (st *state) checkAttached(a *allocation, changes []reservation.PlanChange) error {
	if len(changes) == 0 || len(changes) > 2 {
		return fmt.Errorf("%d changes to attach %q", len(changes), a.id)
	}
	fill, comes := &changes[len(changes)-1], changes[:len(changes)-1]
	r, _ := st.plan.Reservation(fill.ID)
	claim, on := fill.Claim, ""
	if fill.Slot >= 0 && fill.Slot < len(r.Slots) && r.Phase == reservation.Active {
		on = r.Slots[fill.Slot].Node
	}
	for _, change := range comes {
		switch {
		case change.ID != fill.ID || change.Slot != fill.Slot || change.Kind == reservation.Wait && len(change.Because) > 0:
			return fmt.Errorf("another slot than that of %q", a.id)
		case change.Kind == reservation.Move:
			on = change.Node
		case change.Kind != reservation.Wait:
			return fmt.Errorf("a change %q to attach %q", change.Kind, a.id)
		}
	}
	if fill.Kind != reservation.Fill || claim == nil || claim.ID != a.id || claim.Namespace != a.namespace() ||
		on != st.on(a).ID || !slices.Equal(claim.Devices, deviceList(a.taken().Devices)) {
		return fmt.Errorf("instance %q is not on node %q with its slot", a.id, on)
	}
	return errors.Join(st.checkPlan(comes, nil), checkParts(claim, a.resources))
}

func (c *Attached) apply(st *state, out *outcome) {
	a := st.own(st.generation(c.ID, c.Generation))
	fill := &c.Changes[len(c.Changes)-1]
	a.version = st.seq
	st.rechargeAs(a, func() { a.cover(&paidByReservation{fill.Claim.Held.Clone(), fill.ID}) })
	st.applyPlan(c.Changes, out)
	out.roomOn(st, st.on(a).ID)
}
