package reservation

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// State is where a reservation is in its life.
type State string

// The states of a reservation.
const (
	// Pending: before Start. Capacity is held for the window, none is used.
	Pending State = "pending"
	// Active: from Start to End. Slots can be claimed.
	Active State = "active"
	// Degraded: Pending or Active with fewer slots than asked for.
	Degraded State = "degraded"
	// Expiring: after End, while the Grace of Evict runs for instances that
	// are still there.
	Expiring State = "expiring"
	// Ended: nothing is held any more. The reservation is known until the
	// last of its instances is gone.
	Ended State = "ended"
	// Displaced: every slot was lost before the end. Nothing is held.
	Displaced State = "displaced"
)

// Reservation is a promise of capacity: Terms.Count slots of Terms.Shape.
type Reservation struct {
	// Spec as it was asked for, with its ID. What has been updated since is
	// in Terms.
	Spec Spec `json:"spec"`
	// Terms that hold now.
	Terms Terms `json:"terms"`
	// Seq numbers reservations in the order in which they were made.
	Seq uint64 `json:"seq"`
	// Version grows with every change.
	Version uint64 `json:"version"`
	// Phase is the state, Degraded left aside; see State.
	Phase State `json:"phase"`
	// Noticed says that yielding instances in the way were told to leave.
	Noticed bool `json:"noticed,omitempty"`
	// Slots of the reservation. After the end, those with instances in them.
	Slots []Slot `json:"slots,omitempty"`
}

// Slot is one unit of a reservation: Terms.Shape on one node.
type Slot struct {
	// Node that the slot is on; empty if the slot was lost.
	Node string `json:"node,omitempty"`
	// Devices are the indices of the GPUs that it holds.
	Devices []int `json:"devices,omitempty"`
	// Claims are the instances in the slot, in the order of their claims.
	Claims []Claim `json:"claims,omitempty"`
	// Spent says that the slot of a Once reservation was claimed.
	Spent bool `json:"spent,omitempty"`
}

// Claim is an instance that stands in a slot.
type Claim struct {
	// ID of the instance.
	ID        string `json:"id"`
	Namespace string `json:"namespace,omitempty"`
	// Held is the part that the slot covers and the reservation's namespace
	// pays for.
	Held Load `json:"held,omitzero"`
	// Excess is the part in dimensions beyond the shape, taken from the node
	// and paid for by Namespace. Every instance of a slot but one counts here
	// among the instances.
	Excess Load `json:"excess,omitzero"`
	// Devices are the GPUs that the instance uses.
	Devices []int `json:"devices,omitempty"`
	// Until is when the instance promised to be gone, zero if it did not. Its
	// part of the slot is free again only when it is gone.
	Until time.Time `json:"until,omitzero"`
	// Overstayed says that the instance should have gone.
	Overstayed bool `json:"overstayed,omitempty"`
}

// Stay is an instance outside of reservations that the Plan was told of,
// because it will leave at a known time or when told.
type Stay struct {
	// ID of the instance.
	ID        string `json:"id"`
	Namespace string `json:"namespace,omitempty"`
	Node      string `json:"node"`
	Load      Load   `json:"load"`
	Devices   []int  `json:"devices,omitempty"`
	// Window from when it came to when it promised to be gone. It counts
	// after that too, until it is said to be gone.
	Window Window `json:"window"`
	// Yield says that it stands on capacity that may be promised to others
	// from later on, and leaves when told.
	Yield bool `json:"yield,omitempty"`
	// Told says that it was told to leave.
	Told bool `json:"told,omitempty"`
	// Overstayed says that it should have gone.
	Overstayed bool `json:"overstayed,omitempty"`
}

// State returns the phase, or Degraded if slots are missing in it.
func (r *Reservation) State() State {
	if (r.Phase == Pending || r.Phase == Active) && r.Missing() > 0 {
		return Degraded
	}
	return r.Phase
}

// Missing returns how many slots were lost.
func (r *Reservation) Missing() int {
	missing := 0
	for i := range r.Slots {
		if r.Slots[i].Node == "" {
			missing++
		}
	}
	return missing
}

// Claims yields the instances of the reservation, slot by slot.
func (r *Reservation) Claims() iter.Seq[Claim] {
	return func(yield func(Claim) bool) {
		for i := range r.Slots {
			for _, c := range r.Slots[i].Claims {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Instances returns the IDs of the instances of the reservation, sorted.
func (r *Reservation) Instances() []string {
	var ids []string
	for c := range r.Claims() {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}

// Owes returns what the reservation's namespace has to pay for now: the whole
// of every slot until the end, also before the start and while instances
// stand in it; after the end the held part of those still there. What a claim
// takes beyond its slot is in Claim.Excess and paid for by the claimant.
func (r *Reservation) Owes() Load {
	var owed Load
	add := func(l Load) {
		// The sum of all slots was checked when the terms were.
		owed.Resources, _ = owed.Resources.Add(l.Resources)
		owed.Instances += l.Instances
	}
	for i := range r.Slots {
		if r.holding() && r.Slots[i].Node != "" {
			add(Load{r.Terms.Shape, 1})
			continue
		}
		for _, c := range r.Slots[i].Claims {
			add(c.Held)
		}
	}
	return owed
}

// Clone returns a copy that shares nothing with r.
func (r *Reservation) Clone() Reservation {
	c := *r
	c.Spec = r.Spec.Clone()
	c.Terms.Shape = r.Terms.Shape.Clone()
	c.Slots = copied(r.Slots)
	for i := range c.Slots {
		slot := &c.Slots[i]
		slot.Devices = copied(slot.Devices)
		slot.Claims = copied(slot.Claims)
		for j := range slot.Claims {
			slot.Claims[j] = slot.Claims[j].clone()
		}
	}
	return c
}

// copied returns a copy of a list, nil if it is empty: equal states are then
// equal in memory as well as in JSON.
func copied[T any](list []T) []T { return append([]T(nil), list...) }

func (c Claim) clone() Claim {
	c.Held, c.Excess, c.Devices = c.Held.Clone(), c.Excess.Clone(), copied(c.Devices)
	return c
}

func (s Stay) clone() Stay {
	s.Load, s.Devices = s.Load.Clone(), copied(s.Devices)
	return s
}

// holding reports whether the slots hold capacity.
func (r *Reservation) holding() bool { return r.Phase == Pending || r.Phase == Active }

// window returns the time over which the slots hold capacity, which depends on
// what becomes of instances at the end.
func (r *Reservation) window() Window {
	w := Window{r.Terms.Start, r.Terms.End}
	switch r.Spec.AtEnd {
	case Evict:
		w.End = w.End.Add(r.Spec.Grace)
	case Keep:
		w.End = time.Time{}
	case Drain:
	}
	return w
}

// slotHold returns the hold of a slot on a node.
func (r *Reservation) slotHold(node string, devices []int) Hold {
	return Hold{node, r.window(), Load{r.Terms.Shape, 1}, devices}
}

// holds yields what the slot counts for on its node: while it holds capacity
// its whole shape and what its instances take beyond it, later just its
// instances.
func (r *Reservation) holds(slot *Slot) iter.Seq[Hold] {
	return func(yield func(Hold) bool) {
		if slot.Node == "" {
			return
		}
		if r.holding() && !yield(r.slotHold(slot.Node, slot.Devices)) {
			return
		}
		for i := range slot.Claims {
			if h := r.claimHold(slot.Node, &slot.Claims[i]); !h.Load.IsZero() && !yield(h) {
				return
			}
		}
	}
}

// claimHold returns what an instance counts for beside the slot that it is in.
func (r *Reservation) claimHold(node string, c *Claim) Hold {
	h := Hold{Node: node, Window: r.window(), Load: c.Excess}
	if c.Excess.Resources.GPU > 0 {
		h.Devices = c.Devices
	}
	if !r.holding() {
		// The parts were one amount when the instance was claimed.
		h.Load = c.whole()
		h.Devices = c.Devices
	}
	if r.Phase == Ended {
		h.Window.End = time.Time{}
	}
	return h
}

// whole returns all that the instance takes.
func (c *Claim) whole() Load {
	sum, _ := c.Held.Resources.Add(c.Excess.Resources)
	return Load{sum, c.Held.Instances + c.Excess.Instances}
}

// stay returns the instance as one that has lost its slot, which had that window.
func (c *Claim) stay(node string, w Window) Stay {
	if !c.Until.IsZero() && nanos(c.Until) < w.end() {
		w.End = c.Until
	}
	return Stay{
		ID: c.ID, Namespace: c.Namespace, Node: node, Load: c.whole(), Devices: c.Devices,
		Window: w, Overstayed: c.Overstayed,
	}
}

// used returns what the instances in the slot take of it.
func (s *Slot) used() Load {
	var used Load
	for _, c := range s.Claims {
		used.Resources, _ = used.Resources.Add(c.Held.Resources)
		used.Instances += c.Held.Instances
	}
	return used
}

// claim returns the index of an instance's claim in the slot, or -1.
func (s *Slot) claim(id string) int {
	return slices.IndexFunc(s.Claims, func(c Claim) bool { return c.ID == id })
}

// hold returns what the instance counts for: for ever once it has overstayed.
func (s *Stay) hold() Hold {
	w := s.Window
	if s.Overstayed {
		w.End = time.Time{}
	}
	return Hold{s.Node, w, s.Load, s.Devices}
}

// givesWayBefore orders reservations by who is displaced first: the lowest
// priority, then the newest.
func givesWayBefore(a, b *Reservation) int {
	return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(b.Seq, a.Seq))
}
