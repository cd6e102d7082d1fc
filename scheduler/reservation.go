package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// Reserve holds capacity on concrete nodes over a window of time: all slots of
// the spec or none. Slots are chosen like instances by the spec's preferences;
// where there is no room, reservations of lower priority give way. The
// namespace is charged for all of it over that window, within its soft limits at
// every instant, and within quota.Reservations. A refusal by quota names the
// instant and the earliest start. It is idempotent: the same spec under the same ID returns the
// existing reservation, whatever has become of its slots since. Slots that it
// loses are owed, and looked for again, until it ends.
//
// A slot costs what a placement costs while the best node has room for it from now
// on without end. Otherwise all slots together cost a look at every node, O(log h) in its
// holds; with rules among the slots, or where others are displaced, each costs
// that. A refusal costs a few looks at every node more. One that begins within its
// Notice looks at the instances that yield where its slots are; maintenance at each
// slot on its node, and at the nodes for those that move.
//
// Errors: those of reservation.Plan.Reserve and quota.ExceededError, joined if
// there is neither room nor quota. A spec under an ID that has another is
// ErrConflict.
func (s *calls) Reserve(ctx context.Context, spec reservation.Spec) (reservation.Reservation, error) {
	id := spec.ID
	return s.changePlan(ctx, &id, func(st *state) ([]reservation.PlanChange, error) {
		changes, err := st.plan.Reserve(&planNodes{st: st}, spec)
		if len(changes) > 0 {
			id = reservation.Reserved(changes)
		}
		if refused, ok := errors.AsType[*reservation.RefusedError](err); ok {
			err = both(err, st.affordsAll(s.now, &spec, refused.Window))
		}
		return st.affordable(s.now, changes, err)
	})
}

// PlaceFromReservation places an instance in a slot of an active reservation. In the
// dimensions of the slot's shape it takes from the slot, and never more than is left
// there; other dimensions come from the node. The reservation's namespace pays for what
// the slot covers, the instance's namespace for the rest; of an instance whose Duration
// outlasts the reservation also for the time after it, for which its quota may refuse
// the instance. It is idempotent: the same request under the same ID returns the
// existing decision.
//
// It takes O(s log s) in the slots of the reservation and a look at each of its
// claims, whatever else there is; the commit costs what that of Place does. A slot
// that moves costs a look at the nodes, as in Reserve. Without an ID it takes that for
// each active reservation of which the namespace is an owner.
//
// Without an ID it goes to the active reservation of which its namespace is an owner
// and that ends soonest; if that has no room at once to the next, and at last to any
// node, as Place does. So it never fails where Place would not. Only where that fails
// too, one that can have room once others have left asks them to.
//
// An instance that runs already with the same request, but beside all reservations,
// stays where it is and stands in a slot of that ID from then on, with its devices,
// paid for as if it had claimed the slot when it was placed. It is for reservations
// that are made again after a journal was lost, and those that have lost a slot with
// its node. If no slot with enough left is on its node, with the GPUs that it uses, one
// without instances comes to it, if the node has room for the rest of that slot;
// several instances of one slot need room for the whole slot beside those that do not
// stand in it yet. Nobody is asked to leave for it. Otherwise it goes on as it is, and
// the error is that of reservation.Plan.Attach, or of the reservation's quota.
//
// Where instances that yield are in the way in a slot that is lent, the slot moves to a
// node that has room for it. If none has, they are asked to leave and the answer is
// reservation.ErrWaiting: the slot is kept, and the same request has it once they have
// been released. Unclaim gives that up.
//
// Errors: those of Place and of reservation.Plan.Claim; the quota.ExceededError may
// be about either namespace.
func (s *calls) PlaceFromReservation(ctx context.Context, id string, req placement.Request) (Decision, error) {
	if err := req.Validate(); err != nil {
		return Decision{}, err
	}
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	var d Decision
	s.scratch.request = req
	began := s.decided.begin()
	to, err := s.state.findReserved(s.now, id, &s.scratch.request)
	if err == nil && len(to.asks) > 0 { // The slot moves, and has the instance then.
		s.commitLocked(&PlanChanged{Changes: to.asks})
		to, err = s.state.findReserved(s.now, id, &s.scratch.request)
	}
	switch {
	case err != nil && to.existing != nil: // It goes on running where it is.
	case err != nil:
		s.refused.note(s.now, &s.scratch.request, err)
		if len(to.asks) > 0 {
			s.commitLocked(&PlanChanged{Changes: to.asks})
		}
	case to.existing != nil:
		if to.attached != nil {
			s.commitLocked(to.attached)
		}
		d = s.state.decision(s.state.allocations.At(req.ID))
	default:
		s.placeLocked(&s.scratch.request, &to)
		d = s.decisionLocked(&s.scratch.request, &to)
	}
	s.decided.end(began, to.existing != nil, err)
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}

// Unclaim takes back a placement from a reservation that came to nothing: the
// slot has that part again, or is given back if it is to be claimed once, and
// the ID can be placed again. Or it gives up one that waits for others to leave.
// Release says that an instance which did run is gone. It costs what Release does.
func (s *calls) Unclaim(ctx context.Context, id string) error {
	return s.change(ctx, func(st *state) (decided, error) {
		a, err := st.allocation(id)
		if st.plan.KeptBy(id) != "" {
			changes, err := st.plan.Unclaim(id)
			return &PlanChanged{Changes: changes}, err
		}
		if err != nil {
			return nil, err
		}
		if a.covered() == nil {
			return nil, placement.Conflict(placement.KindAllocation, id, "stands in no reservation")
		}
		return &Released{ID: id, Generation: a.generation, Unclaimed: true}, nil
	})
}

// Extend moves the end of a reservation. An end that has passed ends it now. A
// failed update leaves it exactly as it was.
//
// Errors and cost: those of UpdateReservation.
func (s *calls) Extend(ctx context.Context, id string, end time.Time) (reservation.Reservation, error) {
	if end.IsZero() { // which keeps the end, for UpdateReservation
		return reservation.Reservation{}, &placement.InvalidError{Field: "end", Value: end.String(), Reason: "missing"}
	}
	return s.UpdateReservation(ctx, id, 0, reservation.Params{End: end})
}

// ResizeReservation changes the shape and the number of a reservation's slots;
// zero keeps the present value. A failed update leaves it exactly as it was.
//
// Errors and cost: those of UpdateReservation.
func (s *calls) ResizeReservation(ctx context.Context, id string, shape placement.Resources, count int) (reservation.Reservation, error) {
	return s.UpdateReservation(ctx, id, 0, reservation.Params{Shape: shape, Count: count})
}

// UpdateReservation gives a reservation new parameters if it has still that version
// (0: any); zero fields keep what there is. A failed update leaves it exactly
// as it was. It costs what reservation.Plan.Update does.
//
// Errors: those of reservation.Plan.Update and quota.ExceededError.
func (s *calls) UpdateReservation(ctx context.Context, id string, version uint64, params reservation.Params) (reservation.Reservation, error) {
	return s.changePlan(ctx, &id, func(st *state) ([]reservation.PlanChange, error) {
		changes, err := st.plan.Update(&planNodes{st: st}, id, version, params)
		return st.affordable(s.now, changes, err)
	})
}

// ReleaseReservation ends a reservation now. force is required while instances
// use it; they are then handled according to its AtEnd. It takes O(c log c) in
// its claims, and O(log h) for each slot in the holds of its node; other
// reservations that lack slots are tried on its nodes.
//
// Errors: those of reservation.Plan.Release.
func (s *calls) ReleaseReservation(ctx context.Context, id string, force bool) error {
	_, err := s.changePlan(ctx, &id, func(st *state) ([]reservation.PlanChange, error) {
		return st.plan.Release(id, force)
	})
	return err
}

// changePlan decides on changes of the plan, applies them and returns the
// reservation of an ID, which deciding may set, as it is then.
func (s *calls) changePlan(ctx context.Context, id *string, decide func(*state) ([]reservation.PlanChange, error)) (reservation.Reservation, error) {
	if err := s.enter(ctx); err != nil {
		return reservation.Reservation{}, err
	}
	changes, err := decide(s.state)
	if err == nil && len(changes) > 0 {
		s.commitLocked(&PlanChanged{Changes: changes})
	}
	r, ok := s.state.plan.Reservation(*id)
	if !ok {
		r = reservation.Reservation{Spec: reservation.Spec{ID: *id}, Phase: reservation.Ended}
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return reservation.Reservation{}, err
	}
	return r, nil
}

// Reservation returns a reservation. If there is none of that ID any more, it
// returns ErrNotFound. It takes time in proportion to its slots and claims.
func (s *view) Reservation(ctx context.Context, id string) (r reservation.Reservation, err error) {
	err = s.read(ctx, func(st *state) error {
		var ok bool
		if r, ok = st.plan.Reservation(id); !ok {
			return placement.NotFound(placement.KindReservation, id)
		}
		return nil
	})
	return r, err
}

// Reservations returns all reservations by ID, as of one instant. Decisions go
// on meanwhile. It takes time and memory in proportion to the reservations with
// their slots and claims.
func (s *view) Reservations(ctx context.Context) ([]reservation.Reservation, error) {
	c, err := s.captured(ctx, parts{plan: true})
	if err != nil {
		return nil, err
	}
	return c.listed(), nil
}
