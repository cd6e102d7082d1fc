package reservation

import "slices"

// trial is a decision in the making: what it would change is counted on the
// plan while it looks further, and taken back at the end. What stays are the
// changes.
type trial struct {
	plan  *Plan
	nodes Nodes
	done  []counted
	// staged are the nodes of slots that the trial has put elsewhere.
	staged  map[slotRef]string
	changes []Change
}

type counted struct {
	hold Hold
	sign int64
}

func (p *Plan) try(nodes Nodes) *trial {
	return &trial{plan: p, nodes: nodes, staged: make(map[slotRef]string)}
}

func (t *trial) put(h Hold) {
	t.plan.count(h, 1)
	t.done = append(t.done, counted{h, 1})
}

func (t *trial) lift(h Hold) {
	t.plan.count(h, -1)
	t.done = append(t.done, counted{h, -1})
}

// liftSlot takes off all that a slot counts for.
func (t *trial) liftSlot(ref slotRef) {
	for h := range ref.r.holds(ref.at()) {
		t.lift(h)
	}
}

// undo takes back what was counted since there were so many entries.
func (t *trial) undo(to int) {
	for _, c := range slices.Backward(t.done[to:]) {
		t.plan.count(c.hold, -c.sign)
	}
	t.done = t.done[:to]
}

// fit sets the devices of a hold and reports whether it fits.
func (t *trial) fit(h *Hold) bool {
	room, ok := t.nodes.Room(h.Node)
	if !ok {
		return false
	}
	devices, ok := t.plan.Fit(&room, h)
	if ok {
		h.Devices = devices
	}
	return ok
}

// place puts a load on the first wanted node that has room.
func (t *trial) place(want Want, load Load) (Hold, bool) {
	s := t.plan.span(want.Window)
	for node, room := range t.nodes.For(&want) {
		if devices, ok := t.plan.fit(node, &room, &load, s, nil); ok {
			h := Hold{node, want.Window, load, devices}
			t.put(h)
			return h, true
		}
	}
	return Hold{}, false
}

// want describes the nodes for a slot of a reservation whose other slots are
// on the nodes taken.
func (r *Reservation) want(taken []string) Want {
	return Want{
		ID: r.Spec.ID, Namespace: r.Spec.Namespace, Shape: r.Terms.Shape, Window: r.window(),
		Node: r.Spec.Node, Preferences: r.Spec.Preferences, Taken: taken,
	}
}

// load returns what one slot of the reservation holds.
func (r *Reservation) load() Load { return Load{r.Terms.Shape, 1} }

// taken returns the nodes of all slots of a reservation that have one, as the
// trial has them.
func (t *trial) taken(r *booked) []string {
	var nodes []string
	for i := range r.Slots {
		ref := slotRef{r, i}
		node, moved := t.staged[ref]
		if !moved {
			node = ref.at().Node
		}
		if node != "" {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// evict takes a slot off its node until it is resettled.
func (t *trial) evict(ref slotRef) {
	t.liftSlot(ref)
	t.staged[ref] = ""
}

// resettle finds a place for a slot that was evicted or lost: where it was, if
// there is room after all, or elsewhere, or none. Because names who took its
// place.
func (t *trial) resettle(ref slotRef, because []string) {
	slot := ref.at()
	own := ref.r.slotHold(slot.Node, slot.Devices)
	if slot.Node != "" && t.fit(&own) {
		t.put(own)
		t.staged[ref] = slot.Node
		return
	}
	h, placed := t.place(ref.r.want(t.taken(ref.r)), ref.r.load())
	if !placed && slot.Node == "" {
		return
	}
	t.staged[ref] = h.Node
	t.changes = append(t.changes, Change{
		Kind: Move, ID: ref.r.Spec.ID, Slot: ref.slot, Node: h.Node, Devices: h.Devices, Because: because,
	})
}
