package scheduler

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func (c *Placed) check(st *state) error {
	n, err := st.node(c.NodeID)
	if err != nil {
		return err
	}
	if err := st.checkSuccessor(c); err != nil {
		return err
	}
	req := c.Request()
	if c.class != nil {
		req = withValidRules(c.ID, c.Resources, c.rules)
	}
	if err := st.checkInstance(&req, n, index.Taken{Devices: c.Devices, Ports: c.DynamicPorts}, c.Generation); err != nil || c.Claim == nil {
		return err
	}
	return st.checkClaim(c)
}

// checkSuccessor refuses a placement that cannot take the place of the instance of
// its ID.
func (st *state) checkSuccessor(c *Placed) error {
	old := st.allocations.At(c.ID)
	switch {
	case !c.Move && old == nil:
		return nil
	case c.Move && (old == nil || old.state != running || old.covered() != nil || c.Claim != nil):
		return fmt.Errorf("no instance %q to move", c.ID)
	case c.Move && (c.Request().Namespace != old.namespace() || !c.Resources.Equal(old.resources)):
		return fmt.Errorf("%q moves with another request", c.ID)
	case !c.Move && old.state != lost, c.Generation <= old.generation:
		return placement.Conflict(placement.KindAllocation, c.ID, "is placed")
	}
	return nil
}

// withValidRules returns what is to be checked of a request whose rules were found
// valid.
func withValidRules(id string, r placement.Resources, rules *placement.Request) placement.Request {
	return placement.Request{ID: id, Resources: r, Ports: rules.Ports, DynamicPorts: rules.DynamicPorts}
}

func (st *state) checkInstance(req *placement.Request, n *node, taken index.Taken, generation uint64) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if st.generation(req.ID, generation) != nil {
		return placement.Conflict(placement.KindAllocation, req.ID, "is there twice")
	}
	return errors.Join(st.checkDimensions(req.Resources), checkDevices(n.Node, req.Resources.GPU, taken.Devices),
		checkDynamicPorts(req, taken.Ports))
}

// checkDimensions refuses amounts in more dimensions than a cluster has.
func (st *state) checkDimensions(r placement.Resources) error {
	return st.admitDimensions("resources.custom", r)
}

func (c *Resized) check(st *state) error {
	a, err := st.allocation(c.ID)
	if err != nil {
		return err
	}
	if err := c.Resources.Validate(); err != nil {
		return err
	}
	return errors.Join(st.checkDimensions(c.Resources), checkDevices(st.on(a).Node, c.Resources.GPU, c.Devices))
}

// checkDevices refuses devices that the node does not have, and a number of
// them other than the amount of GPU needs.
func checkDevices[D int | uint16](n *placement.Node, amount int64, devices []D) error {
	want := (amount + placement.Device - 1) / placement.Device
	if int64(len(devices)) != want {
		return fmt.Errorf("%d devices for %d thousandths of GPU", len(devices), amount)
	}
	for i, d := range devices {
		if d < 0 || int(d) >= n.Devices.Count || i > 0 && d <= devices[i-1] {
			return fmt.Errorf("device %d of node %q", d, n.ID)
		}
	}
	return nil
}

// checkDynamicPorts refuses dynamic ports that are not as many as the request asks
// for, in ascending order and none of its other ports. They need not be in the
// range of a node, which may have changed.
func checkDynamicPorts(req *placement.Request, ports []uint16) error {
	if len(ports) != req.DynamicPorts {
		return fmt.Errorf("%d dynamic ports of %d", len(ports), req.DynamicPorts)
	}
	for i, number := range ports {
		own := slices.ContainsFunc(req.Ports, func(port placement.Port) bool { return port.Number == number })
		if number == 0 || own || i > 0 && number <= ports[i-1] {
			return fmt.Errorf("dynamic port %d is none, or not the only one", number)
		}
	}
	return nil
}

// planCheck refuses changes of the plan that the state could not follow: those
// that name what is not there, and those that count something twice. It knows
// what the changes before have made of what it looks at.
type planCheck struct {
	*state
	updated *placement.Node   // a node as it will be after the changes, or nil
	put     map[string]int    // slots of reservations put, by ID
	ended   map[string]bool   // reservations withdrawn
	stands  map[string]string // instances in reservations put, to that
	repeats map[string]bool   // reservations scheduled
}

// checkPlan refuses changes of the plan that cannot be followed in their
// order. updated is a node as it will be after them, nil if none changes.
func (st *state) checkPlan(changes []reservation.PlanChange, updated *placement.Node) error {
	c := st.planCheck(updated)
	for i := range changes {
		if err := c.change(&changes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (st *state) planCheck(updated *placement.Node) *planCheck {
	return &planCheck{
		state: st, updated: updated,
		put: make(map[string]int), ended: make(map[string]bool), stands: make(map[string]string),
		repeats: make(map[string]bool),
	}
}

func (c *planCheck) change(change *reservation.PlanChange) error {
	switch change.Kind {
	case reservation.Schedule:
		return c.schedule(change.Series)
	case reservation.Put:
		if change.Reservation == nil {
			return fmt.Errorf("no reservation to put")
		}
		return c.reservation(change.Reservation)
	case reservation.Move:
		r, err := c.slotOf(change)
		if err != nil {
			return err
		}
		return c.slot(&reservation.Slot{Node: change.Node, Devices: change.Devices}, r.Params.Shape)
	case reservation.Wait:
		_, err := c.slotOf(change)
		return err
	case reservation.Recall:
		_, err := c.slotOf(change)
		if other := c.plan.KeptBy(change.Instance); change.Instance == "" || other != "" && other != change.ID {
			return fmt.Errorf("a slot of reservation %q is kept for %q, of %q already", change.ID, change.Instance, other)
		}
		return err
	case reservation.Vacate:
		if c.plan.KeptBy(change.Instance) == "" {
			return fmt.Errorf("no slot is kept for %q", change.Instance)
		}
		return nil
	case reservation.Withdraw:
		err := c.known(change.ID)
		c.ended[change.ID] = true
		return err
	case reservation.Settled:
		return c.known(change.ID)
	case reservation.Tell:
		if _, ok := c.plan.Stay(change.Instance); !ok {
			return placement.NotFound(placement.KindAllocation, change.Instance)
		}
		return c.known(change.ID)
	default:
		return fmt.Errorf("unknown change of the plan %q", change.Kind)
	}
}

func (c *planCheck) known(id string) error {
	if _, ok := c.plan.Reservation(id); !ok || c.ended[id] {
		return placement.NotFound(placement.KindReservation, id)
	}
	return nil
}

// slotOf returns the reservation whose slot a change is about, and refuses one
// that is not there.
func (c *planCheck) slotOf(change *reservation.PlanChange) (reservation.Reservation, error) {
	if err := c.known(change.ID); err != nil {
		return reservation.Reservation{}, err
	}
	r, _ := c.plan.Reservation(change.ID)
	slots, again := c.put[change.ID]
	if !again {
		slots = len(r.Slots)
	}
	if change.Slot < 0 || change.Slot >= slots {
		return r, fmt.Errorf("reservation %q has no slot %d", change.ID, change.Slot)
	}
	return r, nil
}

// reservation refuses one that the plan could not count, and one with
// instances that do not run in it or stand in another place as well.
func (c *planCheck) reservation(r *reservation.Reservation) error {
	if err := r.Params.Shape.Validate(); err != nil {
		return err
	}
	if err := r.Spec.Preferences.Validate(); err != nil {
		return err
	}
	if r.Spec.Maintenance {
		return c.maintenance(r)
	}
	if r.Spec.ID == "" || r.Params.Shape.IsZero() || len(r.Slots) > reservation.MaxCount || c.ended[r.Spec.ID] {
		return fmt.Errorf("reservation %q of %d times %s", r.Spec.ID, len(r.Slots), r.Params.Shape)
	}
	stood := make(map[string]bool)
	for i := range r.Slots {
		slot := &r.Slots[i]
		if err := c.slot(slot, r.Params.Shape); err != nil {
			return err
		}
		for _, claim := range slot.Claims {
			if stood[claim.ID] {
				return fmt.Errorf("instance %q stands in two slots of reservation %q", claim.ID, r.Spec.ID)
			}
			stood[claim.ID] = true
			if err := c.claim(r.Spec.ID, slot, &claim); err != nil {
				return err
			}
		}
	}
	return c.record(r)
}

// record notes a reservation that can be put, and refuses a window of what does not
// repeat.
func (c *planCheck) record(r *reservation.Reservation) error {
	if _, _, known := c.plan.Series(r.Series); r.Series != "" && !known && !c.repeats[r.Series] {
		return placement.NotFound(placement.KindReservation, r.Series)
	}
	c.put[r.Spec.ID] = len(r.Slots)
	return nil
}

// maintenance refuses what holds anything but its node, which may be gone by now.
func (c *planCheck) maintenance(r *reservation.Reservation) error {
	holds := len(r.Slots) == 1 && r.Slots[0].Node == r.Spec.Node && len(r.Slots[0].Claims)+len(r.Slots[0].Devices)+len(r.Slots[0].Awaits) == 0
	if r.Spec.ID == "" || r.Spec.Node == "" || !holds || !r.Params.Shape.IsZero() || c.ended[r.Spec.ID] {
		return fmt.Errorf("maintenance %q of node %q", r.Spec.ID, r.Spec.Node)
	}
	return c.record(r)
}

// schedule refuses a reservation that repeats under an ID that is taken.
func (c *planCheck) schedule(spec *reservation.Spec) error {
	if spec == nil || spec.ID == "" || spec.Repeat.IsZero() {
		return fmt.Errorf("no reservation that repeats")
	}
	if _, taken := c.plan.Reservation(spec.ID); taken || c.repeats[spec.ID] {
		return fmt.Errorf("a reservation %q already", spec.ID)
	}
	c.repeats[spec.ID] = true
	return spec.Preferences.Validate()
}

func (c *planCheck) claim(id string, slot *reservation.Slot, claim *reservation.Claim) error {
	a := c.allocations.At(claim.ID)
	if a == nil || a.state != running || c.on(a).ID != slot.Node || a.namespace() != claim.Namespace ||
		!slices.Equal(claim.Devices, deviceList(a.taken().Devices)) {
		return fmt.Errorf("instance %q is not on node %q with its slot", claim.ID, slot.Node)
	}
	if err := checkParts(claim, a.resources); err != nil {
		return err
	}
	other, stands := c.stands[claim.ID]
	if !stands {
		_, other, stands = c.plan.ClaimOf(claim.ID)
	}
	if _, stays := c.plan.Stay(claim.ID); stays || stands && other != id {
		return fmt.Errorf("instance %q stands in reservation %q and elsewhere", claim.ID, id)
	}
	c.stands[claim.ID] = id
	return nil
}

// checkParts refuses a claim whose parts are not the whole of what the
// instance takes.
func checkParts(claim *reservation.Claim, resources placement.Resources) error {
	whole, err := claim.Held.Resources.Add(claim.Excess.Resources)
	if err != nil || !whole.Equal(resources) || claim.Held.Instances+claim.Excess.Instances != 1 {
		return fmt.Errorf("claim of other amounts than %q takes", claim.ID)
	}
	for _, part := range []placement.Amounts{claim.Held, claim.Excess} {
		if err := part.Resources.Validate(); err != nil || part.Instances < 0 {
			return fmt.Errorf("claim of negative amounts by %q", claim.ID)
		}
	}
	return nil
}

func (c *planCheck) slot(slot *reservation.Slot, shape placement.Resources) error {
	if slot.Node == "" {
		return nil
	}
	n, err := c.node(slot.Node)
	if err != nil {
		return err
	}
	described := n.Node
	if c.updated != nil && c.updated.ID == n.ID {
		described = c.updated
	}
	return checkDevices(described, shape.GPU, slot.Devices)
}

// checkClaim refuses a claim of a slot that is not there or elsewhere, and one
// by an instance that the plan counts already.
func (st *state) checkClaim(c *Placed) error {
	r, ok := st.plan.Reservation(c.Claim.ID)
	claim := c.Claim.Claim
	switch {
	case !ok:
		return placement.NotFound(placement.KindReservation, c.Claim.ID)
	case c.Claim.Kind != reservation.Fill || claim == nil || claim.ID != c.ID ||
		claim.Namespace != c.Request().Namespace || !slices.Equal(claim.Devices, deviceList(c.Devices)):
		return fmt.Errorf("claim of another instance than %q", c.ID)
	case c.Claim.Slot < 0 || c.Claim.Slot >= len(r.Slots) || r.Slots[c.Claim.Slot].Node != c.NodeID:
		return fmt.Errorf("reservation %q has no slot %d on node %q", c.Claim.ID, c.Claim.Slot, c.NodeID)
	case st.plan.Counts(c.ID):
		return fmt.Errorf("instance %q stands elsewhere already", c.ID)
	}
	return checkParts(claim, c.Resources)
}
