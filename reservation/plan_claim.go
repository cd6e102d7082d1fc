package reservation

import (
	"cmp"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Claim decides on an instance in a slot of an active reservation: the most
// used slot that has enough left, on a node that allows reports true for (nil
// allows all). In the dimensions of the shape it takes from the slot and never
// more than is left there; all else it takes from the node, until the
// reservation's window ends. The node must really have all of it: on one that
// shrank, or on which more runs than was thought, a slot is a promise and no
// proof. An instance whose Duration outlasts the window needs room on the node for
// that too, as beside the reservation. No changes mean that the same instance is already there with the same
// amounts, whatever has become of the reservation since. The request's
// Preferences and Ports are the host's business.
//
// It takes O(s log s) in the slots of the reservation and looks at each of its
// claims, and once at the node of each slot that it tries: most often the first.
// Other reservations, nodes and instances do not matter but for O(log h) in the
// holds of that node.
//
// Errors: ErrInvalid, ErrNotFound, StateError, OwnerError, ErrConflict,
// ShortError.
func (p *Plan) Claim(nodes Nodes, id string, req placement.Request, allows func(node string) bool) ([]PlanChange, error) {
	if err := validateRequest(req); err != nil {
		return nil, err
	}
	r, err := p.live(id, "claim from")
	switch {
	case err != nil:
		return nil, err
	case p.claimed(r, &req):
		return nil, nil
	case r.Phase != Active:
		return nil, &StateError{id, r.Phase, "claim from"}
	case r.displaced():
		return nil, &StateError{id, Displaced, "claim from"}
	case !slices.Contains(r.Spec.owners(), req.Namespace):
		return nil, &OwnerError{id, req.Namespace, r.Spec.owners()}
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
	short := &ShortError{ID: id, Asked: req.Resources}
	for _, i := range r.byUse() {
		slot := &r.Slots[i]
		if slot.Node == "" || slot.Spent {
			continue
		}
		if len(slot.Awaits) > 0 {
			short.Waiting++
			short.await(slot.Awaits)
			continue
		}
		c := &claiming{plan: p, nodes: nodes, r: r, slot: slot, strategy: req.Preferences.Strategy}
		c.claim.Until = until
		if c.fits(&req, allows, short) {
			return []PlanChange{{Kind: Fill, ID: id, Slot: i, Claim: &c.claim}}, nil
		}
	}
	return nil, short
}

// claimed reports whether an instance stands in the reservation already with
// the same amounts, also one that has outlived it.
func (p *Plan) claimed(r *reservationEntry, req *placement.Request) bool {
	if entry, ok := p.claims[req.ID]; !ok || entry.r != r {
		return false
	}
	slot, i := r.find(req.ID)
	c := &r.Slots[slot].Claims[i]
	return c.Namespace == req.Namespace && c.whole().Resources.Equal(req.Resources)
}

func validateRequest(req placement.Request) error {
	return req.Validate()
}

// byUse returns the slots in the order in which they are filled: the most used
// first, by the sum of the used parts of the shape.
func (r *Reservation) byUse() []int {
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
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(use[b], use[a]) })
	return order
}

// claiming is the trial of one slot for an instance.
type claiming struct {
	plan  *Plan
	nodes Nodes
	r     *reservationEntry
	slot  *Slot
	claim Claim
	// strategy of the instance, for the choice of GPUs.
	strategy placement.Strategy
}

// fits completes the claim and reports whether the slot and its node have it.
// If not, short says why.
func (c *claiming) fits(req *placement.Request, allows func(node string) bool, short *ShortError) bool {
	left, lacks := c.divide(req)
	if short.Left.IsZero() || short.Left.FitsIn(left) {
		short.Left, short.Short = left, lacks
	}
	node := c.slot.Node
	room, stands := c.nodes.Room(node)
	switch {
	case lacks != "":
	case allows != nil && !allows(node):
		short.Rules++
	case !c.claim.Excess.IsZero() && !c.fitExcess(&room):
		short.Excess++
		s := c.plan.span(c.r.window())
		free := c.plan.free(node, &room, &c.claim.Excess, s)
		short.Short, _ = c.plan.short(node, &room, &c.claim.Excess, free, s)
	case !stands:
		short.Used++
	default:
		lacks = c.lacksNow(&room)
		if lacks == "" && c.fitsAfterwards(&room) {
			return true
		}
		if short.Short = lacks; lacks == "" {
			short.Outstays++
		} else {
			short.Used++
		}
	}
	return false
}

// fitsAfterwards reports whether the node has room for as long as the instance
// says that it will be there, beyond the reservation's window.
func (c *claiming) fitsAfterwards(room *Room) bool {
	h, outstays := c.r.outstay(c.slot.Node, &c.claim)
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
	if lacks := c.plan.timelines[c.slot.Node].lacksNow(room, &whole); lacks != "" {
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
	used, shape := c.slot.used(), c.r.Params.Shape
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
		byDevice := c.r.devicesLeft(c.slot)
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
	left, g := c.r.devicesLeft(c.slot), c.plan.timelines[c.slot.Node]
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
	h := hold{Node: c.slot.Node, Window: c.r.window(), Load: c.claim.Excess, Strategy: c.strategy}
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

// Unclaim decides that an instance does not stand in its slot any more: until
// the reservation ends the slot has that again, after the end the node, and the
// node at once if the slot is to be claimed once. O(1); see Apply.
//
// A slot with instances stays on a node that has become too small. When the last
// of them has left, NodeChanged decides where the slot goes.
//
// Errors: ErrNotFound.
func (p *Plan) Unclaim(instance string) ([]PlanChange, error) {
	entry, ok := p.claims[instance]
	if !ok {
		return nil, placement.NotFound(placement.KindInstance, instance)
	}
	return []PlanChange{{Kind: Vacate, ID: entry.r.Spec.ID, Instance: instance}}, nil
}
