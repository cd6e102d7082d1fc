package scheduler

import (
	"iter"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// applyPlan carries out changes of the plan and all that follows from them:
// what the index sees as held, and who pays.
func (st *state) applyPlan(changes []reservation.Change, tell listener) {
	if len(changes) == 0 {
		return
	}
	events := st.plan.Apply(changes...)
	for i := range changes {
		if r := changes[i].Reservation; r != nil {
			st.charged(r.Spec.ID, r.Spec.Namespace)
		} else if changes[i].ID != "" {
			st.charged(changes[i].ID, "")
		}
	}
	st.follow(events, tell)
	st.touch()
}

// follow does what events of the plan make necessary.
func (st *state) follow(events []reservation.Event, tell listener) {
	for _, e := range events {
		if e.Kind == reservation.SlotMoved || e.Kind == reservation.SlotLost {
			for _, id := range e.Instances {
				st.uncover(st.allocations[id])
			}
		}
		if a := st.allocations[e.Instance]; a != nil {
			st.preserve(a.node)
			a.version = st.seq
			a.overstayed = a.overstayed || e.Kind == reservation.Overstayed
		}
		if e.Reservation != "" {
			st.charged(e.Reservation, e.Namespace)
		}
		if e.Kind == reservation.Overstayed {
			tell.tell(&Overstayed{ID: e.Instance, NodeID: e.Node, Reservation: e.Reservation})
		} else {
			tell.tell(&ReservationEvent{Event: e})
		}
	}
	if len(events) > 0 {
		st.touch()
	}
}

// touch shows the index what has changed in the plan since it was last called.
func (st *state) touch() {
	for _, id := range st.plan.Touched() {
		if n, ok := st.nodes[id]; ok {
			st.hold(n)
		}
	}
}

// hold shows the index what the plan keeps free on a node from now on.
func (st *state) hold(n *node) {
	peak, _ := st.plan.Peak(n.ID, st.fromNow())
	setMember(st.planned, n, !peak.IsZero())
	held := st.held(n, st.fromNow())
	setMember(st.reserved, n, !held.Resources.IsZero() || held.places > 0)
	st.index.SetHeld(n.slot, held.Held)
	st.keepPlaces(n, held.places)
}

// keepPlaces makes the index keep as many places of instances free on a node
// that takes no more than a number of them. An index.Held knows of amounts
// only, so empty instances stand in these places.
func (st *state) keepPlaces(n *node, places int64) {
	if n.MaxInstances == 0 {
		places = 0
	}
	for ; n.places < places; n.places++ {
		st.index.Occupy(n.slot, st.vacancy, &placement.Resources{}, nil)
	}
	for ; n.places > places; n.places-- {
		st.index.Vacate(n.slot, st.vacancy, &placement.Resources{}, nil)
	}
}

func setMember(set map[*node]bool, n *node, member bool) {
	if member {
		set[n] = true
	} else {
		delete(set, n)
	}
}

func (st *state) fromNow() reservation.Window { return reservation.Window{Start: st.now} }

// payment is what a reservation charges its namespace.
type payment struct {
	namespace string
	amounts   quota.Amounts
}

func amountsOf(l reservation.Load) quota.Amounts {
	return quota.Amounts{Resources: l.Resources, Instances: l.Instances}
}

// charged brings the charge of a reservation to what it owes now. A namespace
// is given where it may be the first charge.
func (st *state) charged(id, namespace string) {
	paid, paying := st.payments[id]
	if paying {
		namespace = paid.namespace
	}
	owes := amountsOf(st.plan.Owes(id))
	switch owing := !owes.Equal(quota.Amounts{}); {
	case paying && owing:
		_, _ = st.quota.Replace(st.now, namespace, paid.amounts, owes)
	case paying:
		_ = st.quota.Remove(namespace, paid.amounts)
		delete(st.payments, id)
		return
	case owing:
		_, _ = st.quota.Add(st.now, namespace, owes)
	default:
		return
	}
	st.payments[id] = payment{namespace, owes}
}

// affordable asks the quota for what changes of the plan would make a
// reservation owe: within soft limits, since holds never burst. What is given
// back for slots that it displaces is taken into account, at every level.
func (st *state) affordable(now time.Time, changes []reservation.Change, err error) ([]reservation.Change, error) {
	if err != nil || len(changes) == 0 {
		return changes, err
	}
	r := changes[len(changes)-1].Reservation
	if r == nil {
		return changes, nil
	}
	from, to := st.payments[r.Spec.ID].amounts, amountsOf(r.Owes())
	verdict, err := st.quota.CheckExchange(now, r.Spec.Namespace, from, to, st.freed(changes), quota.SoftOnly)
	if err := st.exceeded(r.Spec.Namespace, verdict, err); err != nil {
		return nil, err
	}
	return changes, nil
}

// affordsAll asks the quota for all slots of a spec that is valid.
func (st *state) affordsAll(now time.Time, spec *reservation.Spec) error {
	all := quota.Amounts{Instances: int64(spec.Count)}
	for name, amount := range spec.Shape.All() {
		all.Resources = all.Resources.With(name, amount*int64(spec.Count))
	}
	verdict, err := st.quota.Check(now, spec.Namespace, all, quota.SoftOnly)
	return st.exceeded(spec.Namespace, verdict, err)
}

// freed yields what namespaces get back for the slots that are lost by changes
// of the plan.
func (st *state) freed(changes []reservation.Change) iter.Seq2[string, quota.Amounts] {
	return func(yield func(string, quota.Amounts) bool) {
		for _, c := range changes {
			if c.Kind != reservation.Move || c.Node != "" {
				continue
			}
			lost, _ := st.plan.Reservation(c.ID)
			if !yield(lost.Spec.Namespace, quota.Instance(lost.Terms.Shape)) {
				return
			}
		}
	}
}

// findClaim decides where in a reservation a request goes.
func (st *state) findClaim(now time.Time, id string, req *placement.Request) (found, error) {
	q := st.query(req)
	generation, existing, err := st.identify(req, &q)
	if err != nil {
		return found{}, err
	}
	if existing != nil {
		if _, in, ok := st.plan.ClaimOf(req.ID); !ok || in != id {
			return found{}, &ConflictError{KindAllocation, req.ID, "is placed outside of reservation " + id}
		}
		return found{existing: existing}, nil
	}
	changes, err := st.plan.Claim(&ground{st: st}, id, *req, func(node string) bool {
		for _, f := range st.index.Verdict(&q, st.nodes[node].slot).Failures {
			switch f.Reason.Kind {
			case placement.ReasonInstances, placement.ReasonResource, placement.ReasonHold:
				// The plan has its own count of these.
			default:
				return false
			}
		}
		return true
	})
	if err != nil {
		return found{}, err
	}
	claim := &changes[0]
	verdict, err := st.quota.Check(now, req.Namespace, amountsOf(claim.Claim.Excess), quota.MayBurst)
	if err := st.exceeded(req.Namespace, verdict, err); err != nil {
		return found{}, err
	}
	r, _ := st.plan.Reservation(id)
	n := st.nodes[r.Slots[claim.Slot].Node]
	terms := st.index.Verdict(&q, n.slot).Terms
	return found{
		node: n, class: q.Class, devices: packed(claim.Claim.Devices), score: terms.Normalized(),
		generation: generation, claim: claim,
	}, nil
}

func packed(devices []int) []uint16 {
	var list []uint16
	for _, d := range devices {
		list = append(list, uint16(d))
	}
	return list
}

// uncover makes an instance pay for itself what its slot has paid for, when
// it has lost that.
func (st *state) uncover(a *allocation) {
	if a != nil && a.covered != nil && a.state == running {
		st.preserve(a.node)
		before := st.chargeOf(a)
		a.covered = nil
		_, _ = st.quota.Replace(st.now, a.namespace(), before, st.chargeOf(a))
	}
}

// slotted reports whether an instance stands in a slot of a reservation that
// has not ended.
func (st *state) slotted(a *allocation) bool {
	_, id, ok := st.plan.ClaimOf(a.id)
	r, _ := st.plan.Reservation(id)
	return ok && r.Phase == reservation.Active
}

// resizeClaim tells the plan of the size of an instance that has outlived its
// reservation. The reservation's namespace goes on to pay for what it has paid
// for, as far as that is still there.
func (st *state) resizeClaim(a *allocation, tell listener) {
	_, id, ok := st.plan.ClaimOf(a.id)
	if !ok {
		return
	}
	r, _ := st.plan.Reservation(id)
	for _, slot := range r.Slots {
		for i := range slot.Claims {
			if c := &slot.Claims[i]; c.ID == a.id {
				excess := st.chargeOf(a)
				c.Held = reservation.Load{Resources: a.covered.Resources, Instances: a.covered.Instances}
				c.Excess = reservation.Load{Resources: excess.Resources, Instances: excess.Instances}
				c.Devices = deviceList(a.devices)
			}
		}
	}
	r.Version++
	st.applyPlan([]reservation.Change{{Kind: reservation.Put, Reservation: &r}}, tell)
}

// stay tells the plan of an instance beside all reservations that leaves at a
// known time or when told.
// told says that it was asked to leave already.
func (st *state) stay(a *allocation, told bool, tell listener) {
	req := a.class.Request()
	if a.covered != nil || req.Duration == 0 && !req.Yield {
		return
	}
	window := reservation.Window{Start: a.placed}
	if req.Duration > 0 {
		window.End = a.placed.Add(req.Duration)
	}
	st.applyPlan([]reservation.Change{{Kind: reservation.Arrive, Stay: &reservation.Stay{
		ID: a.id, Namespace: a.namespace(), Node: a.node.ID,
		Load:    reservation.Load{Resources: a.resources, Instances: 1},
		Devices: deviceList(a.devices), Window: window, Yield: req.Yield, Told: told, Overstayed: a.overstayed,
	}}}, tell)
}

// leave tells the plan that an instance is gone, if it counts it.
func (st *state) leave(a *allocation, tell listener) {
	if !st.plan.Counts(a.id) {
		return
	}
	// Removal never fails for an instance that is counted.
	changes, _ := st.plan.Remove(a.id)
	st.applyPlan(changes, tell)
}

// consequence decides what the latest change of an entry makes necessary, to
// be recorded in the same entry: yielding instances told to leave, slots moved
// out of the way or from where reported instances run, lost slots held again.
// It returns nil when nothing is left to do.
func (st *state) consequence() Change {
	if st.plan.Unsettled() {
		return &PlanChanged{Changes: st.plan.Settle(&ground{st: st})}
	}
	if crowded := st.crowded; crowded != "" {
		st.crowded = ""
		if moves := st.plan.NodeChanged(&ground{st: st}, crowded); len(moves) > 0 {
			return &PlanChanged{Changes: moves}
		}
	}
	if !st.roomier {
		return nil
	}
	st.roomier = false
	for _, id := range st.plan.Degraded() {
		// Repair fails for no reservation that is degraded.
		changes, _ := st.plan.Repair(&ground{st: st}, id)
		if changes = changes[:st.canRegain(id, len(changes))]; len(changes) > 0 {
			st.roomier = true // look again, for the next one
			return &PlanChanged{Changes: changes}
		}
	}
	return nil
}

// canRegain asks the quota how many slots, of those for which there is room,
// a reservation may hold again.
func (st *state) canRegain(id string, slots int) int {
	r, _ := st.plan.Reservation(id)
	var more quota.Amounts
	for regained := range slots {
		more.Instances++
		// The sum of all slots was checked when the terms were.
		more.Resources, _ = more.Resources.Add(r.Terms.Shape)
		verdict, err := st.quota.Check(st.now, r.Spec.Namespace, more, quota.SoftOnly)
		if err != nil || !verdict.Allowed() {
			return regained
		}
	}
	return slots
}
