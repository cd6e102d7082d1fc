package reservation

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Reserve decides on a new reservation: all of its slots or none. Slots go to
// the first nodes of Nodes.For that have room over the whole window; where
// none has, slots of strictly lower priority without instances are displaced.
// The reservation is in the last of the changes. No changes mean that this
// very spec is already reserved under its ID.
//
// It takes time in proportion to the slots and the nodes that For yields: one
// look at each node, O(log h) in its holds, serves all slots. With rules among
// the slots For is asked, and the nodes are looked at, for every slot, as they
// are where others are displaced, there with what could be displaced on each.
// Maintenance looks at each slot on its node, and at the nodes for those that move. A
// refusal looks at each node a few times more, and for Earliest at every instant
// at which room comes up on it; with rules among the slots it tries to place all
// slots from up to a thousand of these.
//
// Errors: ErrInvalid, ErrConflict, RefusedError.
func (p *Plan) Reserve(nodes Nodes, spec Spec) ([]PlanChange, error) {
	if asked, taken := p.askedAs(spec.ID); taken {
		if asked.Equal(spec) {
			return nil, nil
		}
		return nil, placement.Conflict(placement.KindReservation, spec.ID, "exists with another spec")
	}
	if spec.ID == "" {
		spec.ID = p.generatedID()
	}
	windows, err := spec.occurrences(p.now)
	if err := errors.Join(err, knownNode(nodes, spec.Node)); err != nil {
		return nil, err
	}
	t := p.try(nodes)
	defer t.undo(0)
	var puts []PlanChange
	for i, window := range windows {
		r := &Reservation{
			Spec: spec.of(window), Params: window.params, Seq: p.created + 1 + uint64(i), Version: 1, Phase: Pending,
		}
		if window.date != "" {
			r.Series = spec.ID
			if _, taken := p.askedAs(window.id); taken {
				return nil, placement.Conflict(placement.KindReservation, window.id, "exists by itself")
			}
		}
		if spec.Maintenance {
			r.Slots = []Slot{{Node: spec.Node}}
			t.close(r)
		} else if refused := t.fillUp(r); refused != nil {
			if refused.Date = window.date; refused.Date == "" {
				t.undo(0)
				refused.Earliest = t.earliest(r)
			}
			return nil, refused
		}
		puts = append(puts, PlanChange{Kind: Put, Reservation: r})
	}
	if !spec.Repeat.IsZero() {
		asked := spec.Clone()
		t.changes = append([]PlanChange{{Kind: Schedule, Series: &asked}}, t.changes...)
	}
	return append(t.changes, puts...), nil
}

// close closes a node for maintenance: slots of others that overlap with it, in
// which no instance stands, go elsewhere if there is room. The others stay until it
// begins; see ResolveConflicts.
func (t *trial) close(r *Reservation) {
	own := r.slotHold(&r.Slots[0])
	own.kind = closing
	t.put(own)
	refs := slices.DeleteFunc(t.plan.idleOn(own.Node), func(ref slotRef) bool {
		_, already := t.staged[ref]
		return already || !ref.r.window().Overlaps(own.Window)
	})
	slices.SortFunc(refs, leastImportantFirst)
	for _, ref := range refs {
		t.evict(ref)
	}
	for _, ref := range slices.Backward(refs) {
		h, ok := t.placeElsewhere(ref, nil)
		if !ok {
			for own := range ref.r.holds(ref.at()) {
				t.put(own)
			}
			delete(t.staged, ref)
			continue
		}
		t.staged[ref] = h.Node
		t.changes = append(t.changes, PlanChange{
			Kind: Move, ID: ref.r.Spec.ID, Slot: ref.slot, Node: h.Node, Devices: h.Devices, Because: []string{r.Spec.ID},
		})
	}
}

// idleOn returns the slots on a node that hold capacity and in which no instance
// stands.
func (p *Plan) idleOn(node string) []slotRef {
	g, ok := p.timelines[node]
	if !ok {
		return nil
	}
	var refs []slotRef
	for id := range g.slots {
		r := p.reservations[id]
		for i := range r.Slots {
			if r.holding() && !r.Spec.Maintenance && r.Slots[i].Node == node && len(r.Slots[i].Claims) == 0 {
				refs = append(refs, slotRef{r, i})
			}
		}
	}
	return refs
}

// askedAs returns the spec that an ID stands for, of a reservation or of one that
// repeats.
func (p *Plan) askedAs(id string) (*Spec, bool) {
	if s, ok := p.series[id]; ok {
		return &s.spec, true
	}
	if r, ok := p.reservations[id]; ok {
		return &r.Spec, true
	}
	return nil, false
}

// Reserved returns the ID of what the changes that Plan.Reserve has decided on
// make.
func Reserved(changes []PlanChange) string {
	for i := range changes {
		switch c := &changes[i]; c.Kind {
		case Schedule:
			return c.Series.ID
		case Put:
			return c.Reservation.Spec.ID
		default:
		}
	}
	return ""
}

func knownNode(nodes Nodes, node string) error {
	if _, ok := nodes.Room(node); !ok && node != "" {
		return invalid("node", node, "unknown or out of service")
	}
	return nil
}

// fillUp places slots until the reservation, which is not on the plan, has as
// many as its params say, and then resettles whom that displaced. It returns
// why there is no room for so many.
func (t *trial) fillUp(r *Reservation) *RefusedError {
	var (
		taken   []string
		victims []slotRef
	)
	for _, slot := range r.Slots {
		if slot.Node != "" && r.rulesAmongSlots() {
			taken = append(taken, slot.Node)
		}
	}
	want := r.want(taken)
	add := func(h hold) {
		if want.mindsTaken() {
			want.Taken = append(want.Taken, h.Node)
		}
		r.Slots = append(r.Slots, Slot{Node: h.Node, Devices: h.Devices})
	}
	for len(r.Slots) < r.Params.Count {
		for _, h := range t.fill(want, r.load(), r.Params.Count-len(r.Slots)) {
			add(h)
		}
		if len(r.Slots) == r.Params.Count {
			break
		}
		h, displaced, ok := t.displace(want, r)
		if !ok {
			refused := t.refused(want, r.load())
			refused.Missing, refused.Count = r.Params.Count-len(r.Slots), r.Params.Count
			return refused
		}
		victims = append(victims, displaced...)
		add(h)
	}
	slices.SortFunc(victims, mostImportantFirst)
	for _, ref := range victims {
		t.resettle(ref, []string{r.Spec.ID}, nil)
	}
	return nil
}

// leastImportantFirst orders slots by who is displaced first.
func leastImportantFirst(a, b slotRef) int {
	return cmp.Or(givesWayBefore(&a.r.Reservation, &b.r.Reservation), cmp.Compare(a.slot, b.slot))
}

// mostImportant orders reservations by who decides first.
func mostImportant(a, b *reservationEntry) int { return givesWayBefore(&b.Reservation, &a.Reservation) }

func mostImportantFirst(a, b slotRef) int { return leastImportantFirst(b, a) }

// displace puts a slot of r where the least important slots have to give way
// for it, and lifts those: the lowest priority, then the newest, then the
// fewest, then the node that comes first.
func (t *trial) displace(want Want, r *Reservation) (hold, []slotRef, bool) {
	var (
		best    hold
		victims []slotRef
	)
	for node := range t.nodes.For(&want) {
		h := hold{Node: node, Window: want.Window, Load: r.load(), Strategy: want.Preferences.Strategy, kind: want.kind}
		if found := t.victims(&h, r.Spec.Priority); found != nil && (victims == nil || compareVictims(found, victims) < 0) {
			best, victims = h, found
		}
	}
	if victims == nil {
		return hold{}, nil, false
	}
	for _, ref := range victims {
		t.evict(ref)
	}
	t.put(best)
	return best, victims, true
}

// victims returns the slots that have to give way on the node of a hold, least
// important first, and sets its devices; nil if no choice of victims helps.
func (t *trial) victims(h *hold, priority int32) []slotRef {
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
		if again := (hold{h.Node, h.Window, h.Load, nil, h.Strategy, h.kind, false}); t.fit(&again) {
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
func (p *Plan) displaceable(h *hold, priority int32) []slotRef {
	g, ok := p.timelines[h.Node]
	if !ok {
		return nil
	}
	var refs []slotRef
	for id := range g.slots {
		r := p.reservations[id]
		if !r.holding() || r.Spec.Maintenance || r.Spec.Priority >= priority || !r.window().Overlaps(h.Window) {
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

// refused explains why a load finds no room: which node comes nearest and who
// holds it.
func (t *trial) refused(want Want, load placement.Amounts) *RefusedError {
	refused := &RefusedError{Window: want.Window, Shape: load.Resources.Clone()}
	nearest := int64(-1)
	var nearestRoom Room
	s := t.plan.spanOf(want.Window, want.kind)
	for node, room := range t.nodes.For(&want) {
		free := t.plan.free(node, &room, &load, s)
		if short, share := t.plan.short(node, &room, &load, free, s); share > nearest {
			nearest, nearestRoom = share, room
			refused.Node, refused.Largest, refused.Short = node, free, short
		}
	}
	refused.Holders = t.inTheWayOf(refused.Node, &nearestRoom, want, &load)
	return refused
}

// short returns the dimension of which a node has the smallest share of what a
// load asks, and that share; free is how much of it would fit.
func (p *Plan) short(node string, room *Room, load *placement.Amounts, free placement.Resources, s span) (name placement.ResourceName, share int64) {
	if !p.timelines[node].takes(s) {
		return "", 0
	}
	if !p.timelines[node].fit(room, &placement.Amounts{Instances: load.Instances}, s, p.now) {
		return placement.NameInstances, 0
	}
	share = math.MaxInt64
	for of, asked := range load.Resources.All() {
		if has := placement.Utilization(free.Amount(of), asked); asked > 0 && has < share {
			name, share = of, has
		}
	}
	return name, share
}

// inTheWayOf returns what counts on a node at those times of a window at which
// a load does not fit.
func (t *trial) inTheWayOf(node string, room *Room, want Want, load *placement.Amounts) []Holder {
	p, s := t.plan, t.plan.spanOf(want.Window, want.kind)
	holders := slices.DeleteFunc(p.Holders(node, Window{instant(s.from), want.Window.End}), func(h Holder) bool {
		return h.ID == want.ID && !h.Instance // It is not in its own way.
	})
	starts := []int64{s.from}
	for _, h := range holders {
		starts = append(starts, max(s.from, h.Window.start()))
	}
	starts = slices.DeleteFunc(starts, func(at int64) bool {
		_, fits := p.fit(room, &hold{Node: node, Load: *load}, span{from: at, to: at + 1, kind: want.kind})
		return fits
	})
	if len(starts) == 0 {
		return holders // No GPU is free all the time, though one is at any time.
	}
	return slices.DeleteFunc(holders, func(h Holder) bool {
		return !slices.ContainsFunc(starts, func(at int64) bool { return h.Window.start() <= at && at < h.Window.end() })
	})
}
