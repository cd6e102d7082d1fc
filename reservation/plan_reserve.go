package reservation

import (
	"errors"
	"slices"
)

// Reserve decides on a new reservation: all of its slots or none. Slots go to
// the first nodes of Nodes.For that have room over the whole window; where
// none has, slots of strictly lower priority without instances are displaced.
// The reservation is in the last of the changes. No changes mean that this
// very spec is already reserved under its ID.
//
// It takes time in proportion to the slots and the nodes that For yields: one
// look at each node, O(log h) in its holds, serves all slots. With rules among
// the slots For is asked, and the nodes are looked at, for every slot, as they
// are where others are displaced, there with what could be displaced on each. A
// refusal looks at each node a few times more, and for Earliest at every instant
// at which room comes up on it; with rules among the slots it tries to place all
// slots from up to a thousand of these.
//
// Errors: InvalidError, ConflictError, RefusedError.
func (p *Plan) Reserve(nodes Nodes, spec Spec) ([]PlanChange, error) {
	if r, ok := p.reservations[spec.ID]; ok {
		if r.Spec.Equal(spec) {
			return nil, nil
		}
		return nil, &ConflictError{spec.ID, "a reservation of another spec"}
	}
	terms, err := spec.terms(p.now)
	if err := errors.Join(err, knownNode(nodes, spec.Node)); err != nil {
		return nil, err
	}
	r := &Reservation{Spec: spec.Clone(), Terms: terms, Seq: p.created + 1, Version: 1, Phase: Pending}
	if spec.ID == "" {
		r.Spec.ID = p.generatedID()
	}
	return p.reserve(nodes, r)
}

func knownNode(nodes Nodes, node string) error {
	if _, ok := nodes.Room(node); !ok && node != "" {
		return invalid("node", node, "unknown or out of service")
	}
	return nil
}

func (p *Plan) reserve(nodes Nodes, r *Reservation) ([]PlanChange, error) {
	t := p.try(nodes)
	defer t.undo(0)
	if refused := t.fillUp(r); refused != nil {
		t.undo(0)
		refused.Earliest = t.earliest(r)
		return nil, refused
	}
	return append(t.changes, PlanChange{Kind: Put, Reservation: r}), nil
}

// fillUp places slots until the reservation, which is not on the plan, has as
// many as its terms say, and then resettles whom that displaced. It returns
// why there is no room for so many.
func (t *trial) fillUp(r *Reservation) *RefusedError {
	var (
		taken   []string
		victims []slotRef
	)
	for _, slot := range r.Slots {
		if slot.Node != "" && r.rulesAmongSlots() {
			taken = append(taken, slot.Node)
		}
	}
	want := r.want(taken)
	add := func(h Hold) {
		if want.mindsTaken() {
			want.Taken = append(want.Taken, h.Node)
		}
		r.Slots = append(r.Slots, Slot{Node: h.Node, Devices: h.Devices})
	}
	for len(r.Slots) < r.Terms.Count {
		for _, h := range t.fill(want, r.load(), r.Terms.Count-len(r.Slots)) {
			add(h)
		}
		if len(r.Slots) == r.Terms.Count {
			break
		}
		h, displaced, ok := t.displace(want, r)
		if !ok {
			refused := t.refused(want, r.load())
			refused.Missing, refused.Count = r.Terms.Count-len(r.Slots), r.Terms.Count
			return refused
		}
		victims = append(victims, displaced...)
		add(h)
	}
	slices.SortFunc(victims, mostImportantFirst)
	for _, ref := range victims {
		t.resettle(ref, []string{r.Spec.ID}, nil)
	}
	return nil
}
