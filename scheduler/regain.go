package scheduler

import (
	"slices"

	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// regains is what an entry needs to know in order to find places for slots that
// reservations lack. It is empty between entries, and while no reservation
// lacks any nothing is noted: then an entry costs nothing for it.
//
// A slot that is lacking has found no room anywhere, or no quota for it. So it
// is enough to look on nodes where room comes up, and everywhere for those
// reservations that had no quota before the entry and have it now. An entry
// costs one look at each of its nodes and two at the quota per reservation that
// lacks slots; a search of all nodes where quota came up, or where the
// reservation has rules among instances.
type regains struct {
	nodes []string        // on which room may have come up
	poor  map[string]bool // reservations that had no quota for one more slot
	left  []string        // reservations to look at yet, the most important first
	on    []string        // nodes for those
	rich  map[string]bool // those of them for which all nodes are looked at
}

// roomOn notes that room may have come up on a node.
func (st *state) roomOn(node string) {
	if st.plan.Owing() && !slices.Contains(st.regains.nodes, node) {
		st.regains.nodes = append(st.regains.nodes, node)
	}
}

// notePoor notes before an entry which reservations lack slots for want of
// quota. What only places an instance brings none.
func (st *state) notePoor(e *entry) {
	if !st.plan.Owing() {
		return
	}
	if len(e.changes) == 1 {
		if _, places := e.changes[0].(*Placed); places {
			return
		}
	}
	st.regains.poor = make(map[string]bool)
	for _, id := range st.plan.Owed() {
		st.regains.poor[id] = st.canRegain(id, 1) == 0
	}
}

// regain decides on places for the slots of the next reservation that can have
// any of those that it lacks. It returns nil if none can.
func (st *state) regain() []reservation.PlanChange {
	g := &st.regains
	for st.plan.Owing() {
		if len(g.left) == 0 {
			g.rich = st.enriched()
			if len(g.nodes)+len(g.rich) == 0 {
				return nil
			}
			g.left, g.on, g.nodes = st.plan.Owed(), g.nodes, nil
			continue
		}
		id := g.left[0]
		g.left = g.left[1:]
		on := g.on
		if g.rich[id] {
			on = nil // which is everywhere
		} else if len(on) == 0 {
			continue
		}
		// Repair fails for no reservation that lacks slots.
		changes, _ := st.decide(func(g *planNodes) ([]reservation.PlanChange, error) { return st.plan.Repair(g, id, on...) })
		if changes = st.payable(id, changes); len(changes) > 0 {
			return changes
		}
	}
	return nil
}

// enriched returns, once, the reservations that had no quota before the entry
// and have it now.
func (st *state) enriched() map[string]bool {
	rich := make(map[string]bool)
	for id, poor := range st.regains.poor {
		if poor && st.canRegain(id, 1) > 0 {
			rich[id] = true
			delete(st.regains.poor, id)
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
	var more quota.Amounts
	for regained := range slots {
		more.Instances++
		// The sum of all slots was checked when the terms were.
		more.Resources, _ = more.Resources.Add(r.Terms.Shape)
		verdict, err := st.quota.Check(st.now, r.Spec.Namespace, more, quota.SoftOnly)
		if err != nil || !verdict.Allowed() {
			return regained
		}
	}
	return slots
}
