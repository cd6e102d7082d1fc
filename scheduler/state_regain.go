package scheduler

import (
	"slices"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// consequences decides, while an entry is committed, what its changes make
// necessary: yielding instances asked to leave, slots moved out of the way, from
// where reported instances run or from a node that has become too small and
// that the slot's last instance has left, and places for slots that reservations
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
	poor map[string]bool // reservations that had no quota for one more slot, or are updated
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
		next.poor[id] = st.canRegain(id, 1) == 0 || updates(e, id)
	}
	return next
}

// updates reports whether an entry gives a reservation new parameters, under which
// there may be room where there was none.
func updates(e *entry, id string) bool {
	for _, c := range e.changes {
		plan, ok := c.(*PlanChanged)
		if ok && slices.ContainsFunc(plan.Changes, func(p reservation.PlanChange) bool {
			return p.Reservation != nil && p.Reservation.Spec.ID == id
		}) {
			return true
		}
	}
	return false
}

// decide returns what the changes so far make necessary next, and nil when
// nothing is left to do.
func (next *consequences) decide(out *outcome) decided {
	st := next.st
	if st.plan.Unsettled() {
		return &PlanChanged{Changes: st.plan.ResolveConflicts(&planNodes{st: st})}
	}
	if overfull := out.overfull; overfull != "" {
		out.overfull = ""
		if moves := st.plan.NodeChanged(&planNodes{st: st}, overfull); len(moves) > 0 {
			return &PlanChanged{Changes: moves}
		}
	}
	if n := st.nodes[out.vacated]; n != nil && st.index.Overheld(n.slot) {
		out.vacated = ""
		if moves := st.plan.NodeChanged(&planNodes{st: st}, n.ID); len(moves) > 0 {
			return &PlanChanged{Changes: moves}
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
	var more placement.Amounts
	for regained := range slots {
		more.Instances++
		sum, err := more.Resources.Add(r.Params.Shape)
		must("the sum of all slots can be counted", err)
		more.Resources = sum
		verdict, err := st.quota.Check(st.now, r.Spec.Namespace, more, quota.SoftOnly)
		if err != nil || !verdict.Allowed() {
			return regained
		}
	}
	return slots
}
