package reservation

import "slices"

// Degraded returns the IDs of the reservations that lack slots, the most
// important first: the order in which Repair is fair.
func (p *Plan) Degraded() []string {
	var degraded []*booked
	for _, r := range p.reservations {
		if r.State() == Degraded {
			degraded = append(degraded, r)
		}
	}
	slices.SortFunc(degraded, func(a, b *booked) int { return givesWayBefore(&b.Reservation, &a.Reservation) })
	ids := make([]string, len(degraded))
	for i, r := range degraded {
		ids[i] = r.Spec.ID
	}
	return ids
}

// Repair decides on new places for the lost slots of a degraded reservation,
// as many as find room. No changes mean that none does. They are not sought
// by anything else, because holding them again has to be paid for again: each
// change holds one more slot.
//
// Errors: NotFoundError, StateError.
func (p *Plan) Repair(nodes Nodes, id string) ([]Change, error) {
	r, err := p.live(id, "repair")
	if err == nil && !r.holding() {
		err = &StateError{id, r.Phase, "repair"}
	}
	if err != nil {
		return nil, err
	}
	t := p.try(nodes)
	defer t.undo(0)
	for i := range r.Slots {
		if r.Slots[i].Node == "" {
			t.resettle(slotRef{r, i}, nil)
		}
	}
	return t.changes, nil
}
