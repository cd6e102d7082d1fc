package reservation

import (
	"cmp"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
)

// NextDeadline returns when time will next change something, and false if
// nothing is to come. O(1).
func (p *Plan) NextDeadline() (time.Time, bool) {
	if p.deadlines.Len() == 0 { // as nearly always
		return time.Time{}, false
	}
	return p.firstDeadline(), true
}

func (p *Plan) firstDeadline() time.Time {
	first, _ := p.deadlines.First()
	return instant(first.at)
}

// Advance moves the plan to a time, if that is later than where it is, and
// returns what fell due on the way: ordered by time, then ends before graces
// before starts, then ID. It needs no search and nothing from the host. If
// Unsettled reports true afterwards, call ResolveConflicts.
//
// O(1) if nothing falls due. Else O(log d) in the deadlines, one per reservation
// and one per instance with a known end, for each that does; a reservation that
// ends also takes what its slots and claims count for off their nodes, O(log h)
// each, and the notice of maintenance looks at each slot and instance on its node.
func (p *Plan) Advance(now time.Time) []Event {
	p.fire(max(p.now, nanos(now)))
	return p.takeEvents()
}

// fire carries out all deadlines up to an instant and makes that the time.
func (p *Plan) fire(until int64) {
	for {
		due, ok := p.deadlines.First()
		if !ok || due.at > until {
			break
		}
		p.now = max(p.now, due.at)
		p.announceDue(due)
		if due.rank == dueLeave {
			p.overstay(due.id)
			continue
		}
		switch r := p.reservations[due.id]; due.rank {
		case dueEnd:
			p.end(r)
		case dueGrace:
			p.endGrace(r)
		case dueNotice:
			p.notice(r)
			p.schedule(r)
		default:
			p.start(r)
		}
	}
	p.now = until
}

// start makes a reservation claimable. What yields where it begins counts
// beside it from now on.
func (p *Plan) start(r *reservationEntry) {
	if r.Spec.Maintenance && !r.Noticed {
		p.notice(r)
	}
	r.Phase = Active
	r.Version++
	p.emit(Event{Kind: Started}, r)
	for i := range r.Slots {
		if node := r.Slots[i].Node; node != "" {
			p.touched[node] = struct{}{}
		}
	}
	p.markUnsettled(r)
	if r.Spec.Maintenance {
		p.unsettled[r.Spec.ID] = struct{}{}
	}
	p.schedule(r)
}

// notice asks those to leave that yield, or all if the node is closed.
func (p *Plan) notice(r *reservationEntry) {
	r.Noticed = true
	r.Version++
	if !r.Spec.Maintenance {
		p.emit(Event{Kind: Noticed, Due: r.Params.Start}, r)
		p.markUnsettled(r)
		return
	}
	node := r.Spec.Node
	g := p.timeline(node)
	g.closed[r.Spec.ID] = r
	p.touched[node] = struct{}{}
	p.emit(Event{Kind: Closing, Node: node, Due: r.Params.Start}, r)
	var asked []string
	for id, stay := range g.stays {
		p.keepStay(id)
		if !stay.Told {
			stay.Told, stay.Due = true, r.Params.Start
		}
		asked = append(asked, id)
	}
	for id := range g.slots {
		of := p.reservations[id]
		for i := range of.Slots {
			for j := 0; j < len(of.Slots[i].Claims) && of.Slots[i].Node == node; j++ {
				asked = append(asked, of.Slots[i].Claims[j].ID)
			}
		}
	}
	slices.Sort(asked)
	for _, id := range asked {
		p.emit(Event{Kind: YieldDue, Instance: id, Node: node, Due: r.Params.Start}, r)
	}
}

// AskedOn returns what an instance is to be told that turns up on a node without a
// decision, since a worker reports it or its node is back: a YieldDue of each
// maintenance of which notice was given and which is not over, by ID, unless the
// instance leaves before that, at an instant to come; zero is that it does not say
// when. O(m log m) in the maintenance of the node.
func (p *Plan) AskedOn(node, instance string, leaves time.Time) []Event {
	g, ok := p.timelines[node]
	if !ok || !g.closing() {
		return nil
	}
	now := instant(p.now)
	var asks []Event
	for id, r := range g.closed {
		if leaves.After(now) && !leaves.After(r.Params.Start) {
			continue
		}
		asks = append(asks, Event{
			Kind: YieldDue, At: now, Reservation: id, Series: r.Series, Namespace: r.Spec.Namespace,
			Instance: instance, Node: node, Due: instant(max(nanos(r.Params.Start), p.now)),
		})
	}
	slices.SortFunc(asks, func(a, b Event) int { return cmp.Compare(a.Reservation, b.Reservation) })
	return asks
}

// schedule sets the next deadline of a reservation.
func (p *Plan) schedule(r *reservationEntry) {
	p.noteClaimable(r)
	switch start := nanos(r.Params.Start); {
	case r.Phase == Pending && r.Spec.Notice > 0 && !r.Noticed:
		p.setDue(&r.due, subNanos(start, r.Spec.Notice), dueNotice)
	case r.Phase == Pending:
		p.setDue(&r.due, start, dueStart)
	case r.Phase == Active:
		p.setDue(&r.due, nanos(r.Params.End), dueEnd)
	case r.Phase == Expiring:
		p.setDue(&r.due, nanos(r.window().End), dueGrace)
	default:
		p.deadlines.Remove(&r.due)
	}
}

// emit adds an event of now about a reservation.
func (p *Plan) emit(e Event, r *reservationEntry) {
	e.At, e.Reservation, e.Series, e.Namespace = instant(p.now), r.Spec.ID, r.Series, r.Spec.Namespace
	p.events = append(p.events, e)
}

func (p *Plan) takeEvents() []Event {
	events := p.events
	p.events = nil
	return events
}

// end frees the slots of a reservation. Instances in them count on by
// themselves.
func (p *Plan) end(r *reservationEntry) {
	p.leave(r)
	if p.now < nanos(r.Params.End) {
		r.Params.End = instant(p.now)
	}
	occupied := r.Slots[:0]
	for _, slot := range r.Slots {
		if len(slot.Claims) > 0 {
			slot.Awaits, slot.Recalled = nil, ""
			occupied = append(occupied, slot)
		}
	}
	r.Slots = occupied
	r.Version++
	if r.Spec.AtEnd == Evict && len(r.Slots) > 0 {
		r.Phase = Expiring
		p.emit(Event{Kind: Expired, Instances: r.Instances()}, r)
	} else {
		p.over(r)
	}
	p.enter(r)
}

// endGrace asks for what is still there.
func (p *Plan) endGrace(r *reservationEntry) {
	p.leave(r)
	for _, id := range r.Instances() {
		p.emit(Event{Kind: EvictionDue, Instance: id}, r)
	}
	r.Version++
	p.over(r)
	p.enter(r)
}

// over makes a reservation, which is not entered, an ended one.
func (p *Plan) over(r *reservationEntry) {
	r.Phase = Ended
	instances := r.Instances()
	p.emit(Event{Kind: Over, Instances: instances}, r)
	if r.Spec.AtEnd == Keep {
		return
	}
	for _, id := range instances {
		slot, i := r.find(id)
		if claim := &r.Slots[slot].Claims[i]; !claim.Overstayed {
			claim.Overstayed = true
			if r.Spec.AtEnd == Drain {
				p.emit(Event{Kind: Overstayed, Instance: id, Node: r.Slots[slot].Node}, r)
			}
		}
	}
}

// overstay notes that an instance has not left at the end of its own duration.
func (p *Plan) overstay(instance string) {
	if entry, ok := p.claims[instance]; ok {
		p.deadlines.Remove(&entry.due)
		slot, i := entry.r.find(instance)
		at := &entry.r.Slots[slot]
		at.Claims[i].Overstayed = true
		entry.r.Version++
		if !entry.r.holding() {
			p.timelines[at.Node].obstacles++
		}
		p.emit(Event{Kind: Overstayed, Instance: instance, Node: at.Node}, entry.r)
		return
	}
	g := p.stays[instance]
	p.countStay(g, -1)
	g.Overstayed = true
	p.countStay(g, 1)
	p.deadlines.Remove(&g.due)
	p.events = append(p.events, Event{
		Kind: Overstayed, At: instant(p.now), Namespace: g.Namespace, Instance: instance, Node: g.Node,
	})
}

// dueKind orders deadlines of one instant: what frees capacity comes before what
// needs it.
type dueKind int8

const (
	dueEnd    dueKind = iota // of a reservation
	dueGrace                 // of one that evicts
	dueLeave                 // of a stay
	dueNotice                // before a start
	dueStart                 // of a reservation
)

// due is the next thing that time does to a reservation or a stay.
type due struct {
	deadline.Place
	at   int64
	rank dueKind
	id   string
}

// Before orders by time, rank and ID.
func (d *due) Before(other *due) bool {
	return cmp.Or(cmp.Compare(d.at, other.at), cmp.Compare(d.rank, other.rank), cmp.Compare(d.id, other.id)) < 0
}

// setDue gives what is due, which may be among the deadlines or not, its time
// and rank.
func (p *Plan) setDue(d *due, at int64, r dueKind) {
	d.at, d.rank = at, r
	p.deadlines.Set(d)
}
