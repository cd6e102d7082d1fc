package reservation

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// claiming is the trial of one slot for an instance.
type claiming struct {
	plan  *Plan
	nodes Nodes
	ref   slotRef
	claim Claim
	// strategy of the instance, for the choice of GPUs.
	strategy placement.Strategy
	// asks ask those to leave that yield and are in the way of the slot as a
	// whole, and awaits are all whose leaving would help.
	asks   []PlanChange
	awaits []string
}

// fits completes the claim and reports whether the slot and its node have it.
// If not, short says why.
func (c *claiming) fits(req *placement.Request, allows func(node string) bool, short *ShortError) bool {
	left, lacks := c.divide(req)
	short.note(left, lacks)
	node := c.ref.at().Node
	room, stands := c.nodes.Room(node)
	switch {
	case lacks != "":
	case len(c.ref.at().Awaits) > 0:
		short.Waiting++
		short.await(c.ref.at().Awaits, c.plan.lastDue(c.ref.at().Awaits))
	case !c.open():
		short.Closed++
	case allows != nil && !allows(node):
		short.Rules++
	case !c.claim.Excess.IsZero() && !c.fitExcess(&room):
		short.Excess++
		s := c.plan.span(c.ref.r.window())
		free := c.plan.free(node, &room, &c.claim.Excess, s)
		short.Short, _ = c.plan.short(node, &room, &c.claim.Excess, free, s)
	case !stands:
		short.Used++
	default:
		return c.stands(&room, short)
	}
	return false
}

// open reports whether no maintenance of the node is in the way of the instance.
func (c *claiming) open() bool {
	s := span{from: c.plan.now, to: nanos(c.claim.Until)}
	if c.claim.Until.IsZero() {
		s.kind = endless
	}
	return c.plan.timelines[c.ref.at().Node].takes(s)
}

// stands reports whether the node has room for the instance at this moment and
// for as long as it says that it will be there. If not, it finds out whether
// there would be once those have gone that yield or are leaving.
func (c *claiming) stands(room *Room, short *ShortError) bool {
	lacks := c.lacksNow(room)
	switch {
	case lacks == "" && !c.fitsAfterwards(room):
		short.Outstays++
		short.Short = ""
		return false
	case lacks == "" && (c.sparesOthers(room) || !c.standsWithout(room)):
		return true // Who is in the way of the rest of the slot is asked afterwards; see Plan.fill.
	case lacks != "" && !c.standsWithout(room):
		short.Used++
		short.Short = lacks
		return false
	}
	due := c.plan.lastDue(c.awaits)
	if asked := c.plan.dueFor(c.ref.r); len(c.asks) > 0 && asked.After(due) {
		due = asked
	}
	short.Waiting++
	short.await(c.awaits, due)
	return false
}

// sparesOthers reports whether the node has room at this moment for the instance
// and those in its slot, beside those that yield in the slot and all that is kept
// for others. Else it would be somebody else who waits for them to leave.
func (c *claiming) sparesOthers(room *Room) bool {
	if !c.ref.r.Spec.Lend {
		return true
	}
	t, slot, now := c.plan.try(c.nodes), c.ref.at(), c.plan.now
	defer t.undo(0)
	t.liftSlot(c.ref)
	at := Window{instant(now), instant(now + 1)}
	for i := range slot.Claims {
		other := &slot.Claims[i]
		t.put(hold{Node: slot.Node, Window: at, Load: other.whole(), Devices: other.Devices})
	}
	own, g := hold{Load: c.claim.whole(), Devices: c.claim.Devices}, c.plan.timelines[slot.Node]
	for of, amount := range own.amounts() {
		if max(0, room.free(of))-g.lane(of).peak(span{now, now + 1, yielding, true}, now) < amount {
			return false
		}
	}
	return true
}

// standsWithout reports whether the node has room for the instance once those
// have gone that are leaving and in the way of the slot, and asks those to leave
// that yield.
func (c *claiming) standsWithout(room *Room) bool {
	t, ref, chosen := c.plan.try(c.nodes), c.ref, c.claim.Devices
	defer t.undo(0)
	own := ref.r.slotHold(ref.at())
	t.liftSlot(ref)
	if own.kind == lent {
		own.kind = firm
		t.put(own)
		for _, instance := range t.askFor(&own) {
			c.asks = append(c.asks, PlanChange{Kind: Tell, ID: ref.r.Spec.ID, Instance: instance})
		}
		t.lift(own)
	}
	g := c.plan.timelines[own.Node]
	for _, l := range t.inTheWay(&own) {
		c.awaits = append(c.awaits, l.id)
		g.use(l.load, l.devices, -1)
		defer g.use(l.load, l.devices, 1)
	}
	if len(c.awaits) > 0 && c.lacksNow(room) == "" && c.fitsAfterwards(room) {
		return true
	}
	c.asks, c.claim.Devices = nil, chosen
	return false
}

// fitsAfterwards reports whether the node has room for as long as the instance
// says that it will be there, beyond the reservation's window.
func (c *claiming) fitsAfterwards(room *Room) bool {
	h, outstays := c.ref.r.outstay(c.ref.at().Node, &c.claim)
	if !outstays {
		return true
	}
	_, ok := c.plan.fitHold(room, &h)
	return ok
}

// lacksNow chooses GPUs and returns the dimension of which the node really has
// too little at this moment for the instance, if any.
func (c *claiming) lacksNow(room *Room) placement.ResourceName {
	whole := c.claim.whole()
	if lacks := c.plan.timelines[c.ref.at().Node].lacksNow(room, &whole); lacks != "" {
		return lacks
	}
	if !c.chooseDevices(room) {
		return placement.NameGPU
	}
	return ""
}

// divide divides a request into what the slot covers and what it does not. It
// returns what the slot has left, and the first dimension in which that is too
// little, if any.
func (c *claiming) divide(req *placement.Request) (left placement.Resources, lacks placement.ResourceName) {
	c.claim.ID, c.claim.Namespace = req.ID, req.Namespace
	used, shape := c.ref.at().used(), c.ref.r.Params.Shape
	for name, asked := range req.Resources.All() {
		part := &c.claim.Held
		if shape.Amount(name) == 0 {
			part = &c.claim.Excess
		}
		part.Resources = part.Resources.With(name, asked)
	}
	for name, amount := range shape.All() {
		if amount == 0 {
			continue
		}
		spare := amount - used.Resources.Amount(name)
		left = left.With(name, spare)
		if lacks == "" && req.Resources.Amount(name) > spare {
			lacks = name
		}
	}
	if used.Instances == 0 {
		c.claim.Held.Instances = 1
	} else {
		c.claim.Excess.Instances = 1
	}
	if gpu := c.claim.Held.Resources.GPU; gpu > 0 {
		byDevice := c.ref.r.devicesLeft(c.ref.at())
		if _, ok := placement.ChooseDevices(byDevice, gpu, placement.BinPack); lacks == "" && !ok {
			lacks = placement.NameGPU
		}
		left.GPU = usable(byDevice, gpu)
	}
	return left, lacks
}

// chooseDevices chooses those of the slot's GPUs that instances leave for what
// the slot covers, and reports whether there are enough.
func (c *claiming) chooseDevices(room *Room) (ok bool) {
	gpu := c.claim.Held.Resources.GPU
	if gpu == 0 {
		return true
	}
	left, g := c.ref.r.devicesLeft(c.ref.at()), c.plan.timelines[c.ref.at().Node]
	for i := range left {
		left[i] = min(left[i], g.unused(room, lane{placement.NameGPU, i}))
		if !room.works(i) {
			left[i] = 0
		}
	}
	c.claim.Devices, ok = placement.ChooseDevices(left, gpu, c.strategy)
	return ok
}

// fitExcess reports whether the node has room for what the slot does not
// cover until the reservation's window ends, and chooses devices for that.
func (c *claiming) fitExcess(room *Room) bool {
	h := hold{Node: c.ref.at().Node, Window: c.ref.r.window(), Load: c.claim.Excess, Strategy: c.strategy, settled: true}
	devices, ok := c.plan.fitHold(room, &h)
	if c.claim.Excess.Resources.GPU > 0 {
		c.claim.Devices = devices
	}
	return ok
}

// usable returns the largest amount of GPU that one claim could take: a fraction
// of one device, or all whole devices.
func usable(left []int64, asked int64) int64 {
	sum := int64(0)
	for _, l := range left {
		switch {
		case asked < placement.Device:
			sum = max(sum, l)
		case l == placement.Device:
			sum += l
		}
	}
	return sum
}

// devicesLeft returns what instances in the slot leave of its GPUs, by index
// on the node.
func (r *Reservation) devicesLeft(slot *Slot) []int64 {
	left := make([]int64, slices.Max(slot.Devices)+1)
	for _, i := range slot.Devices {
		left[i] = deviceShare(r.Params.Shape.GPU)
	}
	for _, c := range slot.Claims {
		for _, i := range c.Devices {
			left[i] -= deviceShare(c.Held.Resources.GPU)
		}
	}
	return left
}
