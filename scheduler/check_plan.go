package scheduler

import (
	"fmt"
	"slices"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// checkPlan refuses changes of the plan that name what is not there. A
// reservation put by one change may be named by the next. updated is a node
// as it will be after the changes, nil if none changes.
func (st *state) checkPlan(changes []reservation.Change, updated *placement.Node) error {
	put := make(map[string]int) // slots by ID
	slots := func(id string) int {
		if n, ok := put[id]; ok {
			return n
		}
		r, _ := st.plan.Reservation(id)
		return len(r.Slots)
	}
	for i := range changes {
		c := &changes[i]
		if err := st.checkPlanChange(c, slots, updated); err != nil {
			return err
		}
		if c.Reservation != nil {
			put[c.Reservation.Spec.ID] = len(c.Reservation.Slots)
		}
	}
	return nil
}

func (st *state) checkPlanChange(c *reservation.Change, slots func(id string) int, updated *placement.Node) error {
	known := func() error {
		if _, ok := st.plan.Reservation(c.ID); !ok {
			return &NotFoundError{KindReservation, c.ID}
		}
		return nil
	}
	switch c.Kind {
	case reservation.Put:
		if c.Reservation == nil {
			return fmt.Errorf("no reservation to put")
		}
		return st.checkReservation(c.Reservation)
	case reservation.Move:
		if c.Slot < 0 || c.Slot >= slots(c.ID) {
			return fmt.Errorf("reservation %q has no slot %d", c.ID, c.Slot)
		}
		r, _ := st.plan.Reservation(c.ID)
		return st.checkSlot(&reservation.Slot{Node: c.Node, Devices: c.Devices}, r.Terms.Shape, updated)
	case reservation.Withdraw, reservation.Settled:
		return known()
	case reservation.Tell:
		if _, ok := st.plan.Stay(c.Instance); !ok {
			return &NotFoundError{KindAllocation, c.Instance}
		}
		return known()
	default:
		return fmt.Errorf("unknown change of the plan %q", c.Kind)
	}
}

// checkReservation refuses a reservation that the plan could not count.
func (st *state) checkReservation(r *reservation.Reservation) error {
	if err := r.Terms.Shape.Validate(); err != nil {
		return err
	}
	if r.Spec.ID == "" || r.Terms.Shape.IsZero() || len(r.Slots) > reservation.MaxCount {
		return fmt.Errorf("reservation %q of %d times %s", r.Spec.ID, len(r.Slots), r.Terms.Shape)
	}
	for i := range r.Slots {
		slot := &r.Slots[i]
		if err := st.checkSlot(slot, r.Terms.Shape, nil); err != nil {
			return err
		}
		for _, claim := range slot.Claims {
			if a := st.allocations[claim.ID]; a == nil || a.node.ID != slot.Node {
				return fmt.Errorf("instance %q is not on node %q with its slot", claim.ID, slot.Node)
			}
		}
	}
	return nil
}

func (st *state) checkSlot(slot *reservation.Slot, shape placement.Resources, updated *placement.Node) error {
	if slot.Node == "" {
		return nil
	}
	n, err := st.node(slot.Node)
	if err != nil {
		return err
	}
	if updated == nil || updated.ID != n.ID {
		updated = n.Node
	}
	return checkDevices(updated, shape.GPU, slot.Devices)
}

// checkClaim refuses a claim of a slot that is not there or elsewhere.
func (st *state) checkClaim(c *Placed) error {
	r, ok := st.plan.Reservation(c.Claim.ID)
	claim := c.Claim.Claim
	switch {
	case !ok:
		return &NotFoundError{KindReservation, c.Claim.ID}
	case c.Claim.Kind != reservation.Fill || claim == nil || claim.ID != c.Request.ID ||
		claim.Namespace != c.Request.Namespace || !slices.Equal(packed(claim.Devices), c.Devices):
		return fmt.Errorf("claim of another instance than %q", c.Request.ID)
	case c.Claim.Slot < 0 || c.Claim.Slot >= len(r.Slots) || r.Slots[c.Claim.Slot].Node != c.NodeID:
		return fmt.Errorf("reservation %q has no slot %d on node %q", c.Claim.ID, c.Claim.Slot, c.NodeID)
	}
	if whole, err := claim.Held.Resources.Add(claim.Excess.Resources); err != nil || !whole.Equal(c.Request.Resources) {
		return fmt.Errorf("claim of other amounts than %q asks for", c.Request.ID)
	}
	return claim.Held.Resources.Validate()
}
