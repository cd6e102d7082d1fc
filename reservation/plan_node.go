package reservation

// NodeChanged decides what becomes of the slots on a node whose room has
// changed for the worse. On a node that is gone (Nodes.Room reports false) all
// of them move or are lost, and instances in them stay behind; on one that has
// become too small those without instances that do not fit any more, the least
// important first. It takes time in proportion to the slots of the reservations
// on the node, and a look at the nodes for each slot that cannot stay.
func (p *Plan) NodeChanged(nodes Nodes, node string) []PlanChange {
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
	t.review(refs, func(slotRef) []string { return nil })
	return t.changes
}
