package scheduler

import "github.com/rads-project/constellation/reservation"

func (c *PlanChanged) check(st *state) error { return st.checkPlan(c.Changes, nil) }

func (c *PlanChanged) apply(st *state, out *outcome) { st.applyPlan(c.Changes, out) }

// applyPlan carries out changes of the plan and all that follows from them:
// what the index sees as held, and who pays.
func (st *state) applyPlan(changes []reservation.PlanChange, out *outcome) {
	if len(changes) == 0 {
		return
	}
	events := st.plan.Apply(changes...)
	for i := range changes {
		if r := changes[i].Reservation; r != nil {
			st.charged(r.Spec.ID, r.Spec.Namespace)
		} else if paid, paying := st.payments[changes[i].ID]; paying {
			st.charged(changes[i].ID, paid.namespace) // a first charge comes with an event
		}
	}
	st.follow(events, out)
	st.syncHeld(out)
}

// follow does what events of the plan make necessary.
func (st *state) follow(events []reservation.Event, out *outcome) {
	for _, e := range events {
		if e.Kind == reservation.SlotMoved || e.Kind == reservation.SlotLost {
			for _, id := range e.Instances {
				st.uncover(st.allocations[id])
			}
		}
		if a := st.allocations[e.Instance]; a != nil {
			st.edit(a.node)
			a.version = st.seq
			a.overstayed = a.overstayed || e.Kind == reservation.Overstayed || e.Kind == reservation.EvictionDue
		}
		if e.Reservation != "" {
			st.charged(e.Reservation, e.Namespace)
		}
		if e.Kind == reservation.Overstayed {
			out.emit(&Overstayed{ID: e.Instance, NodeID: e.Node, Reservation: e.Reservation})
		} else {
			out.emit(&ReservationEvent{Event: e})
		}
	}
	if len(events) > 0 {
		st.syncHeld(out)
	}
}

// syncHeld shows the index what has changed in the plan since it was last called.
// Where something has changed, room may have come up.
func (st *state) syncHeld(out *outcome) {
	for _, id := range st.plan.Touched() {
		if n, ok := st.nodes[id]; ok {
			st.hold(n)
			out.roomOn(st, id)
		}
	}
}

// hold shows the index what the plan keeps free on a node from now on.
func (st *state) hold(n *node) {
	st.edit(n)
	peak, _ := st.plan.Peak(n.ID, st.fromNow())
	setMember(st.planned, n, !peak.IsZero())
	held := st.held(n, st.fromNow())
	setMember(st.reserved, n, !held.Resources.IsZero() || held.Instances > 0)
	st.index.SetHeld(n.slot, held)
}

func setMember(set map[*node]bool, n *node, member bool) {
	if member {
		set[n] = true
	} else {
		delete(set, n)
	}
}

func (st *state) fromNow() reservation.Window { return reservation.Window{Start: st.now} }

// stay tells the plan of an instance beside all reservations that leaves at a
// known time or when told; told says that it was asked to leave already.
func (st *state) stay(a *allocation, told bool, out *outcome) {
	req := a.class.Request()
	if a.covered != nil || req.Duration == 0 && !req.Yield {
		return
	}
	window := reservation.Window{Start: a.placed}
	if req.Duration > 0 {
		window.End = a.placed.Add(req.Duration)
	}
	st.applyPlan([]reservation.PlanChange{{Kind: reservation.Arrive, Stay: &reservation.Stay{
		ID: a.id, Namespace: a.namespace(), Node: a.node.ID,
		Load:    reservation.Load{Resources: a.resources, Instances: 1},
		Devices: deviceList(a.devices), Window: window, Yield: req.Yield, Priority: req.Priority,
		Told: told, Overstayed: a.overstayed,
	}}}, out)
}

// leave tells the plan that an instance is gone, if it counts it.
func (st *state) leave(a *allocation, out *outcome) {
	if !st.plan.Counts(a.id) {
		return
	}
	// Removal never fails for an instance that is counted.
	changes, _ := st.plan.Remove(a.id)
	st.applyPlan(changes, out)
}
