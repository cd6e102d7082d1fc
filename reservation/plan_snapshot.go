package reservation

import (
	"maps"
	"slices"
	"time"
)

// Snapshot is the whole state of a Plan as data. Equal states give equal
// snapshots, and the same JSON byte for byte.
type Snapshot struct {
	// Now is the time that the plan has reached, in UTC.
	Now time.Time `json:"now"`
	// Created is the greatest Seq of a reservation that ever was.
	Created uint64 `json:"created,omitempty"`
	// Reservations and Stays by ID.
	Reservations []Reservation `json:"reservations,omitempty"`
	Stays        []Stay        `json:"stays,omitempty"`
	// Unsettled are the IDs of reservations that Settle is to look at, sorted.
	Unsettled []string `json:"unsettled,omitempty"`
	// Past are the latest reservations that are no more, the oldest first.
	Past []PastReservation `json:"past,omitempty"`
}

// Snapshot returns a copy of the state. It takes time and memory in proportion to
// all that is in it, and sorts reservations and stays.
func (p *Plan) Snapshot() Snapshot {
	s := p.Outline()
	s.Reservations, s.Stays = slices.Collect(p.Reservations()), slices.Collect(p.Stays())
	return s
}

// Outline returns Snapshot without reservations and stays, which are the parts
// that grow.
func (p *Plan) Outline() Snapshot {
	return Snapshot{
		Now:       instant(p.now),
		Created:   p.created,
		Unsettled: slices.Sorted(maps.Keys(p.unsettled)),
		Past:      slices.Clone(p.past[max(0, len(p.past)-remembered):]),
	}
}

// Restore returns a plan in the state of a snapshot that Plan.Snapshot made. It
// takes O(log h) in the holds of its node for each slot, claim and stay.
func Restore(s Snapshot) *Plan {
	p := NewPlan()
	p.now, p.created = nanos(s.Now), s.Created
	for i := range s.Reservations {
		p.put(&s.Reservations[i])
	}
	for _, stay := range s.Stays {
		p.arrive(stay.clone())
	}
	p.past = slices.Clone(s.Past)
	clear(p.unsettled)
	for _, id := range s.Unsettled {
		p.unsettled[id] = struct{}{}
	}
	return p
}
