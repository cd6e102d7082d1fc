package reservation

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Reserve decides on a new reservation: all of its slots or none. Slots go to
// the first nodes of Nodes.For that have room over the whole window; where
// none has, slots of strictly lower priority without instances are displaced.
// The reservation is in the last of the changes. No changes mean that this
// very spec is already reserved under its ID.
//
// Errors: InvalidError, ConflictError, RefusedError.
func (p *Plan) Reserve(nodes Nodes, spec Spec) ([]Change, error) {
	if r, ok := p.reservations[spec.ID]; ok {
		if r.Spec.Equal(spec) {
			return nil, nil
		}
		return nil, &ConflictError{spec.ID, "a reservation of another spec"}
	}
	terms, err := spec.terms(p.now)
	if err != nil {
		return nil, err
	}
	if err := knownNode(nodes, spec.Node); err != nil {
		return nil, err
	}
	r := &Reservation{Spec: spec.Clone(), Terms: terms, Seq: p.created + 1, Version: 1, Phase: Pending}
	if spec.ID == "" {
		r.Spec.ID = p.generatedID()
	}
	return p.reserve(nodes, r)
}

func knownNode(nodes Nodes, node string) error {
	if _, ok := nodes.Room(node); !ok && node != "" {
		return invalid("node", node, "unknown or out of service")
	}
	return nil
}

func (p *Plan) reserve(nodes Nodes, r *Reservation) ([]Change, error) {
	t := p.try(nodes)
	defer t.undo(0)
	if missing := t.fillUp(r); missing > 0 {
		t.undo(0)
		refused := t.refused(r.want(nil), r.load())
		refused.Missing, refused.Count = missing, r.Terms.Count
		refused.Earliest = t.earliest(r)
		return nil, refused
	}
	return append(t.changes, Change{Kind: Put, Reservation: r}), nil
}

// fillUp places slots until the reservation, which is not on the plan, has as
// many as its terms say, and then resettles whom that displaced. It returns
// how many found no room.
func (t *trial) fillUp(r *Reservation) (missing int) {
	var (
		taken   []string
		victims []slotRef
	)
	for _, slot := range r.Slots {
		if slot.Node != "" {
			taken = append(taken, slot.Node)
		}
	}
	for len(r.Slots) < r.Terms.Count {
		want := r.want(taken)
		h, ok := t.place(want, r.load())
		if !ok {
			var displaced []slotRef
			if h, displaced, ok = t.displace(want, r); !ok {
				return r.Terms.Count - len(r.Slots)
			}
			victims = append(victims, displaced...)
		}
		taken = append(taken, h.Node)
		r.Slots = append(r.Slots, Slot{Node: h.Node, Devices: h.Devices})
	}
	slices.SortFunc(victims, mostImportantFirst)
	t.resettle(victims, nil)
	return 0
}

// leastImportantFirst orders slots by who is displaced first.
func leastImportantFirst(a, b slotRef) int {
	return cmp.Or(givesWayBefore(&a.r.Reservation, &b.r.Reservation), cmp.Compare(a.slot, b.slot))
}

func mostImportantFirst(a, b slotRef) int { return leastImportantFirst(b, a) }

// displace puts a slot of r where the least important slots have to give way
// for it, and lifts those: the lowest priority, then the newest, then the
// fewest, then the node that comes first.
func (t *trial) displace(want Want, r *Reservation) (Hold, []slotRef, bool) {
	var (
		best    Hold
		victims []slotRef
	)
	for node := range t.nodes.For(&want) {
		h := Hold{Node: node, Window: want.Window, Load: r.load()}
		if found := t.victims(&h, r.Spec.Priority); found != nil && (victims == nil || compareVictims(found, victims) < 0) {
			best, victims = h, found
		}
	}
	if victims == nil {
		return Hold{}, nil, false
	}
	for _, ref := range victims {
		t.liftSlot(ref)
		t.staged[ref] = ""
	}
	t.put(best)
	return best, victims, true
}

// victims returns the slots that have to give way on the node of a hold, least
// important first, and sets its devices; nil if no choice of victims helps.
func (t *trial) victims(h *Hold, priority int32) []slotRef {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	var lifted []slotRef
	fits := false
	for _, ref := range t.plan.displaceable(h, priority) {
		if _, already := t.staged[ref]; already {
			continue
		}
		t.liftSlot(ref)
		lifted = append(lifted, ref)
		if fits = t.fit(h); fits {
			break
		}
	}
	if !fits {
		return nil
	}
	// Whoever is not in the way comes back, the most important first.
	var victims []slotRef
	for _, ref := range slices.Backward(lifted) {
		mark := len(t.done)
		for own := range ref.r.holds(ref.at()) {
			t.put(own)
		}
		if again := (Hold{h.Node, h.Window, h.Load, nil}); t.fit(&again) {
			*h = again
		} else {
			t.undo(mark)
			victims = append(victims, ref)
		}
	}
	slices.Reverse(victims)
	return victims
}

// displaceable returns the slots on the node of a hold that overlap with its
// window and that a reservation of that priority may displace, least important
// first.
func (p *Plan) displaceable(h *Hold, priority int32) []slotRef {
	g, ok := p.grounds[h.Node]
	if !ok {
		return nil
	}
	var refs []slotRef
	for id := range g.slots {
		r := p.reservations[id]
		if !r.holding() || r.Spec.Priority >= priority || !r.window().Overlaps(h.Window) {
			continue
		}
		for i := range r.Slots {
			if r.Slots[i].Node == h.Node && len(r.Slots[i].Claims) == 0 {
				refs = append(refs, slotRef{r, i})
			}
		}
	}
	slices.SortFunc(refs, leastImportantFirst)
	return refs
}

// compareVictims orders non-empty sets of victims, least important first
// within each, by how little it hurts to displace them.
func compareVictims(a, b []slotRef) int {
	dearest, other := a[len(a)-1].r, b[len(b)-1].r
	return cmp.Or(givesWayBefore(&dearest.Reservation, &other.Reservation), cmp.Compare(len(a), len(b)))
}

// Admit decides on an instance beside all reservations, which leaves after its
// Duration, or when told if it yields, or at an unknown time. It goes to the
// first node of Nodes.For with room, over its own window only. An instance
// that yields needs room just now: it may stand on what others hold from later
// on. No changes mean that it is already there.
//
// Errors: InvalidError, ConflictError, RefusedError.
func (p *Plan) Admit(nodes Nodes, req placement.Request) ([]Change, error) {
	if err := validateRequest(req); err != nil {
		return nil, err
	}
	window := Window{Start: instant(p.now)}
	if req.Duration > 0 {
		end, ok := addNanos(p.now, req.Duration)
		if !ok {
			return nil, invalid("duration", req.Duration, "the end is out of range")
		}
		window.End = instant(end)
	}
	stay := &Stay{
		ID: req.ID, Namespace: req.Namespace, Load: Load{req.Resources.Clone(), 1}, Window: window, Yield: req.Yield,
	}
	if g, ok := p.stays[req.ID]; ok && sameStay(&g.Stay, stay) {
		return nil, nil
	}
	if p.Counts(req.ID) {
		return nil, &ConflictError{req.ID, "another instance"}
	}
	t := p.try(nodes)
	defer t.undo(0)
	want := Want{
		ID: req.ID, Namespace: req.Namespace, Shape: req.Resources, Window: window, Preferences: req.Preferences,
	}
	if req.Yield {
		want.Window.End = instant(p.now + 1)
	}
	h, ok := t.place(want, stay.Load)
	if !ok {
		refused := t.refused(want, stay.Load)
		refused.Missing, refused.Count = 1, 1
		refused.Earliest = t.earliestSingle(want, stay.Load, p.now)
		return nil, refused
	}
	stay.Node, stay.Devices = h.Node, h.Devices
	return []Change{{Kind: Arrive, Stay: stay}}, nil
}

func sameStay(a, b *Stay) bool {
	length := func(w Window) int64 {
		if w.End.IsZero() {
			return forever
		}
		return w.end() - w.start()
	}
	return a.Namespace == b.Namespace && a.Yield == b.Yield && a.Load.Resources.Equal(b.Load.Resources) &&
		length(a.Window) == length(b.Window)
}

// Remove decides that an instance is gone, whether it stood in a slot or
// beside.
//
// Errors: ErrNotFound.
func (p *Plan) Remove(instance string) ([]Change, error) {
	if _, ok := p.stays[instance]; ok {
		return []Change{{Kind: Depart, Instance: instance}}, nil
	}
	return p.Unclaim(instance)
}
