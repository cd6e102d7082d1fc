package reservation

import (
	"cmp"
	"maps"
	"slices"
)

// Unsettled reports whether reservations begin, or soon begin, where instances
// stand that yield or have overstayed. Settle decides what follows.
func (p *Plan) Unsettled() bool { return len(p.unsettled) > 0 }

// Settle decides for each reservation that begins where instances may be in
// the way: those that yield are told to leave, the newest first and no more
// than needed; and where one still stands once the reservation has started,
// the slot moves, or is lost. It is to be called, and its changes applied,
// whenever Unsettled reports true after Advance or Apply.
func (p *Plan) Settle(nodes Nodes) []Change {
	t := p.try(nodes)
	defer t.undo(0)
	told := make(map[string]bool)
	for _, id := range slices.Sorted(maps.Keys(p.unsettled)) {
		r := p.reservations[id]
		var refs []slotRef
		for i := range r.Slots {
			ref := slotRef{r, i}
			if r.Slots[i].Node == "" || !r.holding() {
				continue
			}
			for _, instance := range t.mustLeave(ref, told) {
				t.changes = append(t.changes, Change{Kind: Tell, ID: id, Instance: instance})
			}
			if r.Phase == Active && len(r.Slots[i].Claims) == 0 && t.evictUnfit(ref) {
				refs = append(refs, ref)
			}
		}
		for _, ref := range refs {
			t.resettle(ref, p.overdue(ref.at().Node))
		}
		t.changes = append(t.changes, Change{Kind: Settled, ID: id})
	}
	return t.changes
}

// mustLeave returns the instances that have to leave the node of a slot before
// it begins, and were not told.
func (t *trial) mustLeave(ref slotRef, told map[string]bool) []string {
	p, h := t.plan, ref.r.slotHold(ref.at().Node, ref.at().Devices)
	room, ok := t.nodes.Room(h.Node)
	if !ok {
		return nil
	}
	g := p.grounds[h.Node]
	var yielding []*guest
	for _, guest := range g.stays {
		if guest.Yield && !guest.Told && !told[guest.ID] {
			yielding = append(yielding, guest)
		}
	}
	slices.SortFunc(yielding, func(a, b *guest) int {
		return cmp.Or(b.Window.Start.Compare(a.Window.Start), cmp.Compare(a.ID, b.ID))
	})
	start := max(h.Window.start(), p.now)
	overfull := func(staying []*guest) bool {
		for of, amount := range h.amounts() {
			free := room.free(of) - g.lane(of).levelAt(start)
			for _, guest := range staying {
				free -= guest.amountOn(of)
			}
			if free < 0 && amount > 0 {
				return true
			}
		}
		return false
	}
	var due []string
	for len(yielding) > 0 && overfull(yielding) {
		due = append(due, yielding[0].ID)
		told[yielding[0].ID] = true
		yielding = yielding[1:]
	}
	return due
}

// overdue returns the instances on a node that should have gone: those that
// yield and those that have overstayed.
func (p *Plan) overdue(node string) []string {
	g := p.grounds[node]
	var ids []string
	for id, guest := range g.stays {
		if guest.Yield || guest.Overstayed {
			ids = append(ids, id)
		}
	}
	for id := range g.slots {
		r := p.reservations[id]
		for c := range r.Claims() {
			if c.Overstayed && !r.holding() {
				ids = append(ids, c.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}
