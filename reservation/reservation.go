package reservation

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// State is where a reservation is in its life.
type State string

// The states of a reservation.
const (
	// Pending: before Start. Capacity is held for the window, none is used.
	Pending State = "pending"
	// Active: from Start to End. Slots can be claimed.
	Active State = "active"
	// Degraded: Pending or Active with slots that were lost, or that wait for
	// instances to leave. It ends when all slots are there again.
	Degraded State = "degraded"
	// Expiring: after End, while the Grace of Evict runs for instances that
	// are still there.
	Expiring State = "expiring"
	// Ended: nothing is held any more. The reservation is known until the
	// last of its instances is gone.
	Ended State = "ended"
	// Displaced: Pending or Active, and every slot was lost: nothing is held.
	// It ends when one is regained.
	Displaced State = "displaced"
)

// Reservation is a promise of capacity: Params.Count slots of Params.Shape.
type Reservation struct {
	// Spec as it was asked for, with its ID. What has been updated since is
	// in Params.
	Spec Spec `json:"spec"`
	// Params that hold now.
	Params Params `json:"params"`
	// Seq numbers reservations in the order in which they were made.
	Seq uint64 `json:"seq"`
	// Version grows with every change.
	Version uint64 `json:"version"`
	// Series is the ID of the reservation that repeats of which this is one
	// window.
	Series string `json:"series,omitempty"`
	// Phase is the state, Degraded and Displaced left aside; see State.
	Phase State `json:"phase"`
	// Noticed says that yielding instances in the way were asked to leave.
	Noticed bool `json:"noticed,omitempty"`
	// Slots of the reservation. After the end, those with instances in them.
	Slots []Slot `json:"slots,omitempty"`
}

// State returns the phase, Displaced if all slots are missing in it, or
// Degraded if some are or wait. O(slots).
func (r *Reservation) State() State {
	missing, held := r.Missing(), 0
	for i := range r.Slots {
		if r.Slots[i].Node != "" {
			held++
		}
	}
	switch {
	case !r.holding() || missing+r.Waiting() == 0:
		return r.Phase
	case held == 0:
		return Displaced
	default:
		return Degraded
	}
}

// Waiting returns how many slots wait for instances to leave. O(slots).
func (r *Reservation) Waiting() int {
	waiting := 0
	for i := range r.Slots {
		if len(r.Slots[i].Awaits) > 0 {
			waiting++
		}
	}
	return waiting
}

// Missing returns how many slots were lost. O(slots).
func (r *Reservation) Missing() int {
	missing := 0
	for i := range r.Slots {
		if r.Slots[i].lost() {
			missing++
		}
	}
	return missing
}

// Claims yields the instances of the reservation, slot by slot. O(slots and
// claims).
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
// O(slots), and O(c log c) in the claims.
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
// takes beyond its slot is in Claim.Excess and paid for by the claimant. O(slots
// and claims).
func (r *Reservation) Owes() placement.Amounts {
	var owed placement.Amounts
	if r.Spec.Maintenance {
		return owed
	}
	add := func(l placement.Amounts) {
		// The sum of all slots was checked when the parameters were.
		owed.Resources, _ = owed.Resources.Add(l.Resources)
		owed.Instances += l.Instances
	}
	for i := range r.Slots {
		if r.holding() && r.Slots[i].Node != "" {
			add(placement.OneInstance(r.Params.Shape))
			continue
		}
		for _, c := range r.Slots[i].Claims {
			add(c.Held)
		}
	}
	return owed
}

// Clone returns a copy that shares nothing with r. O(slots and claims).
func (r *Reservation) Clone() Reservation {
	c := *r
	c.Spec = r.Spec.Clone()
	c.Params.Shape = r.Params.Shape.Clone()
	c.Slots = copied(r.Slots)
	for i := range c.Slots {
		slot := &c.Slots[i]
		slot.Devices, slot.Awaits = copied(slot.Devices), copied(slot.Awaits)
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

// OwesOver returns the time over which what Owes returns is to be paid for. The
// Start is zero once it has come. The End is when the capacity is given back
// again; it is zero with Keep, and after the end, when instances that are still
// there count until they are released.
func (r *Reservation) OwesOver() Window {
	w := r.window()
	switch r.Phase {
	case Pending:
		return w
	case Active, Expiring:
		return Window{End: w.End}
	default:
		return Window{}
	}
}

// OwesBeyond yields what the reservation's namespace has to pay for beyond the time
// of OwesOver: the held part of each claim that has said that it will be there for
// longer, over the rest of its time. O(slots and claims).
func (r *Reservation) OwesBeyond() iter.Seq2[Window, placement.Amounts] {
	return func(yield func(Window, placement.Amounts) bool) {
		for c := range r.Claims() {
			if h, outstays := r.outstay("", &c); outstays && !yield(h.Window, c.Held) {
				return
			}
		}
	}
}

// holding reports whether the slots hold capacity.
func (r *Reservation) holding() bool { return r.Phase == Pending || r.Phase == Active }

// window returns the time over which the slots hold capacity, which depends on
// what becomes of instances at the end.
func (r *Reservation) window() Window {
	w := Window{r.Params.Start, r.Params.End}
	switch r.Spec.AtEnd {
	case Evict:
		w.End = w.End.Add(r.Spec.Grace)
	case Keep:
		w.End = time.Time{}
	case Drain:
	}
	return w
}

// slotHold returns the hold of a slot on its node.
func (r *Reservation) slotHold(slot *Slot) hold {
	return hold{slot.Node, r.window(), r.load(), slot.Devices, r.Spec.Preferences.Strategy, r.standing(slot), true}
}

// holds yields what the slot counts for on its node: while it holds capacity
// its whole shape and what its instances take beyond it, later just its
// instances.
func (r *Reservation) holds(slot *Slot) iter.Seq[hold] {
	return func(yield func(hold) bool) {
		if slot.Node == "" {
			return
		}
		own := r.slotHold(slot)
		if r.Spec.Maintenance {
			own.kind = closing
		}
		if len(slot.Awaits) > 0 {
			own.kind = firm
		}
		if r.holding() && !yield(own) {
			return
		}
		for i := range slot.Claims {
			if h := r.claimHold(slot.Node, &slot.Claims[i]); !h.Load.IsZero() && !yield(h) {
				return
			}
			if h, outstays := r.outstay(slot.Node, &slot.Claims[i]); outstays && !yield(h) {
				return
			}
		}
	}
}

// outstay returns what an instance counts for after the window of its slot, if
// it has said that it will be there for longer.
func (r *Reservation) outstay(node string, c *Claim) (hold, bool) {
	end := r.window().end()
	if r.Phase == Ended || c.Until.IsZero() || nanos(c.Until) <= end {
		return hold{}, false
	}
	return hold{Node: node, Window: Window{instant(end), c.Until}, Load: c.whole(), Devices: c.Devices}, true
}

// claimHold returns what an instance counts for beside the slot that it is in.
func (r *Reservation) claimHold(node string, c *Claim) hold {
	h := hold{Node: node, Window: r.window(), Load: c.Excess}
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

// givesWayBefore orders reservations by who is displaced first: the lowest
// priority, then the newest.
func givesWayBefore(a, b *Reservation) int {
	return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(b.Seq, a.Seq))
}
