package reservation

import "slices"

// mark is what a plan was when it was set, as far as it has changed since: each record
// is kept before it first changes.
//
// Invariant: what is not kept is as it was. Reservations and stays are announced before
// they change, series are kept where they change, and the rest follows from these.
type mark struct {
	earlier      *mark
	now          int64
	created      uint64
	unsettled    []string
	past         []PastReservation
	reservations map[string]*Reservation // nil of one that was not there
	stays        map[string]*Stay        // likewise
	series       map[string]*seriesEntry // likewise
}

// Mark sets a mark to which Rollback brings the plan back, for a host that tries
// things: from now on reservations and stays are copied before they first change. O(1),
// if the host calls ResolveConflicts before.
func (p *Plan) Mark() {
	m := &mark{
		earlier: p.marked, now: p.now, created: p.created, past: slices.Clip(p.past),
		reservations: make(map[string]*Reservation), stays: make(map[string]*Stay), series: make(map[string]*seriesEntry),
	}
	for id := range p.unsettled {
		m.unsettled = append(m.unsettled, id)
	}
	p.past, p.marked = m.past, m
}

// Forget takes the latest mark away: what has changed since it belongs to the one
// before it. O(changed reservations and stays).
func (p *Plan) Forget() {
	later := p.marked
	m := later.earlier
	p.marked = m
	if m == nil {
		return
	}
	adopt(m.reservations, later.reservations)
	adopt(m.stays, later.stays)
	adopt(m.series, later.series)
}

// adopt takes over what was kept later, unless it was kept before.
func adopt[T any](kept, later map[string]*T) {
	for id, record := range later {
		if _, known := kept[id]; !known {
			kept[id] = record
		}
	}
}

// Rollback brings the plan back to the latest mark, which is gone then. It takes O(log h)
// in the holds of its node for each slot, claim and stay of what has changed, as that is
// and as it was. Touched then returns their nodes.
func (p *Plan) Rollback() {
	m := p.marked
	p.marked = nil // since what the earlier mark has is as it was
	for id := range m.stays {
		p.before.stay(id)
	}
	for id := range m.reservations {
		p.before.reservation(id)
		if r, known := p.reservations[id]; known {
			p.leave(r)
			r.Phase = Ended
			p.unlist(r)
		}
	}
	for id := range m.stays {
		if g, stays := p.stays[id]; stays {
			p.depart(g)
		}
	}
	p.now = m.now
	for id, was := range m.series {
		delete(p.series, id)
		if was != nil {
			p.series[id] = was
		}
	}
	for _, was := range m.reservations {
		if was != nil {
			p.reservations[was.Spec.ID] = &reservationEntry{Reservation: *was, due: due{id: was.Spec.ID}}
			p.enter(p.reservations[was.Spec.ID])
		}
	}
	for _, was := range m.stays {
		if was != nil {
			p.arrive(*was)
		}
	}
	p.created, p.past, p.marked = m.created, m.past, m.earlier
	clear(p.unsettled)
	for _, id := range m.unsettled {
		p.unsettled[id] = struct{}{}
	}
}

// keepReservation and keepStay announce what is about to change, and keep it for the
// latest mark.
func (p *Plan) keepReservation(id string) {
	p.before.reservation(id)
	if p.marked == nil {
		return
	}
	if _, kept := p.marked.reservations[id]; kept {
		return
	}
	p.marked.reservations[id] = nil
	if r, known := p.reservations[id]; known {
		was := r.Clone()
		p.marked.reservations[id] = &was
	}
}

func (p *Plan) keepStay(id string) {
	p.before.stay(id)
	if p.marked == nil {
		return
	}
	if _, kept := p.marked.stays[id]; kept {
		return
	}
	p.marked.stays[id] = nil
	if g, known := p.stays[id]; known {
		was := g.clone()
		p.marked.stays[id] = &was
	}
}

// keepSeries keeps a reservation that repeats, whose windows are about to change.
func (p *Plan) keepSeries(id string) {
	if p.marked == nil || id == "" {
		return
	}
	if _, kept := p.marked.series[id]; kept {
		return
	}
	p.marked.series[id] = nil
	if s, known := p.series[id]; known {
		p.marked.series[id] = &seriesEntry{spec: s.spec, windows: slices.Clone(s.windows)}
	}
}
