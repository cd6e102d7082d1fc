package reservation

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Snapshot is the whole state of a Plan as data. Equal states give equal
// snapshots, and the same JSON byte for byte.
type Snapshot struct {
	// Now is the time that the plan has reached, in UTC.
	Now time.Time `json:"now"`
	// Created is the greatest Seq of a reservation that ever was.
	Created uint64 `json:"created,omitempty"`
	// Series are the reservations that repeat, by ID; their windows are among
	// Reservations.
	Series []Spec `json:"series,omitempty"`
	// Reservations and Stays by ID.
	Reservations []Reservation `json:"reservations,omitempty"`
	Stays        []Stay        `json:"stays,omitempty"`
	// Unsettled are the IDs of reservations that ResolveConflicts is to look at, sorted.
	Unsettled []string `json:"unsettled,omitempty"`
	// Past are the latest reservations that are no more, the oldest first.
	Past []PastReservation `json:"past,omitempty"`
}

// Snapshot returns a copy of the state. It takes time and memory in proportion to
// all that is in it, and sorts reservations and stays.
func (p *Plan) Snapshot() Snapshot {
	s := p.Outline()
	s.Reservations, s.Stays = slices.Collect(p.Reservations()), slices.Collect(p.allStays())
	return s
}

// Outline returns Snapshot without reservations and stays, which are the parts
// that grow.
func (p *Plan) Outline() Snapshot {
	return Snapshot{
		Now:       instant(p.now),
		Created:   p.created,
		Series:    p.allSeries(),
		Unsettled: slices.Sorted(maps.Keys(p.unsettled)),
		Past:      slices.Clone(p.latest()),
	}
}

func (p *Plan) allSeries() []Spec {
	var all []Spec
	for _, id := range slices.Sorted(maps.Keys(p.series)) {
		all = append(all, p.series[id].spec.Clone())
	}
	return all
}

// Restore returns a plan in the state of a snapshot that Plan.Snapshot made. It
// takes O(log h) in the holds of its node for each slot, claim and stay.
func Restore(s Snapshot) *Plan {
	p := NewPlan()
	p.now, p.created = nanos(s.Now), s.Created
	for i := range s.Series {
		p.series[s.Series[i].ID] = &seriesEntry{spec: s.Series[i].Clone()}
	}
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

// validate reports what no plan could have made: entries that a plan could not
// count, and one that counts twice.
func (s *Snapshot) validate() error {
	v := validation{known: make(map[string]bool), stands: make(map[string]bool), kept: make(map[string]bool), repeats: make(map[string]int)}
	for i := range s.Series {
		v.series(&s.Series[i])
	}
	for i := range s.Reservations {
		v.reservation(&s.Reservations[i])
	}
	for i := range s.Series {
		if v.repeats[s.Series[i].ID] == 0 {
			v.refuse("series", s.Series[i].ID, "want windows of it")
		}
	}
	for i := range s.Stays {
		v.stay(&s.Stays[i])
	}
	for _, id := range s.Unsettled {
		if !v.known[id] {
			v.refuse("unsettled", id, "no such reservation")
		}
	}
	return errors.Join(v.errs...)
}

// validation is how far the check of a snapshot has got.
type validation struct {
	errs    []error
	known   map[string]bool // reservations by ID
	stands  map[string]bool // instances by ID
	kept    map[string]bool // instances that slots are kept for
	repeats map[string]int  // reservations that repeat, to the number of their windows
}

func (v *validation) refuse(field string, value any, reason string) {
	v.errs = append(v.errs, invalid("snapshot."+field, value, reason))
}

func (v *validation) series(s *Spec) {
	if _, known := v.repeats[s.ID]; s.ID == "" || known {
		v.refuse("series", s.ID, "want distinct IDs")
	}
	v.repeats[s.ID] = 0
	if err := errors.Join(s.validateRules(), s.validateSize(s.Shape, s.Count)); err != nil {
		v.errs = append(v.errs, err)
	}
}

func (v *validation) reservation(r *Reservation) {
	if _, repeats := v.repeats[r.Spec.ID]; repeats {
		v.refuse("series", r.Spec.ID, "want distinct IDs")
	}
	if _, repeats := v.repeats[r.Series]; r.Series != "" && !repeats {
		v.refuse("reservations["+r.Spec.ID+"].series", r.Series, "no such reservation")
	} else if repeats {
		v.repeats[r.Series]++
	}
	field := "reservations[" + r.Spec.ID + "]"
	if r.Spec.ID == "" || v.known[r.Spec.ID] {
		v.refuse("reservations", r.Spec.ID, "want distinct IDs")
	}
	v.known[r.Spec.ID] = true
	if !slices.Contains([]State{Pending, Active, Expiring, Ended}, r.Phase) {
		v.refuse(field+".phase", r.Phase, "unknown")
	}
	if err := errors.Join(r.Spec.validateRules(), r.Spec.validateSize(r.Params.Shape, r.Params.Count)); err != nil {
		v.errs = append(v.errs, err)
	}
	v.window(field, r.Params.Start, r.Params.End, r.holding())
	if !v.size(field, r) {
		return
	}
	for i := range r.Slots {
		slot := &r.Slots[i]
		if slot.Recalled != "" {
			v.recall(field, r, slot)
		}
		if slot.Node == "" {
			if len(slot.Claims)+len(slot.Awaits) > 0 {
				v.refuse(field+".slots", i, "a lost slot with claims, or that waits")
			}
			continue
		}
		if r.holding() {
			v.devices(field, r.Params.Shape.GPU, slot.Devices)
		} else if len(slot.Awaits) > 0 {
			v.refuse(field+".slots", i, "a slot that waits after the end")
		}
		for j := range slot.Claims {
			v.claim(&slot.Claims[j])
		}
	}
}

// window refuses one that ends before it starts, or if it is not over at its start.
func (v *validation) window(field string, start, end time.Time, goesOn bool) {
	if nanos(end) < nanos(start) || goesOn && nanos(end) == nanos(start) {
		v.refuse(field+".end", end, "want an end after the start")
	}
}

// size reports whether a reservation has as many slots as its phase wants, and
// maintenance only its node.
func (v *validation) size(field string, r *Reservation) bool {
	closes := func() bool {
		return r.holding() && len(r.Slots) == 1 && r.Slots[0].Node == r.Spec.Node && len(r.Slots[0].Claims)+len(r.Slots[0].Awaits) == 0
	}
	switch count := len(r.Slots); {
	case r.Spec.Maintenance && !closes():
		v.refuse(field+".slots", count, "want the node that is closed, and nothing else")
	case !r.Spec.Maintenance && (count > MaxCount || r.holding() && count != r.Params.Count):
		v.refuse(field+".slots", count, "want as many as the count")
	default:
		return true
	}
	return false
}

func (v *validation) recall(field string, r *Reservation, slot *Slot) {
	if v.kept[slot.Recalled] || len(slot.Claims) > 0 || !r.holding() {
		v.refuse(field+".slots", slot.Recalled, "want distinct instances for which slots without claims are kept")
	}
	v.kept[slot.Recalled] = true
}

func (v *validation) claim(c *Claim) {
	field := "claims[" + c.ID + "]"
	v.instance(field, c.ID)
	whole, err := c.Held.Resources.Add(c.Excess.Resources)
	if err := errors.Join(err, c.Held.Resources.Validate(), c.Excess.Resources.Validate()); err != nil {
		v.errs = append(v.errs, placement.Within("snapshot."+field, err))
		return
	}
	if c.Held.Instances < 0 || c.Excess.Instances < 0 || c.Held.Instances+c.Excess.Instances != 1 {
		v.refuse(field, c.ID, "want the parts of one instance")
	}
	v.devices(field, whole.GPU, c.Devices)
}

func (v *validation) stay(s *Stay) {
	field := "stays[" + s.ID + "]"
	v.instance(field, s.ID)
	if s.Node == "" {
		v.refuse(field+".node", s.Node, "empty")
	}
	if err := s.Load.Resources.Validate(); err != nil || s.Load.Instances != 1 {
		v.refuse(field+".load", s.Load.Resources, "want one instance of amounts of at least 0")
	}
	v.devices(field, s.Load.Resources.GPU, s.Devices)
	if !s.Window.End.IsZero() {
		v.window(field+".window", s.Window.Start, s.Window.End, true)
	}
}

func (v *validation) instance(field, id string) {
	if id == "" || v.stands[id] {
		v.refuse(field, id, "want distinct instances")
	}
	v.stands[id] = true
}

func (v *validation) devices(field string, gpu int64, devices []int) {
	const most = placement.MaxDevices * placement.Device
	if want := (min(gpu, most) + placement.Device - 1) / placement.Device; int64(len(devices)) != want {
		v.refuse(field+".devices", len(devices), "want as many as the amount of GPU takes")
		return
	}
	for i, device := range devices {
		if device < 0 || device >= placement.MaxDevices || slices.Contains(devices[:i], device) {
			v.refuse(field+".devices", device, "want distinct indices below 1024")
		}
	}
}

// Before is called with what is about to change in a Plan, and may look at the
// Plan then: a host that copies it little by little learns what it has to copy
// first. A nil func is fine.
type Before struct {
	// Reservation is called with the ID of one that changes, comes or goes.
	Reservation func(id string)
	// Stay is called with the ID of an instance outside of slots.
	Stay func(id string)
}

// Before sets what is called before changes from now on, until it is set again.
// O(1); each change then costs one call.
func (p *Plan) Before(b Before) { p.before = b }

// Names yields the IDs of all reservations, in no order. The plan may change between
// two of them: what goes before its turn is then left out, and of what comes some is
// yielded.
func (p *Plan) Names() iter.Seq[string] { return maps.Keys(p.reservations) }

// StayNames yields the IDs of all stays, as Names does those of reservations.
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
		p.keepReservation(c.Reservation.Spec.ID)
	case Move, Wait, Recall, Withdraw, Fill:
		p.keepReservation(c.ID)
	case Vacate:
		p.keepReservation(c.ID)
	case Depart, Tell:
		p.keepStay(c.Instance)
	case Schedule:
		p.keepSeries(c.Series.ID)
	case Arrive, Settled:
	}
}

// announceDue says what a deadline is about to change.
func (p *Plan) announceDue(due *due) {
	entry, stands := p.claims[due.id]
	switch {
	case due.rank != dueLeave:
		p.keepReservation(due.id)
	case stands:
		p.keepReservation(entry.r.Spec.ID)
	default:
		p.keepStay(due.id)
	}
}
