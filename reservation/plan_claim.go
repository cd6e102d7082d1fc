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
// reservation's window ends. No changes mean that the same instance is already
// there with the same amounts, whatever has become of the reservation since.
// The request's Preferences and Ports are the host's business.
//
// Errors: InvalidError, NotFoundError, StateError, OwnerError, ConflictError,
// ShortError.
func (p *Plan) Claim(nodes Nodes, id string, req placement.Request, allows func(node string) bool) ([]Change, error) {
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
	case !slices.Contains(r.Spec.owners(), req.Namespace):
		return nil, &OwnerError{id, req.Namespace, r.Spec.owners()}
	}
	if p.Counts(req.ID) {
		return nil, &ConflictError{req.ID, "another instance"}
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
		claim, left, fits := r.claimIn(slot, req)
		claim.Until = until
		if short.Left.IsZero() || short.Left.FitsIn(left) {
			short.Left = left
		}
		switch {
		case !fits:
		case allows != nil && !allows(slot.Node):
			short.Rules++
		case !p.fitExcess(nodes, r, slot.Node, &claim):
			short.Excess++
		default:
			return []Change{{Kind: Fill, ID: id, Slot: i, Claim: &claim}}, nil
		}
	}
	return nil, short
}

// claimed reports whether an instance stands in the reservation already with
// the same amounts, also one that has outlived it.
func (p *Plan) claimed(r *booked, req *placement.Request) bool {
	if tenant, ok := p.claims[req.ID]; !ok || tenant.r != r {
		return false
	}
	slot, i := r.find(req.ID)
	c := &r.Slots[slot].Claims[i]
	return c.Namespace == req.Namespace && c.whole().Resources.Equal(req.Resources)
}

func validateRequest(req placement.Request) error {
	return within("", req.Validate())
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
		for name, amount := range r.Terms.Shape.All() {
			use[i] += placement.Utilization(used.Resources.Amount(name), amount)
		}
		use[i]++ // An instance of nothing is use too.
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(use[b], use[a]) })
	return order
}

// claimIn divides a request into what a slot covers and what it does not, and
// chooses devices of the slot. It reports false if the slot has too little
// left, and what it has.
func (r *Reservation) claimIn(slot *Slot, req placement.Request) (claim Claim, left placement.Resources, fits bool) {
	claim = Claim{ID: req.ID, Namespace: req.Namespace}
	used, shape := slot.used(), r.Terms.Shape
	fits = true
	for name, asked := range req.Resources.All() {
		if shape.Amount(name) == 0 {
			claim.Excess.Resources = claim.Excess.Resources.With(name, asked)
			continue
		}
		claim.Held.Resources = claim.Held.Resources.With(name, asked)
	}
	for name, amount := range shape.All() {
		if amount == 0 {
			continue
		}
		spare := amount - used.Resources.Amount(name)
		left = left.With(name, spare)
		fits = fits && req.Resources.Amount(name) <= spare
	}
	if used.Instances == 0 {
		claim.Held.Instances = 1
	} else {
		claim.Excess.Instances = 1
	}
	if gpu := claim.Held.Resources.GPU; gpu > 0 {
		byDevice := r.devicesLeft(slot)
		devices, ok := placement.ChooseDevices(byDevice, gpu)
		claim.Devices, fits = devices, fits && ok
		left.GPU = usable(byDevice, gpu)
	}
	return claim, left, fits
}

// usable returns how much of what is left of each GPU can be had at once by who
// asks for a fraction, or for whole ones.
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
		left[i] = deviceShare(r.Terms.Shape.GPU)
	}
	for _, c := range slot.Claims {
		for _, i := range c.Devices {
			left[i] -= deviceShare(c.Held.Resources.GPU)
		}
	}
	return left
}

// fitExcess reports whether the node has room for what the slot does not
// cover, and chooses devices for that.
func (p *Plan) fitExcess(nodes Nodes, r *booked, node string, claim *Claim) bool {
	room, ok := nodes.Room(node)
	if !ok {
		return false
	}
	h := Hold{Node: node, Window: r.window(), Load: claim.Excess}
	devices, ok := p.Fit(&room, &h)
	if claim.Excess.Resources.GPU > 0 {
		claim.Devices = devices
	}
	return ok
}

// Unclaim decides that an instance does not stand in its slot any more: until
// the reservation ends the slot has that again, after the end the node.
//
// Errors: NotFoundError.
func (p *Plan) Unclaim(instance string) ([]Change, error) {
	tenant, ok := p.claims[instance]
	if !ok {
		return nil, &NotFoundError{"instance", instance}
	}
	return []Change{{Kind: Vacate, ID: tenant.r.Spec.ID, Instance: instance}}, nil
}
