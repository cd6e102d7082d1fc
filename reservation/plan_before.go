package reservation

import (
	"iter"
	"maps"
)

// Before is called with what is about to change in a Plan, and may look at the
// Plan then: a host that copies it little by little learns what it has to copy
// first. A nil func is fine.
type Before struct {
	// Reservation is called with the ID of one that changes, comes or goes.
	Reservation func(id string)
	// Stay is called with the ID of an instance outside of slots.
	Stay func(id string)
}

// Before sets what is called before changes from now on, until it is set anew.
// O(1); each change then costs one call.
func (p *Plan) Before(b Before) { p.before = b }

// Names yields the IDs of all reservations, StayNames those of all stays, in no
// order. The plan may change between two of them: what goes before its turn is
// then left out, and of what comes some is yielded.
func (p *Plan) Names() iter.Seq[string] { return maps.Keys(p.reservations) }

// StayNames is described at Names.
func (p *Plan) StayNames() iter.Seq[string] { return maps.Keys(p.stays) }

func (b *Before) reservation(id string) {
	if b.Reservation != nil {
		b.Reservation(id)
	}
}

func (b *Before) stay(id string) {
	if b.Stay != nil {
		b.Stay(id)
	}
}

// announce says what a change is about to change; arrive does for stays that
// come.
func (p *Plan) announce(c *PlanChange) {
	switch c.Kind {
	case Put:
		p.before.reservation(c.Reservation.Spec.ID)
	case Move, Wait, Withdraw, Fill:
		p.before.reservation(c.ID)
	case Vacate:
		p.before.reservation(p.claims[c.Instance].r.Spec.ID)
	case Depart, Tell:
		p.before.stay(c.Instance)
	case Arrive, Settled:
	}
}

// announceDue says what a deadline is about to change.
func (p *Plan) announceDue(due *deadline) {
	tenant, stands := p.claims[due.id]
	switch {
	case due.rank != rankLeave:
		p.before.reservation(due.id)
	case stands:
		p.before.reservation(tenant.r.Spec.ID)
	default:
		p.before.stay(due.id)
	}
}
