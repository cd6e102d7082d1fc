package reservation

import (
	"cmp"
	"slices"
)

// leastImportantFirst orders slots by who is displaced first.
func leastImportantFirst(a, b slotRef) int {
	return cmp.Or(givesWayBefore(&a.r.Reservation, &b.r.Reservation), cmp.Compare(a.slot, b.slot))
}

// mostImportant orders reservations by who decides first.
func mostImportant(a, b *reservationEntry) int { return givesWayBefore(&b.Reservation, &a.Reservation) }

func mostImportantFirst(a, b slotRef) int { return leastImportantFirst(b, a) }

// displace puts a slot of r where the least important slots have to give way
// for it, and lifts those: the lowest priority, then the newest, then the
// fewest, then the node that comes first.
func (t *trial) displace(want Want, r *Reservation) (Hold, []slotRef, bool) {
	var (
		best    Hold
		victims []slotRef
	)
	for node := range t.nodes.For(&want) {
		h := Hold{Node: node, Window: want.Window, Load: r.load()}
		if found := t.victims(&h, r.Spec.Priority); found != nil && (victims == nil || compareVictims(found, victims) < 0) {
			best, victims = h, found
		}
	}
	if victims == nil {
		return Hold{}, nil, false
	}
	for _, ref := range victims {
		t.evict(ref)
	}
	t.put(best)
	return best, victims, true
}

// victims returns the slots that have to give way on the node of a hold, least
// important first, and sets its devices; nil if no choice of victims helps.
func (t *trial) victims(h *Hold, priority int32) []slotRef {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	var lifted []slotRef
	fits := false
	for _, ref := range t.plan.displaceable(h, priority) {
		if _, already := t.staged[ref]; already {
			continue
		}
		t.liftSlot(ref)
		lifted = append(lifted, ref)
		if fits = t.fit(h); fits {
			break
		}
	}
	if !fits {
		return nil
	}
	// Whoever is not in the way comes back, the most important first.
	var victims []slotRef
	for _, ref := range slices.Backward(lifted) {
		mark := len(t.done)
		for own := range ref.r.holds(ref.at()) {
			t.put(own)
		}
		if again := (Hold{h.Node, h.Window, h.Load, nil}); t.fit(&again) {
			*h = again
		} else {
			t.undo(mark)
			victims = append(victims, ref)
		}
	}
	slices.Reverse(victims)
	return victims
}

// displaceable returns the slots on the node of a hold that overlap with its
// window and that a reservation of that priority may displace, least important
// first.
func (p *Plan) displaceable(h *Hold, priority int32) []slotRef {
	g, ok := p.grounds[h.Node]
	if !ok {
		return nil
	}
	var refs []slotRef
	for id := range g.slots {
		r := p.reservations[id]
		if !r.holding() || r.Spec.Priority >= priority || !r.window().Overlaps(h.Window) {
			continue
		}
		for i := range r.Slots {
			if r.Slots[i].Node == h.Node && len(r.Slots[i].Claims) == 0 {
				refs = append(refs, slotRef{r, i})
			}
		}
	}
	slices.SortFunc(refs, leastImportantFirst)
	return refs
}

// compareVictims orders non-empty sets of victims, least important first
// within each, by how little it hurts to displace them.
func compareVictims(a, b []slotRef) int {
	dearest, other := a[len(a)-1].r, b[len(b)-1].r
	return cmp.Or(givesWayBefore(&dearest.Reservation, &other.Reservation), cmp.Compare(len(a), len(b)))
}
