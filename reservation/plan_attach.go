package reservation

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Attach decides that an instance which runs already, beside all slots, is a claim of
// a slot from now on: on the same node with the same GPUs, and paid for as if it had
// claimed the slot when it was placed. It is for a host that has lost its reservations
// or its slots and makes them again while the instances go on running. instance says
// where it runs and what it uses there; of a stay the plan knows that itself, and only
// its ID counts.
//
// Of the slots with enough left it takes the most used one that holds its node and, of a
// shape with GPUs, those that it uses. If there is none, a slot without instances comes
// to it, if the node has room for the rest of the slot there: one that is held
// elsewhere before one that is lost. Nothing is asked to make room for it, and neither
// the rules of the instance nor a maintenance of the node matter: it is there. No changes
// mean that it stands in the reservation already, also if that has ended since.
//
// It takes O(s log s) in the slots of the reservation, a look at each of its claims, and
// O(log h) in the holds of the node for each slot that could move.
//
// Errors: ErrNotFound, StateError, OwnerError, ErrConflict, ShortError.
func (p *Plan) Attach(nodes Nodes, id string, instance Stay) ([]PlanChange, error) {
	stay, counted := p.stays[instance.ID]
	if counted {
		instance = stay.Stay
	}
	req := placement.Request{ID: instance.ID, Namespace: instance.Namespace, Resources: instance.Load.Resources}
	r, err := p.claimFrom(id, &req, "attach to")
	if err != nil || r == nil {
		return nil, err
	}
	switch {
	case p.claims[req.ID] != nil:
		return nil, placement.Conflict(placement.KindInstance, req.ID, "stands in another reservation")
	case instance.Overstayed:
		return nil, placement.Conflict(placement.KindInstance, req.ID, "should have gone")
	}
	a := &attaching{trial: p.try(nodes), r: r, instance: &instance, req: &req, counted: counted}
	defer a.undo(0)
	if counted {
		a.lift(instance.hold())
	}
	short := &ShortError{ID: r.Spec.ID, Asked: req.Resources}
	changes := a.find(short)
	switch {
	case changes == nil:
		return nil, short
	case counted:
		return append([]PlanChange{{Kind: Depart, Instance: req.ID}}, changes...), nil
	}
	return changes, nil
}

// attaching is the search for the slot of an instance that runs, and that the trial
// does not count.
type attaching struct {
	*trial
	r        *reservationEntry
	instance *Stay
	req      *placement.Request // with what of it counts for a claim
	counted  bool               // as a stay, and not by the host
}

// find returns the changes by which the instance stands in a slot, nil if it finds
// none: short says why.
func (a *attaching) find(short *ShortError) []PlanChange {
	order := a.r.byUse(a.req.ID)
	for _, i := range order {
		if a.r.Slots[i].Node != "" && a.free(i, short) {
			if fill := a.fill(i, short); fill != nil {
				return []PlanChange{*fill}
			}
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(a.distance(i), a.distance(j)) })
	for _, i := range order {
		if slot := &a.r.Slots[i]; len(slot.Claims) == 0 && a.free(i, new(ShortError)) {
			if changes := a.bring(i); changes != nil {
				return changes
			}
		}
	}
	return nil
}

// free reports whether a slot is there for the instance.
func (a *attaching) free(i int, short *ShortError) bool {
	switch slot := &a.r.Slots[i]; {
	case slot.Spent:
		return false
	case slot.Recalled != "" && slot.Recalled != a.req.ID:
		short.Kept++
		return false
	}
	return true
}

// distance orders slots by how little it takes to bring them to the instance.
func (a *attaching) distance(i int) int {
	switch a.r.Slots[i].Node {
	case a.instance.Node:
		return 0
	case "":
		return 2
	default:
		return 1
	}
}

// fill returns the change that puts the instance into a slot as it is, nil if it does
// not stand there or there is too little left.
func (a *attaching) fill(i int, short *ShortError) *PlanChange {
	c := &claiming{plan: a.plan, nodes: a.nodes, ref: slotRef{a.r, i}}
	left, lacks := c.divide(a.req)
	short.note(left, lacks)
	slot := &a.r.Slots[i]
	room, stands := a.nodes.Room(a.instance.Node)
	c.claim.Devices, c.claim.Until = copied(a.instance.Devices), a.instance.Window.End
	switch {
	case lacks != "":
		return nil
	case !stands || slot.Node != a.instance.Node || len(slot.Awaits) > 0 || !a.onDevices(slot, &c.claim):
		short.Elsewhere++
		return nil
	case !a.fitsBeside(&room, slot, &c.claim):
		short.Excess++
		return nil
	case a.instance.Yield && !c.fitsAfterwards(a.beside(&room)):
		short.Outstays++
		return nil
	}
	return &PlanChange{Kind: Fill, ID: a.r.Spec.ID, Slot: i, Claim: &c.claim}
}

// onDevices reports whether what a claim takes of the slot's GPUs is left on those that
// the instance uses.
func (a *attaching) onDevices(slot *Slot, c *Claim) bool {
	gpu := c.Held.Resources.GPU
	if gpu == 0 {
		return true
	}
	left := a.r.devicesLeft(slot)
	return !slices.ContainsFunc(a.instance.Devices, func(device int) bool {
		return device >= len(left) || left[device] < deviceShare(gpu)
	})
}

// fitsBeside reports whether the node has room for what a claim takes beyond its slot,
// for as long as it counts there. That has been counted already if the instance is there
// for at least as long.
func (a *attaching) fitsBeside(room *Room, slot *Slot, c *Claim) bool {
	h := a.r.claimHold(slot.Node, c)
	if h.Load.IsZero() || !a.instance.Yield && a.instance.Window.end() >= h.Window.end() {
		return true
	}
	h.settled = true
	_, ok := a.plan.fitHold(a.beside(room), &h)
	return ok
}

// beside returns the room of the node without the instance.
func (a *attaching) beside(room *Room) *Room {
	if !a.counted {
		alone := room.without(a.instance)
		room = &alone
	}
	return room
}

// bring returns the changes by which a slot without instances comes to where the
// instance runs, or waits there no more, and has it; nil if there is no room. What the
// instance takes beyond the slot is of other dimensions: the slot itself, which the trial
// does not count there, is not in its way.
func (a *attaching) bring(i int) []PlanChange {
	ref, mark := slotRef{a.r, i}, len(a.done)
	slot := ref.at()
	a.evict(ref)
	defer func() {
		a.undo(mark)
		delete(a.staged, ref)
	}()
	devices, ok := a.devicesFor(slot)
	if !ok {
		return nil
	}
	before := *slot
	slot.Node, slot.Devices, slot.Awaits = a.instance.Node, devices, nil
	fill := a.fill(i, new(ShortError))
	at := *slot
	*slot = before
	switch {
	case fill == nil:
		return nil
	case before.Node == at.Node && slices.Equal(before.Devices, devices):
		return []PlanChange{{Kind: Wait, ID: a.r.Spec.ID, Slot: i}, *fill}
	}
	return []PlanChange{{Kind: Move, ID: a.r.Spec.ID, Slot: i, Node: at.Node, Devices: devices, Because: []string{a.req.ID}}, *fill}
}

// devicesFor returns the GPUs for a slot on the node of the instance, which are first
// of all those that it uses. It reports false if there is no room for the slot with the
// instance in it.
func (a *attaching) devicesFor(slot *Slot) (devices []int, ok bool) {
	want := a.wantAnother(a.r)
	if want.Node != "" && want.Node != a.instance.Node {
		return nil, false
	}
	want.Node = a.instance.Node
	s := a.plan.spanOf(want.Window, a.r.standing(&Slot{Recalled: slot.Recalled}))
	for node, room := range a.nodes.For(&want) { // which is one, at most
		beside := a.beside(&room)
		g, load := a.plan.timelines[node], a.r.load()
		if g.takes(s) && g.fit(beside, &load, s, a.plan.now) {
			left := g.devicesLeft(beside, s, a.plan.now)
			devices, ok = placement.ChooseDevices(left, load.Resources.GPU, want.Preferences.Strategy, a.instance.Devices...)
		}
	}
	return devices, ok
}

// without returns the room beside an instance that is in it.
func (r Room) without(s *Stay) Room {
	r.Used.Resources, _ = r.Used.Resources.Sub(s.Load.Resources)
	r.Used.Instances -= s.Load.Instances
	r.Devices = slices.Clone(r.Devices)
	for _, device := range s.Devices {
		if device < len(r.Devices) {
			r.Devices[device] -= deviceShare(s.Load.Resources.GPU)
		}
	}
	return r
}
