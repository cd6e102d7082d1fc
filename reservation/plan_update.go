package reservation

import (
	"errors"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Update decides on new parameters for a reservation that has not ended, if it has
// still that version (0: any). All that it holds stays where it is and has to
// fit there under the new parameters; slots beyond the present ones are sought as
// in Reserve, and surplus ones are given back, lost ones first, then those that
// wait, then the last ones without instances. A slot that grows keeps
// its GPUs and gets more. Lost slots are looked for under the new parameters. Start
// can be changed before it has come; an End that has passed ends a reservation that
// has begun. Of a reservation that repeats, shape and count change in all windows that are
// not over, and start and end window by window under their own IDs. A failed update
// leaves everything exactly as it was.
//
// It takes time in proportion to the slots and claims of the reservation, O(log h)
// each in the holds of its node. Slots beyond the present ones cost what they do
// in Reserve. A refusal names no Earliest.
//
// Errors: ErrInvalid, ErrNotFound, StateError, VersionError, InUseError,
// RefusedError.
func (p *Plan) Update(nodes Nodes, id string, version uint64, params Params) ([]PlanChange, error) {
	r, err := p.live(id, "update")
	switch {
	case err != nil:
		return nil, err
	case !r.holding():
		return nil, &StateError{id, r.Phase, "update"}
	case version != 0 && version != r.Version:
		return nil, &VersionError{id, version, r.Version}
	}
	if r.Phase == Active && !params.End.IsZero() && nanos(params.End) <= p.now {
		return []PlanChange{{Kind: Withdraw, ID: r.Spec.ID}}, nil
	}
	windows := []*reservationEntry{r}
	if repeating, ok := p.series[id]; ok {
		if !params.Start.IsZero() || !params.End.IsZero() {
			return nil, invalid("id", id, "want that of a window, whose start or end can be changed")
		}
		windows = slices.DeleteFunc(p.windowsOf(repeating), func(w *reservationEntry) bool { return !w.holding() })
	}
	t := p.try(nodes)
	defer t.undo(0)
	var puts []PlanChange
	for _, w := range windows {
		updated, err := t.update(w, params)
		if err == nil {
			err = w.Spec.validateSize(updated.Params.Shape, updated.Params.Count*len(windows))
		}
		if err != nil {
			return nil, err
		}
		puts = append(puts, PlanChange{Kind: Put, Reservation: updated})
	}
	return append(t.changes, puts...), nil
}

// update gives a reservation other parameters, in the trial.
func (t *trial) update(r *reservationEntry, params Params) (*Reservation, error) {
	updated := r.Clone()
	updated.Version++
	if err := t.plan.amend(&updated, params); err != nil {
		return nil, err
	}
	if !updated.Spec.Maintenance && updated.shrink() > 0 {
		return nil, &InUseError{r.Spec.ID, r.Instances()}
	}
	for i := range r.Slots {
		t.liftSlot(slotRef{r, i})
	}
	if updated.Spec.Maintenance {
		t.close(&updated)
		return &updated, nil
	}
	if err := t.keep(r, &updated); err != nil {
		return nil, err
	}
	if refused := t.fillUp(&updated); refused != nil {
		return nil, refused
	}
	t.regain(&updated)
	return &updated, nil
}

// amend gives a reservation new parameters, if they are allowed.
func (p *Plan) amend(r *Reservation, params Params) error {
	if !params.Start.IsZero() && !params.Start.Equal(r.Params.Start) {
		if r.Phase != Pending {
			return &StateError{r.Spec.ID, r.State(), "change the start of"}
		}
		if !inRange(params.Start) {
			return invalid("start", params.Start, "out of range")
		}
		r.Params.Start = instant(max(nanos(params.Start), p.now))
		r.Noticed = false
	}
	if !params.End.IsZero() {
		r.Params.End = params.End.Round(0).UTC()
	}
	if !params.Shape.IsZero() {
		if before, after := r.Params.Shape.GPU, params.Shape.GPU; before > 0 && after > 0 &&
			(before < placement.Device) != (after < placement.Device) {
			return invalid("shape", params.Shape, "a fraction of a GPU cannot become whole ones or the reverse")
		}
		r.Params.Shape = params.Shape.Clone()
	}
	if params.Count != 0 {
		r.Params.Count = params.Count
	}
	return errors.Join(r.Spec.validateSize(r.Params.Shape, r.Params.Count), r.Spec.validateWindow(r.Params))
}

// shrink drops slots until there are no more than the parameters say, and returns
// how many are still too many.
func (r *Reservation) shrink() int {
	for _, droppable := range []func(Slot) bool{
		func(s Slot) bool { return s.Node == "" },
		func(s Slot) bool { return len(s.Awaits) > 0 },
		func(s Slot) bool { return len(s.Claims) == 0 },
	} {
		for i := len(r.Slots) - 1; i >= 0 && len(r.Slots) > r.Params.Count; i-- {
			if droppable(r.Slots[i]) {
				r.Slots = slices.Delete(r.Slots, i, i+1)
			}
		}
	}
	return len(r.Slots) - r.Params.Count
}

// keep puts the slots of an updated reservation, whose old self is lifted,
// where they were. What slots wait for is not in the way of waiting on.
func (t *trial) keep(old *reservationEntry, r *Reservation) error {
	mark := len(t.done)
	t.liftAwaited(old)
	awaited := slices.Clone(t.done[mark:])
	if err := t.keepAll(r); err != nil {
		return err
	}
	for _, c := range awaited {
		c.sign = -c.sign
		t.count(c)
	}
	return nil
}

// liftAwaited takes off the instances that slots of a reservation wait for.
func (t *trial) liftAwaited(r *reservationEntry) {
	nodes := make(map[string]bool)
	for i := range r.Slots {
		if slot := &r.Slots[i]; len(slot.Awaits) > 0 && !nodes[slot.Node] {
			nodes[slot.Node] = true
			t.liftLeaving(slot.Node)
		}
	}
}

func (t *trial) keepAll(r *Reservation) error {
	for i := range r.Slots {
		slot := &r.Slots[i]
		if slot.Node == "" {
			continue
		}
		if !slot.used().Resources.FitsIn(r.Params.Shape) {
			return &InUseError{r.Spec.ID, r.Instances()}
		}
		if err := t.keepSlot(r, slot); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) keepSlot(r *Reservation, slot *Slot) error {
	own := r.slotHold(slot)
	own.Devices = nil
	refused := func(h *hold) error {
		want := r.want(nil)
		want.Node = slot.Node
		refused := t.refused(want, h.Load)
		refused.Missing, refused.Count = 1, r.Params.Count
		return refused
	}
	// One that grows must not grow into maintenance.
	before := t.plan.reservations[r.Spec.ID].window()
	own.settled = own.Window.start() >= before.start() && own.Window.end() <= before.end()
	room, ok := t.nodes.Room(slot.Node)
	g, s := t.plan.timelines[slot.Node], t.plan.spanOf(own.Window, own.kind)
	s.settled = own.settled
	if !ok || !g.takes(s) || !g.fit(&room, &own.Load, s, t.plan.now) {
		return refused(&own)
	}
	if gpu := r.Params.Shape.GPU; gpu > 0 {
		preferred := slot.preferredDevices()
		own.Devices, ok = placement.ChooseDevices(g.devicesLeft(&room, s, t.plan.now), gpu, r.Spec.Preferences.Strategy, preferred...)
		if !ok || gpu < placement.Device && len(preferred) > 0 && own.Devices[0] != preferred[0] {
			return refused(&own)
		}
	}
	for _, c := range slot.Claims {
		for _, device := range c.Devices {
			if c.Held.Resources.GPU > 0 && !slices.Contains(own.Devices, device) {
				return &InUseError{r.Spec.ID, r.Instances()}
			}
		}
	}
	t.put(own)
	slot.Devices = own.Devices
	for i := range slot.Claims {
		h := r.claimHold(slot.Node, &slot.Claims[i])
		if !t.fit(&h) {
			return refused(&h)
		}
		t.put(h)
		if h, outstays := r.outstay(slot.Node, &slot.Claims[i]); outstays {
			t.put(h)
		}
	}
	return nil
}

// regain places those lost slots of an updated reservation for which there is
// room now.
func (t *trial) regain(r *Reservation) {
	for i := range r.Slots {
		slot := &r.Slots[i]
		if !slot.lost() {
			continue
		}
		var taken []string
		for j := range r.Slots {
			if r.Slots[j].Node != "" && r.rulesAmongSlots() {
				taken = append(taken, r.Slots[j].Node)
			}
		}
		want := r.want(taken)
		want.kind = r.standing(slot)
		h, ok := t.placeOn(want, r.load(), slot.Lost)
		if !ok {
			h, ok = t.place(want, r.load())
		}
		if !ok && len(taken) == 0 {
			return // Nor has any other.
		}
		if ok {
			slot.Node, slot.Devices, slot.Lost = h.Node, h.Devices, ""
		}
	}
}

// preferredDevices returns the slot's GPUs, those with instances first.
func (s *Slot) preferredDevices() []int {
	var preferred []int
	for _, c := range s.Claims {
		if c.Held.Resources.GPU > 0 {
			preferred = append(preferred, c.Devices...)
		}
	}
	return append(preferred, s.Devices...)
}

// Release decides that a reservation ends now, or all windows of one that repeats. It
// requires force while instances stand in it; they are then handled according to its
// AtEnd.
//
// It takes O(c log c) in the claims of the reservation; see Apply.
//
// Errors: ErrNotFound, StateError (it has ended), InUseError.
func (p *Plan) Release(id string, force bool) ([]PlanChange, error) {
	r, err := p.live(id, "release")
	if err != nil {
		return nil, err
	}
	windows := []*reservationEntry{r}
	if repeating, ok := p.series[id]; ok {
		windows = p.windowsOf(repeating)
	}
	var changes []PlanChange
	for _, w := range windows {
		switch {
		case !w.holding():
			continue
		case len(w.Instances()) > 0 && !force:
			return nil, &InUseError{w.Spec.ID, w.Instances()}
		}
		changes = append(changes, PlanChange{Kind: Withdraw, ID: w.Spec.ID})
	}
	if len(changes) == 0 {
		return nil, &StateError{id, r.Phase, "release"}
	}
	return changes, nil
}
