package reservation

import "slices"

// NodeChanged decides what becomes of the slots on a node whose room has
// changed for the worse. On a node that is gone (Nodes.Room reports false) all
// of them move or are lost, and instances in them stay behind; on one that has
// become too small those without instances that do not fit any more, the least
// important first.
func (p *Plan) NodeChanged(nodes Nodes, node string) []Change {
	g, ok := p.grounds[node]
	if !ok {
		return nil
	}
	_, stands := nodes.Room(node)
	var refs []slotRef
	for id := range g.slots {
		r := p.reservations[id]
		for i := range r.Slots {
			if r.holding() && r.Slots[i].Node == node && (!stands || len(r.Slots[i].Claims) == 0) {
				refs = append(refs, slotRef{r, i})
			}
		}
	}
	t := p.try(nodes)
	defer t.undo(0)
	slices.SortFunc(refs, leastImportantFirst)
	refs = slices.DeleteFunc(refs, func(ref slotRef) bool { return !t.evictUnfit(ref) })
	for _, ref := range slices.Backward(refs) {
		t.resettle(ref, nil)
	}
	return t.changes
}

// evictUnfit evicts a slot that no longer fits where it is, and reports whether
// it did.
func (t *trial) evictUnfit(ref slotRef) bool {
	mark := len(t.done)
	t.liftSlot(ref)
	own := ref.r.slotHold(ref.at().Node, ref.at().Devices)
	if t.fit(&own) {
		t.undo(mark)
		return false
	}
	t.staged[ref] = ""
	return true
}
