package reservation

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Unsettled reports whether reservations begin, or soon begin, where instances
// stand that yield or have overstayed. ResolveConflicts decides what follows.
func (p *Plan) Unsettled() bool { return len(p.unsettled) > 0 }

// ResolveConflicts decides for each reservation that begins where instances may be in
// the way, the most important first: those that yield are asked to leave, those
// of the lowest priority first, then the newest, and no more than needed; and
// where one still stands once the reservation has started, the slot moves, or
// waits for it. It is to be called, and its changes applied, whenever Unsettled
// reports true after Advance or Apply.
//
// It takes time in proportion to the slots of these reservations, for each the
// instances on its node that yield or have overstayed, and a look at the nodes
// for each that cannot stay.
func (p *Plan) ResolveConflicts(nodes Nodes) []PlanChange {
	t := p.try(nodes)
	defer t.undo(0)
	beginning := make([]*reservationEntry, 0, len(p.unsettled))
	for id := range p.unsettled {
		beginning = append(beginning, p.reservations[id])
	}
	slices.SortFunc(beginning, mostImportant)
	var refs []slotRef
	because := make(map[slotRef][]string)
	for _, r := range beginning {
		if r.Spec.Maintenance {
			for _, ref := range p.idleOn(r.Spec.Node) {
				because[ref] = append(because[ref], r.Spec.ID)
			}
			continue
		}
		for i := range r.Slots {
			if r.Slots[i].Node == "" || !r.holding() {
				continue
			}
			for _, instance := range t.mustLeave(slotRef{r, i}) {
				t.changes = append(t.changes, PlanChange{Kind: Tell, ID: r.Spec.ID, Instance: instance})
			}
			if r.Phase == Active && len(r.Slots[i].Claims) == 0 {
				refs = append(refs, slotRef{r, i})
			}
		}
	}
	refs = slices.DeleteFunc(refs, func(ref slotRef) bool { return because[ref] != nil })
	t.review(slices.AppendSeq(refs, maps.Keys(because)), func(ref slotRef) []string {
		if closed := because[ref]; closed != nil {
			return closed
		}
		return t.leaving(ref.at().Node)
	})
	for _, r := range beginning {
		t.changes = append(t.changes, PlanChange{Kind: Settled, ID: r.Spec.ID})
	}
	return t.changes
}

// review finds places for those of the slots that no longer fit where they are:
// the least important give way, and the most important choose first. because
// says who is in the way of one.
func (t *trial) review(refs []slotRef, because func(slotRef) []string) {
	slices.SortFunc(refs, leastImportantFirst)
	refs = slices.DeleteFunc(refs, func(ref slotRef) bool { return !t.evictUnfit(ref) })
	for _, ref := range slices.Backward(refs) {
		t.resettle(ref, because(ref), nil)
	}
}

// evictUnfit evicts a slot that does not fit where it is, or waits there, and
// reports whether it did.
func (t *trial) evictUnfit(ref slotRef) bool {
	mark := len(t.done)
	t.liftSlot(ref)
	own := ref.r.slotHold(ref.at())
	if len(ref.at().Awaits) == 0 && t.fitsBack(&own, ref) {
		t.undo(mark)
		return false
	}
	t.staged[ref] = ""
	return true
}

// resettle finds a place for a slot that was evicted or lost: where it was, if
// there is room after all, or elsewhere, or it waits for who is leaving, or it
// has none. Because names who took its place. It looks for another place on the
// nodes given, or if that is nil on all.
func (t *trial) resettle(ref slotRef, because, on []string) {
	slot := ref.at()
	own := ref.r.slotHold(slot)
	if slot.Node != "" && t.fitsBack(&own, ref) {
		t.stay(ref, own, nil)
		return
	}
	h, placed := t.placeElsewhere(ref, on)
	switch {
	case placed:
	case slot.Node == "":
		return
	case t.canWait(&own, ref):
		t.stay(ref, own, t.leaving(slot.Node))
		return
	case on != nil: // It is about to be lost, and so it may go anywhere.
		h, _ = t.placeElsewhere(ref, nil)
	}
	t.staged[ref] = h.Node
	t.changes = append(t.changes, PlanChange{
		Kind: Move, ID: ref.r.Spec.ID, Slot: ref.slot, Node: h.Node, Devices: h.Devices, Because: because,
	})
}

// placeElsewhere puts a slot on another node than before: the one that it was
// lost from, or one of those given, or any if that is nil or rules among the
// slots may have changed anywhere.
func (t *trial) placeElsewhere(ref slotRef, on []string) (hold, bool) {
	if ref.at().Spent {
		return hold{}, false // Nobody could claim it there.
	}
	want, load := t.wantAnother(ref.r), ref.r.load()
	want.kind = ref.r.standing(&Slot{Recalled: ref.at().Recalled})
	if h, ok := t.placeOn(want, load, ref.at().Lost); ok {
		return h, true
	}
	if on == nil || want.mindsTaken() {
		return t.place(want, load)
	}
	for _, node := range on {
		if h, ok := t.placeOn(want, load, node); ok {
			return h, true
		}
	}
	return hold{}, false
}

// stay puts a slot back on its node, to wait there for instances, or nobody.
func (t *trial) stay(ref slotRef, own hold, awaits []string) {
	t.put(own)
	t.staged[ref], t.waits[ref] = own.Node, len(awaits) > 0
	if !slices.Equal(awaits, ref.at().Awaits) {
		t.changes = append(t.changes, PlanChange{Kind: Wait, ID: ref.r.Spec.ID, Slot: ref.slot, Because: awaits})
	}
}

// fitsBack reports whether the hold of a slot that is off its node fits there.
// Slots that wait do not count beside it, for what they wait for is there in
// their place; but it has to fit beside them once that has gone.
func (t *trial) fitsBack(own *hold, ref slotRef) bool {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	waiting := t.liftWaiting(own.Node, ref)
	if !t.fit(own) {
		return false
	}
	if waiting {
		t.undo(mark)
		t.liftLeaving(own.Node)
		return t.fit(own)
	}
	return true
}

// canWait reports whether a slot fits on its node once those have gone that are
// leaving.
func (t *trial) canWait(own *hold, ref slotRef) bool {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	return ref.r.Phase == Active && t.liftLeaving(own.Node) && t.fit(own)
}

// liftWaiting takes off the slots that wait on a node, but not ref, and reports
// whether there are any.
func (t *trial) liftWaiting(node string, ref slotRef) bool {
	g := t.plan.timelines[node]
	if g == nil {
		return false
	}
	mark := len(t.done)
	for id := range g.slots {
		r := t.plan.reservations[id]
		for i := 0; i < len(r.Slots) && r.waiting > 0; i++ {
			other := slotRef{r, i}
			if _, moved := t.staged[other]; !moved && other != ref && other.at().Node == node && len(other.at().Awaits) > 0 {
				t.liftSlot(other)
			}
		}
	}
	for other, waits := range t.waits {
		if waits && other != ref && t.staged[other] == node {
			t.liftSlot(other)
		}
	}
	return len(t.done) > mark
}

// mustLeave returns the instances that have to leave the node of a slot before
// it begins, and were not asked yet; none for one that is lent.
func (t *trial) mustLeave(ref slotRef) []string {
	h := ref.r.slotHold(ref.at())
	if h.kind == lent {
		return nil
	}
	return t.askFor(&h)
}

// askFor asks as few instances as need be that yield to leave the node of a hold:
// those of the lowest priority first, then the newest, and none that does not
// stand on something of which there is too little.
func (t *trial) askFor(h *hold) []string {
	room, ok := t.nodes.Room(h.Node)
	if !ok {
		return nil
	}
	g, start := t.plan.timelines[h.Node], max(h.Window.start(), t.plan.now)
	var staying []*stayEntry
	for _, stay := range g.stays {
		if stay.Yield && !t.isLeaving(stay) {
			staying = append(staying, stay)
		}
	}
	slices.SortFunc(staying, func(a, b *stayEntry) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), b.Window.Start.Compare(a.Window.Start), cmp.Compare(a.ID, b.ID))
	})
	short := make(map[lane]int64) // by how much they leave too little
	for of := range h.amounts() {
		left := room.free(of) - g.lane(of).firmAt(start)
		for _, stay := range staying {
			left -= stay.amountOn(of)
		}
		if left < 0 {
			short[of] = -left
		}
	}
	var due []string
	for _, stay := range staying {
		inTheWay := false
		for of, missing := range short {
			inTheWay = inTheWay || missing > 0 && stay.amountOn(of) > 0
		}
		if !inTheWay {
			continue // nor will it be, when others have left
		}
		for of := range short {
			short[of] -= stay.amountOn(of)
		}
		due = append(due, stay.ID)
		t.asked[stay.ID] = true
	}
	return due
}

// isLeaving reports whether an instance was asked to leave or has overstayed.
func (t *trial) isLeaving(g *stayEntry) bool { return g.Told || g.Overstayed || t.asked[g.ID] }

// leaver is an instance that should have gone.
type leaver struct {
	id      string
	load    placement.Amounts // that it uses
	devices []int
	counts  hold
}

// leavers returns the instances on a node that should have gone, by ID: those
// that were asked to leave and those that have overstayed.
func (t *trial) leavers(node string) []leaver {
	g := t.plan.timelines[node]
	if g == nil {
		return nil
	}
	var all []leaver
	for id, stay := range g.stays {
		if t.isLeaving(stay) {
			all = append(all, leaver{id, stay.Load, stay.Devices, stay.hold()})
		}
	}
	for c, h := range t.plan.overstayed(g, node) {
		all = append(all, leaver{c.ID, c.whole(), c.Devices, h})
	}
	slices.SortFunc(all, func(a, b leaver) int { return cmp.Compare(a.id, b.id) })
	return all
}

// leaving returns the IDs of the leavers on a node.
func (t *trial) leaving(node string) []string {
	var ids []string
	for _, l := range t.leavers(node) {
		ids = append(ids, l.id)
	}
	return ids
}

// liftLeaving takes off the leavers on a node, and reports whether there are any.
func (t *trial) liftLeaving(node string) bool {
	all := t.leavers(node)
	for _, l := range all {
		t.lift(l.counts)
	}
	return len(all) > 0
}

// inTheWay takes off those leavers without which a hold that is off its node would
// fit there, no more of them than need be, and returns them; nil if it would not.
func (t *trial) inTheWay(own *hold) []leaver {
	all := t.leavers(own.Node)
	for _, l := range all {
		t.lift(l.counts)
	}
	if !t.fit(own) {
		return nil
	}
	return slices.DeleteFunc(all, func(l leaver) bool {
		mark := len(t.done)
		t.put(l.counts)
		if t.fit(own) {
			return true
		}
		t.undo(mark)
		return false
	})
}

// overstayed yields the instances on a node that have outlived their
// reservation and should have gone, with what they count for.
func (p *Plan) overstayed(g *nodeTimeline, node string) iter.Seq2[*Claim, hold] {
	return func(yield func(*Claim, hold) bool) {
		for id := range g.slots {
			r := p.reservations[id]
			for i := 0; i < len(r.Slots) && !r.holding(); i++ {
				claims := r.Slots[i].Claims
				for j := 0; j < len(claims) && r.Slots[i].Node == node; j++ {
					if claims[j].Overstayed && !yield(&claims[j], r.claimHold(node, &claims[j])) {
						return
					}
				}
			}
		}
	}
}

// NodeChanged decides what becomes of the slots on a node whose room has
// changed for the worse. On a node that is gone (Nodes.Room reports false) all
// of them move or are lost, and instances in them stay behind; on one that has
// become too small those without instances that do not fit any more, the least
// important first. It takes time in proportion to the slots of the reservations
// on the node, and a look at the nodes for each slot that cannot stay.
func (p *Plan) NodeChanged(nodes Nodes, node string) []PlanChange {
	g, ok := p.timelines[node]
	if !ok {
		return nil
	}
	_, stands := nodes.Room(node)
	var refs []slotRef
	for id := range g.slots {
		r := p.reservations[id]
		for i := range r.Slots {
			if r.holding() && !r.Spec.Maintenance && r.Slots[i].Node == node && (!stands || len(r.Slots[i].Claims) == 0) {
				refs = append(refs, slotRef{r, i})
			}
		}
	}
	t := p.try(nodes)
	defer t.undo(0)
	t.review(refs, func(slotRef) []string { return nil })
	return t.changes
}

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
// Errors: ErrNotFound, StateError.
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
	for i := range r.Slots {
		ref := slotRef{r, i}
		switch {
		case r.Slots[i].Node != "" && len(r.Slots[i].Awaits) == 0 || r.Slots[i].givenBack():
			continue
		case r.Slots[i].Node != "":
			t.evict(ref)
		}
		t.resettle(ref, nil, on)
		if t.staged[ref] == "" && on == nil {
			on = []string{} // If this one finds no room anywhere, nor do the others.
		}
	}
	return t.changes, nil
}
