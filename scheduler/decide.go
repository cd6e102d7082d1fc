package scheduler

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// The methods of this file decide: they look at the state, change nothing,
// and return a Change to apply or the refusal.

// found is where a request goes: to a place on a node, or to the allocation
// that exists already under its ID.
type found struct {
	existing   *allocation
	node       *node
	class      *index.Class
	devices    []uint16
	score      int
	generation uint64
	claim      *reservation.Change
}

// find decides where the request goes: to the given node, or if that is nil
// to the best one.
func (st *state) find(now time.Time, req *placement.Request, on *node) (found, error) {
	st.asked = st.query(req) // kept, since the index makes it escape
	q := &st.asked
	generation, existing, err := st.identify(req, q)
	switch {
	case err != nil:
		return found{}, err
	case existing != nil && on != nil && on != existing.node:
		return found{}, &ConflictError{KindAllocation, req.ID, "is placed on node " + existing.node.ID}
	case existing != nil:
		return found{existing: existing}, nil
	}
	to, err := st.choose(now, req, q, on)
	if exceeded := st.admits(now, req); exceeded != nil || err != nil {
		return found{}, both(err, exceeded)
	}
	return found{
		node: st.slots[to.Slot], class: q.Class, devices: st.index.Devices(q, to.Slot, to.held),
		score: to.Terms.Normalized(), generation: generation,
	}, nil
}

// identify looks the request's ID up: it returns the allocation that exists
// already, or the generation of a new one.
func (st *state) identify(req *placement.Request, q *index.Query) (generation uint64, existing *allocation, err error) {
	generation = 1
	for _, replaced := range st.stale[req.ID] { // a report may have come with a smaller one since
		generation = max(generation, replaced.generation+1)
	}
	switch old := st.allocations[req.ID]; {
	case old == nil && st.released.known[req.ID]:
		return 0, nil, &ReleasedError{req.ID}
	case old == nil:
		return generation, nil, nil
	case !old.answers(req, q.Class):
		return 0, nil, &ConflictError{KindAllocation, req.ID, "is placed with another request"}
	case old.state == lost:
		return max(generation, old.generation+1), nil, nil
	default:
		return old.generation, old, nil
	}
}

// both joins a refusal by capacity and one by quota; one alone stays itself.
func both(capacity, quota error) error {
	switch {
	case quota == nil:
		return capacity
	case capacity == nil:
		return quota
	default:
		return errors.Join(capacity, quota)
	}
}

// choose returns the place that the request takes, or the refusal.
func (st *state) choose(now time.Time, req *placement.Request, q *index.Query, on *node) (spot, error) {
	if on != nil {
		return st.chooseOn(now, q, on)
	}
	choice, ok := st.index.Best(q)
	if _, bounded := ownWindow(now, req); bounded && len(st.reserved) > 0 {
		var ordinary *spot
		if ok {
			ordinary = &spot{Choice: choice}
		}
		if best := st.backfill(now, q, ordinary); best != nil {
			return *best, nil
		}
	}
	if !ok {
		return spot{}, st.unschedulable(q)
	}
	return spot{Choice: choice}, nil
}

func (st *state) chooseOn(now time.Time, q *index.Query, on *node) (spot, error) {
	if terms, ok := st.index.Evaluate(q, on.slot, nil); ok {
		return spot{Choice: index.Choice{Slot: on.slot, Terms: terms}}, nil
	}
	if to, ok := st.backfilled(now, q, on); ok {
		return *to, nil
	}
	failures := st.index.Verdict(q, on.slot).Failures
	return spot{}, &UnschedulableError{
		ID: q.ID, Version: st.seq, Total: 1, Reasons: []ReasonCount{{failures[0].Reason, 1}},
	}
}

func (st *state) unschedulable(q *index.Query) error {
	e := &UnschedulableError{ID: q.ID, Version: st.seq, Total: len(st.nodes)}
	for _, tally := range st.index.Count(q) {
		e.Reasons = append(e.Reasons, ReasonCount(tally))
	}
	return e
}

// canResize decides on other amounts for a running instance, which keeps its
// devices: only dimensions that grow need room.
func (st *state) canResize(now time.Time, a *allocation, to placement.Resources) (*Resized, error) {
	if a.state != running {
		return nil, &ConflictError{KindAllocation, a.id, "is lost"}
	}
	if st.slotted(a) {
		return nil, &ConflictError{KindAllocation, a.id, "stands in a reservation, which has its own size"}
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
func (st *state) roomToGrow(a *allocation, to placement.Resources, held *index.Held) error {
	allocatable, used := a.node.Allocatable(), st.index.Used(a.node.slot)
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
func (st *state) heldFrom(now time.Time, a *allocation) index.Held {
	stay, ok := st.plan.Stay(a.id)
	switch {
	case !ok || stay.Overstayed:
		return st.index.Held(a.node.slot)
	case stay.Yield:
		return st.held(a.node, reservation.Window{Start: now, End: now.Add(1)}).Held
	default:
		return st.held(a.node, reservation.Window{Start: now, End: stay.Window.End}).Held
	}
}

func (st *state) tooLarge(a *allocation, name placement.ResourceName) error {
	return &UnschedulableError{ID: a.id, Version: st.seq, Total: 1, Reasons: []ReasonCount{{
		Reason: placement.Reason{Kind: placement.ReasonResource, Name: name}, Nodes: 1,
	}}}
}

// resizeDevices returns the devices for another amount of GPU: those that the
// instance has, as far as it still needs them, and others as for a new one.
func (st *state) resizeDevices(a *allocation, amount int64, held *index.Held) ([]uint16, error) {
	was, has := a.resources.GPU, deviceList(a.devices)
	switch {
	case amount == was:
		return a.devices, nil
	case was != 0 && amount != 0 && fractional(amount) != fractional(was):
		return nil, &ConflictError{KindAllocation, a.id, "can not turn a fraction of a device into whole ones or back"}
	}
	left, share := st.deviceLeft(a.node, held), min(was, placement.Device)
	for _, device := range has {
		left[device] = max(left[device]+share, share) // what it has is its own, whatever is held
	}
	devices, ok := placement.ChooseDevices(left, amount, has...)
	if !ok || fractional(was) && amount > 0 && devices[0] != has[0] {
		return nil, st.tooLarge(a, placement.NameGPU)
	}
	return packed(devices), nil
}

func fractional(gpu int64) bool { return gpu%placement.Device != 0 }

// deviceLeft returns what is left of each device of a node, holds subtracted.
func (st *state) deviceLeft(n *node, held *index.Held) []int64 {
	left := slices.Clone(st.index.DeviceFree(n.slot))
	for i := range min(len(left), len(held.Devices)) { // of devices that are gone too, zero
		left[i] -= held.Devices[i]
	}
	return left
}

// admit decides on a node that is new, or an update of one.
func (st *state) admit(n placement.Node) (canonical placement.Node, reference placement.Resources, err error) {
	if err := n.Validate(); err != nil {
		return n, reference, err
	}
	canonical = n.Canonical()
	allocatable := canonical.Allocatable()
	if !st.index.Admits(allocatable) {
		return n, reference, &placement.InvalidError{
			Field: "capacity.custom", Value: n.ID, Reason: "the cluster would have more than 16 dimensions",
		}
	}
	reference = st.index.Reference()
	for name, amount := range allocatable.All() {
		if r := placement.Reference(amount); r > reference.Amount(name) {
			reference = reference.With(name, r)
		}
	}
	return canonical, reference, nil
}

func (st *state) admitNew(n placement.Node) (*NodeAdded, error) {
	canonical, reference, err := st.admit(n)
	if err != nil {
		return nil, err
	}
	if _, exists := st.nodes[n.ID]; exists {
		return nil, &ConflictError{KindNode, n.ID, "exists"}
	}
	return &NodeAdded{Node: canonical, Join: st.joins + 1, Reference: reference}, nil
}

func (st *state) admitUpdate(n placement.Node) (*NodeUpdated, error) {
	old, err := st.node(n.ID)
	if err != nil {
		return nil, err
	}
	canonical, reference, err := st.admit(n)
	if err != nil {
		return nil, err
	}
	if err := st.keepsDevices(old, canonical.Devices); err != nil {
		return nil, err
	}
	return &NodeUpdated{
		Node: canonical, Reference: reference,
		Moves: st.plan.NodeChanged(&ground{st: st, changed: &canonical}, n.ID),
	}, nil
}

// movesFrom decides where slots of reservations go from a node that is about
// to be lost or removed.
func (st *state) movesFrom(nodeID string) []reservation.Change {
	return st.plan.NodeChanged(&ground{st: st, gone: nodeID}, nodeID)
}

// keepsDevices refuses to take away a device that an instance uses, or that is
// held in the slot of one.
func (st *state) keepsDevices(n *node, to placement.Devices) error {
	inUse := func(by string) error {
		return &ConflictError{KindNode, n.ID, "has a device in use by " + by + " that the update takes away"}
	}
	for a := n.first; a != nil; a = a.next {
		for _, d := range a.devices {
			if int(d) >= to.Count {
				return inUse(a.id)
			}
		}
	}
	if !st.planned[n] {
		return nil
	}
	for r := range st.plan.Reservations() {
		for _, slot := range r.Slots {
			if slot.Node == n.ID && len(slot.Claims) > 0 && len(slot.Devices) > 0 && slices.Max(slot.Devices) >= to.Count {
				return inUse(slot.Claims[0].ID)
			}
		}
	}
	return nil
}

// relabel returns the node with one label set, or removed.
func (n *node) relabel(key, value string, remove bool) placement.Node {
	updated := n.Canonical()
	updated.Labels = maps.Clone(updated.Labels)
	if remove {
		delete(updated.Labels, key)
		return updated
	}
	if updated.Labels == nil {
		updated.Labels = make(map[string]string, 1)
	}
	updated.Labels[key] = value
	return updated
}

// retaint returns the node with the taint, which replaces one of the same key
// and effect.
func (n *node) retaint(t placement.Taint) placement.Node {
	updated := n.untaint(t.Key, t.Effect)
	updated.Taints = append(updated.Taints, t)
	return updated
}

// untaint returns the node without the taint of this key and effect.
func (n *node) untaint(key string, effect placement.Effect) placement.Node {
	updated := n.Canonical()
	updated.Taints = slices.DeleteFunc(updated.Taints, func(t placement.Taint) bool {
		return t.Key == key && t.Effect == effect
	})
	return updated
}
