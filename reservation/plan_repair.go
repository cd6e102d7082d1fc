package reservation

import "slices"

// Owing reports whether any reservation lacks slots. O(1).
func (p *Plan) Owing() bool { return len(p.owing) > 0 }

// Owed returns the IDs of the reservations that lack slots, lost or waiting,
// the most important first: the order in which Repair is fair. O(r log r) in
// these.
func (p *Plan) Owed() []string {
	owed := make([]*reservationEntry, 0, len(p.owing))
	for _, r := range p.owing {
		owed = append(owed, r)
	}
	slices.SortFunc(owed, mostImportant)
	ids := make([]string, len(owed))
	for i, r := range owed {
		ids[i] = r.Spec.ID
	}
	return ids
}

// Repair decides on places for the slots that a reservation lacks, as many as
// find room: each on the node that it was lost from if that has it again, else
// on one of the nodes on which room has come up, or if none is given on any. No
// changes mean that there is no room. A slot that waits stays, once nobody is in
// its way any more. Slots are not sought by anything else, because holding a
// lost one again has to be paid for again: each Move of one holds one more.
//
// For every slot that is lacking it looks at the nodes given; or at all nodes,
// if none is given or if the reservation has rules among its slots or instances.
// A slot without such rules that finds no room on any node ends the search.
//
// Errors: NotFoundError, StateError.
func (p *Plan) Repair(nodes Nodes, id string, on ...string) ([]PlanChange, error) {
	r, err := p.live(id, "repair")
	if err == nil && !r.holding() {
		err = &StateError{id, r.Phase, "repair"}
	}
	if err != nil {
		return nil, err
	}
	t := p.try(nodes)
	defer t.undo(0)
	want := r.want(nil)
	for i := range r.Slots {
		ref := slotRef{r, i}
		switch {
		case r.Slots[i].Node != "" && len(r.Slots[i].Awaits) == 0 || r.Slots[i].givenBack():
			continue
		case r.Slots[i].Node != "":
			t.evict(ref)
		}
		t.resettle(ref, nil, on)
		if t.staged[ref] == "" && on == nil && !want.mindsTaken() {
			on = []string{} // If this one finds no room anywhere, nor do the others.
		}
	}
	return t.changes, nil
}
