package reservation

import "slices"

// Apply carries out changes in their order and returns the events that they
// cause. It never fails and never searches: the changes must have been decided
// by this plan in its present state, or by another in the same state, as when
// a journal is replayed.
//
// A Put or Withdraw takes time in proportion to the slots and claims of its
// reservation, each O(log h) in the holds of its node; a Fill, Move or Wait to
// the claims of its slot; a Vacate to the slots and claims of its reservation,
// among which it looks for the instance; an Arrive or Depart takes O(log h), and
// an Arrive that yields looks at the reservations on its node.
func (p *Plan) Apply(changes ...PlanChange) []Event {
	for i := range changes {
		p.apply(&changes[i])
	}
	p.fire(p.now)
	return p.takeEvents()
}

func (p *Plan) apply(c *PlanChange) {
	p.announce(c)
	switch c.Kind {
	case Schedule:
		p.series[c.Series.ID] = &seriesEntry{spec: c.Series.Clone()}
	case Put:
		p.put(c.Reservation)
	case Move:
		p.move(slotRef{p.reservations[c.ID], c.Slot}, c)
	case Wait:
		p.wait(slotRef{p.reservations[c.ID], c.Slot}, c.Because)
	case Recall:
		p.recall(slotRef{p.reservations[c.ID], c.Slot}, c)
	case Withdraw:
		p.end(p.reservations[c.ID])
	case Fill:
		p.fill(slotRef{p.reservations[c.ID], c.Slot}, c.Claim)
	case Vacate:
		p.vacate(c.Instance)
	case Arrive:
		p.arrive(c.Stay.clone())
	case Depart:
		p.depart(p.stays[c.Instance])
	case Tell:
		p.askToLeave(p.reservations[c.ID], p.stays[c.Instance])
	case Settled:
		delete(p.unsettled, c.ID)
	}
}

// put makes a reservation or replaces one of the same ID.
func (p *Plan) put(record *Reservation) {
	r, ok := p.reservations[record.Spec.ID]
	if ok {
		p.leave(r)
	} else {
		r = &reservationEntry{due: due{id: record.Spec.ID}}
		p.reservations[record.Spec.ID] = r
		p.keepSeries(record.Series)
		if repeating := p.series[record.Series]; repeating != nil {
			repeating.windows = append(repeating.windows, record.Spec.ID)
		}
	}
	r.Reservation = record.Clone()
	p.created = max(p.created, r.Seq)
	p.enter(r)
	if r.Noticed {
		p.markUnsettled(r)
	}
	if r.Spec.Maintenance && r.Phase == Active {
		p.unsettled[r.Spec.ID] = struct{}{}
	}
}

// enter counts a reservation that is not counted, and forgets it if it has
// ended and nobody is in it.
func (p *Plan) enter(r *reservationEntry) {
	for i := range r.Slots {
		p.countSlot(slotRef{r, i}, 1)
	}
	if r.Phase == Ended && len(r.Slots) == 0 {
		p.forget(r)
		return
	}
	p.schedule(r)
	p.noteOwing(r)
}

// noteOwing keeps up which reservations have lost or waiting slots.
func (p *Plan) noteOwing(r *reservationEntry) {
	if r.holding() && r.missing+r.waiting > 0 {
		p.owing[r.Spec.ID] = r
	} else {
		delete(p.owing, r.Spec.ID)
	}
}

// leave is the reverse of enter.
func (p *Plan) leave(r *reservationEntry) {
	for i := range r.Slots {
		p.countSlot(slotRef{r, i}, -1)
	}
}

// unlist takes a reservation that counts for nothing out of all tables but that of
// what repeats.
func (p *Plan) unlist(r *reservationEntry) {
	p.noteClaimable(r)
	p.deadlines.Remove(&r.due)
	delete(p.reservations, r.Spec.ID)
	delete(p.unsettled, r.Spec.ID)
	delete(p.owing, r.Spec.ID)
}

// forget drops a reservation that counts for nothing.
func (p *Plan) forget(r *reservationEntry) {
	p.unlist(r)
	p.remember(r.Spec.ID, r.Phase)
	repeating, ok := p.series[r.Series]
	if !ok {
		return
	}
	p.keepSeries(r.Series)
	i := slices.Index(repeating.windows, r.Spec.ID)
	if repeating.windows = slices.Delete(repeating.windows, i, i+1); len(repeating.windows) == 0 {
		delete(p.series, r.Series)
		p.remember(r.Series, r.Phase)
	}
}

// countSlot counts a slot with all that is in it, or with sign -1 no longer.
func (p *Plan) countSlot(ref slotRef, sign int) {
	slot := ref.at()
	if slot.Recalled != "" {
		p.trackRecall(ref.r, slot.Recalled, sign)
	}
	if slot.Node == "" {
		if slot.lost() {
			ref.r.missing += sign
		}
		return
	}
	ref.r.held += sign
	if len(slot.Awaits) > 0 {
		ref.r.waiting += sign
	}
	g, id := p.timeline(slot.Node), ref.r.Spec.ID
	g.slots[id] += sign
	if g.slots[id] == 0 {
		delete(g.slots, id)
	}
	switch {
	case !ref.r.Spec.Maintenance:
	case sign < 0:
		delete(g.closed, id)
	case ref.r.holding() && ref.r.Noticed:
		g.closed[id] = ref.r
	}
	for _, c := range slot.Claims {
		p.trackClaim(ref.r, c, sign)
		g.use(c.whole(), c.Devices, int64(sign))
		if c.Overstayed && !ref.r.holding() {
			g.obstacles += sign
		}
	}
	for h := range ref.r.holds(slot) {
		p.count(h, int64(sign))
	}
	p.touched[slot.Node] = struct{}{}
	if sign < 0 {
		p.drop(slot.Node)
	}
}

// trackClaim adds (sign 1) or removes (sign -1) a claim from the plan's tables.
func (p *Plan) trackClaim(r *reservationEntry, c Claim, sign int) {
	if sign < 0 {
		p.deadlines.Remove(&p.claims[c.ID].due)
		delete(p.claims, c.ID)
		return
	}
	entry := &claimEntry{r: r, due: due{id: c.ID}}
	p.claims[c.ID] = entry
	if !c.Until.IsZero() && !c.Overstayed {
		p.setDue(&entry.due, nanos(c.Until), dueLeave)
	}
}

// move puts a slot elsewhere. Instances in it stay where they are, as stays
// that end when their claims would have ended.
func (p *Plan) move(ref slotRef, c *PlanChange) {
	r, slot := ref.r, ref.at()
	p.countSlot(ref, -1)
	e := Event{From: slot.Node, Node: c.Node, Because: c.Because}
	for _, claim := range slot.Claims {
		p.arrive(claim.stay(slot.Node, r.window()))
		e.Instances = append(e.Instances, claim.ID)
	}
	slot.Node, slot.Devices, slot.Claims, slot.Awaits = c.Node, copied(c.Devices), nil, nil
	slot.Lost = ""
	if c.Node == "" {
		slot.Lost = e.From
	}
	p.countSlot(ref, 1)
	p.noteOwing(r)
	r.Version++
	switch {
	case c.Node == "":
		e.Kind = SlotLost
	case e.From == "":
		e.Kind = SlotRegained
	default:
		e.Kind = SlotMoved
	}
	p.emit(e, r)
	if r.Noticed {
		p.markUnsettled(r)
	}
	if r.displaced() {
		p.emit(Event{Kind: AllLost}, r)
	}
}

// wait notes whom a slot waits for.
func (p *Plan) wait(ref slotRef, because []string) {
	slot := ref.at()
	p.countSlot(ref, -1)
	slot.Awaits = copied(because)
	p.countSlot(ref, 1)
	p.noteOwing(ref.r)
	ref.r.Version++
	kind := SlotWaiting
	if len(because) == 0 {
		kind = SlotRegained
	}
	p.emit(Event{Kind: kind, Node: slot.Node, Because: slot.Awaits}, ref.r)
}

// recall keeps a slot for an instance once those have left that yield.
func (p *Plan) recall(ref slotRef, c *PlanChange) {
	p.keepNoSlot(ref.r, c.Instance)
	p.countSlot(ref, -1)
	ref.at().Recalled = c.Instance
	p.countSlot(ref, 1)
	p.wait(ref, c.Because)
	p.markUnsettled(ref.r) // There may be room elsewhere.
}

// keepNoSlot lets go of the slot of a reservation that is kept for an instance.
func (p *Plan) keepNoSlot(r *reservationEntry, instance string) {
	i := r.recalledFor(instance)
	if i < 0 {
		return
	}
	p.countSlot(slotRef{r, i}, -1)
	r.Slots[i].Recalled = ""
	p.countSlot(slotRef{r, i}, 1)
}

// trackRecall adds (sign 1) or removes (sign -1) what slot is kept for whom.
func (p *Plan) trackRecall(r *reservationEntry, instance string, sign int) {
	if sign > 0 {
		p.recalls[instance] = r.Spec.ID
	} else {
		delete(p.recalls, instance)
	}
}

func (p *Plan) fill(ref slotRef, claim *Claim) {
	slot := ref.at()
	recalled := ref.r.standing(slot) == lent
	p.keepNoSlot(ref.r, claim.ID)
	p.countSlot(ref, -1)
	slot.Claims = append(slot.Claims, claim.clone())
	slot.Spent = ref.r.Spec.Once
	ref.r.Version++
	p.countSlot(ref, 1)
	if recalled {
		p.markUnsettled(ref.r) // Who yields in the rest of the slot has to leave.
	}
}

func (p *Plan) vacate(instance string) {
	if id, kept := p.recalls[instance]; kept {
		r := p.reservations[id]
		p.keepNoSlot(r, instance)
		r.Version++
		return
	}
	r := p.claims[instance].r
	slot, i := r.find(instance)
	ref := slotRef{r, slot}
	p.countSlot(ref, -1)
	claims := ref.at().Claims
	ref.at().Claims = append(claims[:i:i], claims[i+1:]...)
	r.Version++
	if ref.at().Spent && len(ref.at().Claims) == 0 {
		ref.at().Node, ref.at().Devices = "", nil
	}
	if r.holding() || len(ref.at().Claims) > 0 {
		p.countSlot(ref, 1)
		return
	}
	r.Slots = append(r.Slots[:slot:slot], r.Slots[slot+1:]...)
	if len(r.Slots) > 0 {
		return
	}
	if r.Phase == Expiring {
		p.over(r)
	}
	p.forget(r)
}

// arrive counts an instance that will leave.
func (p *Plan) arrive(s Stay) {
	p.keepStay(s.ID)
	g := &stayEntry{Stay: s, due: due{id: s.ID}}
	p.stays[s.ID] = g
	p.countStay(g, 1)
	if !s.Window.End.IsZero() && !s.Overstayed {
		p.setDue(&g.due, s.Window.end(), dueLeave)
	}
	if !s.Yield {
		return
	}
	for id := range p.timelines[s.Node].slots {
		if r := p.reservations[id]; r.Noticed && r.Phase == Pending {
			p.markUnsettled(r)
		}
	}
}

func (p *Plan) depart(g *stayEntry) {
	p.countStay(g, -1)
	p.deadlines.Remove(&g.due)
	delete(p.stays, g.ID)
}

// countStay counts an instance beside the reservations, or with sign -1 no
// longer.
func (p *Plan) countStay(g *stayEntry, sign int) {
	timeline := p.timeline(g.Node)
	if sign > 0 {
		timeline.stays[g.ID] = g
	} else {
		delete(timeline.stays, g.ID)
	}
	if g.Yield || g.Overstayed {
		timeline.obstacles += sign
	}
	timeline.use(g.Load, g.Devices, int64(sign))
	p.count(g.hold(), int64(sign))
	p.touched[g.Node] = struct{}{}
	if sign < 0 {
		p.drop(g.Node)
	}
}

// askToLeave notes that an instance was asked to leave for a reservation.
func (p *Plan) askToLeave(r *reservationEntry, g *stayEntry) {
	g.Told, g.Due = true, p.dueFor(r)
	p.emit(Event{Kind: YieldDue, Instance: g.ID, Node: g.Node, Due: g.Due}, r)
}

// markUnsettled queues r for ResolveConflicts if an instance that should leave may
// overlap one of its slots.
func (p *Plan) markUnsettled(r *reservationEntry) {
	for i := range r.Slots {
		if g, ok := p.timelines[r.Slots[i].Node]; ok && g.obstacles > 0 {
			p.unsettled[r.Spec.ID] = struct{}{}
			return
		}
	}
}
