package reservation

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Claim decides on an instance in a slot of an active reservation: the most used slot
// that has enough left, on a node that allows reports true for (nil allows all). In the
// dimensions of the shape it takes from the slot and never more than is left there; all
// else it takes from the node, until the reservation's window ends. The node must
// really have all of it: on one that shrank, or on which more runs than was thought, a
// slot is a promise and no proof. An instance whose Duration outlasts the window needs
// room on the node for that too, as beside the reservation. No changes mean that the
// same instance stands there already with the same amounts, also if the reservation has
// ended since. One that its slot has left behind, on a lost node, is ErrConflict. The
// request's Preferences and Ports are the host's business.
//
// Where instances that yield stand in a lent slot, a claim that finds room beside
// them and all that is held for others is granted at once, and whoever is in the
// way of the rest of the slot is asked to leave. Else the slot moves, if another node
// has room for all of it: the changes are a Move and then the Fill. One that finds no
// such room is ErrWaiting and comes with changes, which are to be applied: they ask
// those in the way to leave within the Notice, and keep the slot for the instance. It
// is the one refusal that changes something.
// The same claim again is the same refusal until they have gone, or the slot has
// moved to where there is room, and then has the slot; Unclaim gives it up.
//
// It takes O(s log s) in the slots of the reservation and looks at each of its claims,
// and once at the node of each slot that it tries: most often the first. Other
// reservations, nodes and instances do not matter but for O(log h) in the holds of that
// node. Only where instances that yield are in the way does it look at the nodes, O(log
// h) each, until one has room for the slot.
//
// Errors: ErrInvalid, ErrNotFound, StateError, OwnerError, ErrConflict,
// ShortError.
func (p *Plan) Claim(nodes Nodes, id string, req placement.Request, allows func(node string) bool) ([]PlanChange, error) {
	if err := validateRequest(req); err != nil {
		return nil, err
	}
	r, err := p.claimFrom(id, &req, "claim from")
	if err != nil || r == nil {
		return nil, err
	}
	if r.displaced() {
		return nil, &StateError{id, Displaced, "claim from"}
	}
	if p.Counts(req.ID) {
		return nil, placement.Conflict(placement.KindInstance, req.ID, "is another instance")
	}
	var until time.Time
	if req.Duration > 0 {
		end, ok := addNanos(p.now, req.Duration)
		if !ok {
			return nil, invalid("duration", req.Duration, "the end is out of range")
		}
		until = instant(end)
	}
	return p.claimSlot(nodes, r, &req, until, allows)
}

// claimFrom returns the reservation of which an instance may claim a slot, nil if it
// stands there already.
func (p *Plan) claimFrom(id string, req *placement.Request, action string) (*reservationEntry, error) {
	r, err := p.live(id, action)
	switch {
	case err != nil:
		return nil, err
	case p.claimed(r, req):
		return nil, nil
	case r.Phase != Active:
		return nil, &StateError{id, r.Phase, action}
	case !slices.Contains(r.Spec.owners(), req.Namespace):
		return nil, &OwnerError{id, req.Namespace, r.Spec.owners()}
	}
	if other, waits := p.recalls[req.ID]; waits && other != r.Spec.ID {
		return nil, placement.Conflict(placement.KindInstance, req.ID, "waits for a slot of reservation "+other)
	}
	return r, nil
}

// claimSlot decides on the slot for an instance that may claim one.
func (p *Plan) claimSlot(nodes Nodes, r *reservationEntry, req *placement.Request, until time.Time, allows func(node string) bool) ([]PlanChange, error) {
	id, short := r.Spec.ID, &ShortError{ID: r.Spec.ID, Asked: req.Resources}
	var recall []PlanChange
	var lent slotRef // the slot that would be recalled
	for _, i := range r.byUse(req.ID) {
		slot := &r.Slots[i]
		switch {
		case slot.Node == "" || slot.Spent:
			continue
		case slot.Recalled != "" && slot.Recalled != req.ID:
			short.Kept++
			continue
		}
		c := &claiming{plan: p, nodes: nodes, ref: slotRef{r, i}, strategy: req.Preferences.Strategy}
		c.claim.Until = until
		if c.fits(req, allows, short) {
			return []PlanChange{{Kind: Fill, ID: id, Slot: i, Claim: &c.claim}}, nil
		}
		if recall == nil && len(c.asks) > 0 {
			lent = c.ref
			recall = append(c.asks, PlanChange{Kind: Recall, ID: id, Slot: i, Instance: req.ID, Because: c.awaits})
		}
	}
	if recall != nil {
		move := PlanChange{Kind: Move, ID: id, Slot: lent.slot, Because: recall[len(recall)-1].Because}
		if claim := p.claimElsewhere(nodes, &move, req, until, allows); claim != nil {
			return []PlanChange{move, {Kind: Fill, ID: id, Slot: lent.slot, Claim: claim}}, nil
		}
	}
	if slot := r.recalledFor(req.ID); slot >= 0 && len(r.Slots[slot].Awaits) > 0 {
		recall = nil // They have been asked.
	}
	return recall, short
}

// claimElsewhere decides on an instance in a slot that moves to where nobody has to
// leave for it, and completes the move. It returns nil if there is no such place.
func (p *Plan) claimElsewhere(nodes Nodes, move *PlanChange, req *placement.Request, until time.Time, allows func(node string) bool) *Claim {
	t, ref := p.try(nodes), slotRef{p.reservations[move.ID], move.Slot}
	defer t.undo(0)
	t.evict(ref)
	slot := ref.at()
	defer func(node string, devices []int) { slot.Node, slot.Devices = node, devices }(slot.Node, slot.Devices)
	want := t.wantAnother(ref.r)
	for node, room := range nodes.For(&want) {
		slot.Node, slot.Devices = node, nil
		h := ref.r.slotHold(slot)
		devices, ok := p.fit(&room, &h, p.spanOf(h.Window, firm))
		if !ok {
			continue
		}
		slot.Devices = devices
		mark := len(t.done)
		t.put(ref.r.slotHold(slot))
		c := &claiming{plan: p, nodes: nodes, ref: ref, strategy: req.Preferences.Strategy}
		c.claim.Until = until
		if c.fits(req, allows, new(ShortError)) {
			move.Node, move.Devices = node, devices
			return &c.claim
		}
		t.undo(mark)
	}
	return nil
}

// lastDue returns when the last of some instances that were asked to leave has to
// be gone.
func (p *Plan) lastDue(instances []string) time.Time {
	var last time.Time
	for _, id := range instances {
		if stay := p.stays[id]; stay != nil && stay.Due.After(last) {
			last = stay.Due
		}
	}
	return last
}

// dueFor returns until when instances that are asked now to leave for a
// reservation have time.
func (p *Plan) dueFor(r *reservationEntry) time.Time {
	if r.Phase == Pending {
		return r.Params.Start
	}
	due, ok := addNanos(p.now, r.Spec.Notice)
	if !ok {
		return instant(forever - 1)
	}
	return instant(due)
}

// recalledFor returns the slot that is kept for an instance, -1 if none is.
func (r *Reservation) recalledFor(instance string) int {
	return slices.IndexFunc(r.Slots, func(s Slot) bool { return s.Recalled == instance && instance != "" })
}

// claimed reports whether an instance stands in the reservation, or in another
// window of it, already with the same amounts, also one that has outlived it.
func (p *Plan) claimed(r *reservationEntry, req *placement.Request) bool {
	entry, ok := p.claims[req.ID]
	if !ok || entry.r != r && (r.Series == "" || entry.r.Series != r.Series) {
		return false
	}
	slot, i := entry.r.find(req.ID)
	c := &entry.r.Slots[slot].Claims[i]
	return c.Namespace == req.Namespace && c.whole().Resources.Equal(req.Resources)
}

func validateRequest(req placement.Request) error {
	return req.Validate()
}

// byUse returns the slots in the order in which they are filled: the one that is
// kept for the instance, then the most used first, by the sum of the used parts of
// the shape, then those that no yielding instance may stand in.
func (r *Reservation) byUse(instance string) []int {
	order := make([]int, len(r.Slots))
	use := make([]int64, len(r.Slots))
	for i := range r.Slots {
		order[i] = i
		if len(r.Slots[i].Claims) == 0 {
			continue
		}
		used := r.Slots[i].used()
		for name, amount := range r.Params.Shape.All() {
			use[i] += placement.Utilization(used.Resources.Amount(name), amount)
		}
		use[i]++ // An instance of nothing is use too.
	}
	if kept := r.recalledFor(instance); kept >= 0 {
		use[kept] = math.MaxInt64
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(use[b], use[a]) })
	return order
}

// Unclaim decides that an instance does not stand in its slot any more: until
// the reservation ends the slot has that again, after the end the node, and the
// node at once if the slot is to be claimed once. O(1); see Apply.
//
// A slot with instances stays on a node that has become too small. When the last
// of them has left, NodeChanged decides where the slot goes.
//
// If a slot is kept for the instance, because its claim waits for others to leave,
// it is kept no more.
//
// Errors: ErrNotFound.
func (p *Plan) Unclaim(instance string) ([]PlanChange, error) {
	entry, ok := p.claims[instance]
	if id, kept := p.recalls[instance]; kept {
		return []PlanChange{{Kind: Vacate, ID: id, Instance: instance}}, nil
	}
	if !ok {
		return nil, placement.NotFound(placement.KindInstance, instance)
	}
	return []PlanChange{{Kind: Vacate, ID: entry.r.Spec.ID, Instance: instance}}, nil
}
