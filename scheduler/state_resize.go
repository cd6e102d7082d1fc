package scheduler

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// canResize decides on other amounts for a running instance, which keeps its
// devices: only dimensions that grow need room.
func (st *state) canResize(now time.Time, a *allocation, to placement.Resources) (*Resized, error) {
	if a.state != running {
		return nil, placement.Conflict(placement.KindAllocation, a.id, "is lost")
	}
	if st.slotted(a) {
		return nil, placement.Conflict(placement.KindAllocation, a.id, "stands in a reservation, which has its own size")
	}
	req := placement.Request{ID: a.id, Resources: to}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	held := st.heldFrom(now, a)
	devices, err := st.resizeDevices(a, to.GPU, &held)
	if err == nil {
		err = st.roomToGrow(a, to, &held)
	}
	if exceeded := st.admitsResize(now, a, to); exceeded != nil || err != nil {
		return nil, both(err, exceeded)
	}
	return &Resized{ID: a.id, Resources: to, Devices: devices}, nil
}

// roomToGrow refuses growth beyond what is free on the node beside what is held
// there, GPUs left aside.
func (st *state) roomToGrow(a *allocation, to placement.Resources, held *index.Hold) error {
	allocatable, used := st.on(a).Allocatable(), st.index.Used(a.row)
	for name, amount := range to.All() {
		growth := amount - a.resources.Amount(name)
		free := allocatable.Amount(name) - used.Amount(name)
		if name != placement.NameGPU && growth > 0 && (free < growth || free-growth < held.Resources.Amount(name)) {
			return st.tooLarge(a, name)
		}
	}
	return nil
}

// heldFrom returns what is held on the node of an instance for others, from now
// until it leaves.
func (st *state) heldFrom(now time.Time, a *allocation) index.Hold {
	stay, ok := st.plan.Stay(a.id)
	switch {
	case !ok || stay.Overstayed:
		return st.index.Held(a.row)
	case stay.Yield:
		return st.heldBeside(st.on(a))
	default:
		return st.held(st.on(a), reservation.Window{Start: now, End: stay.Window.End})
	}
}

func (st *state) tooLarge(a *allocation, name placement.ResourceName) error {
	return st.refusedOn(a, placement.Reason{Kind: placement.ReasonResource, Name: name})
}

// refusedOn refuses something for an instance on the node where it is.
func (st *state) refusedOn(a *allocation, reason placement.Reason) error {
	return &UnschedulableError{ID: a.id, Version: st.seq, Total: 1, Reasons: []ReasonCount{{Reason: reason, Nodes: 1}}}
}

// resizeDevices returns the devices for another amount of GPU: those that the
// instance has, as far as it still needs them, and others as for a new one.
func (st *state) resizeDevices(a *allocation, amount int64, held *index.Hold) ([]uint16, error) {
	was, has := a.resources.GPU, deviceList(a.taken().Devices)
	switch {
	case amount == was:
		return a.taken().Devices, nil
	case was != 0 && amount != 0 && fractional(amount) != fractional(was):
		return nil, placement.Conflict(placement.KindAllocation, a.id, "cannot turn a fraction of a device into whole ones or back")
	}
	left, share := st.deviceLeft(st.on(a), held), min(was, placement.Device)
	for _, device := range has {
		left[device] = max(left[device]+share, share) // what it has is its own, whatever is held
	}
	devices, ok := placement.ChooseDevices(left, amount, a.class.Request().Preferences.Strategy, has...)
	if !ok || fractional(was) && amount > 0 && devices[0] != has[0] {
		return nil, st.tooLarge(a, placement.NameGPU)
	}
	return packed(devices), nil
}

func fractional(gpu int64) bool { return gpu%placement.Device != 0 }

// deviceLeft returns what is left of each device of a node, holds subtracted.
func (st *state) deviceLeft(n *node, held *index.Hold) []int64 {
	left := slices.Clone(st.index.DeviceFree(n.row))
	for i := range min(len(left), len(held.Devices)) { // of devices that are gone too, zero
		left[i] -= held.Devices[i]
	}
	return left
}

func (c *Resized) apply(st *state, out *outcome) {
	a := st.own(st.allocations.At(c.ID))
	before, _ := st.plan.Stay(a.id)
	if a.covered() == nil {
		st.leave(a, out)
	}
	st.index.Vacate(a.row, a.class, &a.resources, a.taken())
	if a.asked() == nil {
		asked := a.resources
		few := a.few()
		few.asked = &asked
		a.setFew(few)
	}
	st.recharge(a, c.Resources.Clone())
	a.take(slices.Clone(c.Devices), a.taken().Ports)
	a.version = st.seq
	st.index.Occupy(a.row, a.class, &a.resources, a.taken())
	st.resizeClaim(a, out)
	st.stay(a, before.Due, out)
	out.roomOn(st, st.on(a).ID)
}
