package scheduler

import (
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func (c *PlanChanged) check(st *state) error { return st.checkPlan(c.Changes, nil) }

func (c *PlanChanged) apply(st *state, out *outcome) { st.applyPlan(c.Changes, out) }

// applyPlan carries out changes of the plan and all that follows from them:
// what the index sees as held, and who pays.
func (st *state) applyPlan(changes []reservation.PlanChange, out *outcome) {
	if len(changes) == 0 {
		return
	}
	for i := range changes {
		if a := st.allocations.At(changes[i].Instance); changes[i].Kind == reservation.Vacate && a != nil {
			out.vacated = st.on(a).ID
		}
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
		if e.Kind == reservation.Started {
			// Before anything ends: a burst goes on over an instant at which one takes
			// the place of another.
			st.charged(e.Reservation, e.Namespace)
		}
	}
	for _, e := range events {
		if e.Kind == reservation.SlotMoved || e.Kind == reservation.SlotLost {
			for _, id := range e.Instances {
				st.uncover(st.allocations.At(id))
			}
		}
		if a := st.allocations.At(e.Instance); a != nil {
			a = st.own(a)
			a.version = st.seq
			if e.Kind == reservation.Overstayed || e.Kind == reservation.EvictionDue {
				st.overstay(a)
			}
			if e.Kind == reservation.EvictionDue && a.state == running {
				st.setLeaving(a, true, out)
			}
		}
		if e.Reservation != "" {
			st.charged(e.Reservation, e.Namespace)
		}
		if e.Kind == reservation.Closing {
			st.askAll(e, out)
			continue
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

// askAll tells of a node that closes for maintenance, and of each instance there that
// the plan does not count and tells of itself.
func (st *state) askAll(e reservation.Event, out *outcome) {
	out.emit(&ReservationEvent{Event: e})
	n := st.named(e.Node)
	if n == nil {
		return
	}
	var asked []string
	for _, a := range n.instances {
		if a.state == running && !st.plan.Counts(a.id) {
			asked = append(asked, a.id)
		}
	}
	slices.Sort(asked)
	e.Kind = reservation.YieldDue
	for _, e.Instance = range asked {
		out.emit(&ReservationEvent{Event: e})
	}
}

// syncHeld shows the index what has changed in the plan since it was last called.
// Where something has changed, room may have come up.
func (st *state) syncHeld(out *outcome) {
	for _, id := range st.plan.Touched() {
		if n := st.named(id); n != nil {
			st.hold(n)
			out.roomOn(st, id)
		}
	}
}

// hold shows the index what the plan keeps free on a node from now on.
func (st *state) hold(n *node) {
	record := st.edit(n.row)
	if closed := st.plan.Closed(n.ID); closed != record.closed {
		record.closed = closed
		st.index.SetState(n.row, record.indexState())
	}
	peak, _ := st.plan.Peak(n.ID, st.fromNow())
	st.planned.put(n.row, !peak.IsZero())
	held := st.held(record, st.fromNow())
	st.reserved.put(n.row, !held.Resources.IsZero() || held.Instances > 0)
	st.index.SetHeld(n.row, held)
}

func (st *state) fromNow() reservation.Window { return reservation.Window{Start: st.now} }

// stay tells the plan of an instance beside all reservations that leaves at a
// known time or when asked to; asked is by when it was asked to be gone, if it was.
func (st *state) stay(a *allocation, asked time.Time, out *outcome) {
	req := a.class.Request()
	if a.covered() != nil || req.Duration == 0 && !req.Yield {
		return
	}
	stay := st.stayOf(a)
	stay.Told, stay.Due = !asked.IsZero(), asked
	st.applyPlan([]reservation.PlanChange{{Kind: reservation.Arrive, Stay: &stay}}, out)
}

// stayOf describes an instance beside all reservations.
func (st *state) stayOf(a *allocation) reservation.Stay {
	req := a.class.Request()
	return reservation.Stay{
		ID: a.id, Namespace: a.namespace(), Node: st.on(a).ID,
		Load:    placement.OneInstance(a.resources),
		Devices: deviceList(a.taken().Devices), Window: stayWindow(a.placed(), req.Duration), Yield: req.Yield, Priority: req.Priority,
		Overstayed: a.overstayed,
	}
}

// turnUp tells the plan of an instance that runs on its node from now on. One that
// nobody decided on may have come where maintenance is near, and is asked to leave.
func (st *state) turnUp(a *allocation, out *outcome) { st.stayOn(a, time.Time{}, true, out) }

// stayOn is stay of an instance on a node that may be closed for maintenance, which
// asks it to leave. ask says that it has not been asked yet.
func (st *state) stayOn(a *allocation, asked time.Time, ask bool, out *outcome) {
	var asks []reservation.Event
	if on := st.on(a); on.closed {
		asks = st.plan.AskedOn(on.ID, a.id, stayWindow(a.placed(), a.class.Request().Duration).End)
	}
	if asked.IsZero() && len(asks) > 0 {
		asked = asks[0].Due
	}
	st.stay(a, asked, out)
	for i := range asks {
		if ask {
			out.emit(&ReservationEvent{Event: asks[i]})
		}
	}
}

// stayWindow returns over which window the plan counts an instance that says when it
// leaves, or yields.
func stayWindow(placed time.Time, duration time.Duration) reservation.Window {
	w := reservation.Window{Start: placed}
	if duration > 0 {
		w.End = placed.Add(duration)
	}
	return w
}

// leave tells the plan that an instance is gone, if it counts it.
func (st *state) leave(a *allocation, out *outcome) {
	if !st.plan.Counts(a.id) {
		return
	}
	changes, err := st.plan.Remove(a.id)
	must("an instance that the plan counts can be removed", err)
	st.applyPlan(changes, out)
}

// findClaim decides where in a reservation a request goes.
func (st *state) findClaim(now time.Time, id string, req *placement.Request) (candidate, error) {
	q := st.query(req)
	generation, existing, err := st.identify(req, &q)
	if err != nil {
		return candidate{}, err
	}
	if existing != nil {
		attached, err := st.canAttach(now, existing, id)
		return candidate{existing: existing, attached: attached}, err
	}
	changes, err := st.plan.Claim(&planNodes{st: st}, id, *req, func(node string) bool {
		return st.index.MeetsPorts(&q, st.named(node).row) // The plan has its own count of amounts.
	})
	if err != nil {
		return candidate{asks: changes}, err
	}
	claim := &changes[len(changes)-1]
	r, _ := st.plan.Reservation(claim.ID)
	if err := st.affordsClaim(now, &r, claim.Claim); err != nil {
		return candidate{}, err
	}
	if moves := changes[:len(changes)-1]; len(moves) > 0 {
		return candidate{asks: moves}, nil
	}
	n := st.named(r.Slots[claim.Slot].Node)
	terms, _ := st.index.Evaluate(&q, n.row, nil)
	return candidate{
		Choice: index.Choice{Row: n.row, Terms: terms},
		class:  q.Class, score: terms.Normalized(), devices: packed(claim.Claim.Devices), ports: st.index.DynamicPorts(&q, n.row),
		generation: generation, claim: claim,
	}, nil
}

// findReserved decides where a request goes in a reservation, or without an ID in
// any that its namespace owns, or else anywhere.
func (st *state) findReserved(now time.Time, id string, req *placement.Request) (candidate, error) {
	if id != "" {
		return st.findClaim(now, id, req)
	}
	q := st.query(req)
	_, existing, err := st.identify(req, &q)
	if err != nil || existing != nil {
		return candidate{existing: existing}, err
	}
	var (
		waiting candidate
		refused error // by the first, or the first that can wait
	)
	for _, id := range st.plan.Claimable(req.Namespace) {
		to, err := st.findClaim(now, id, req)
		if err == nil {
			return to, nil
		}
		if refused == nil || errors.Is(err, reservation.ErrWaiting) && !errors.Is(refused, reservation.ErrWaiting) {
			waiting, refused = to, err
		}
	}
	to, err := st.find(now, req, &q, "")
	if err == nil {
		return to, nil
	}
	return waiting, both(refused, err)
}

// standsIn reports whether an instance stands in a reservation, or in a window of
// one that repeats.
func (st *state) standsIn(instance, id string) bool {
	_, in, ok := st.plan.ClaimOf(instance)
	if !ok || in == id {
		return ok
	}
	r, _ := st.plan.Reservation(in)
	return r.Series == id
}

// uncover makes an instance pay for itself what its slot has paid for, when
// it has lost that. One on a node that goes is about to cost nothing.
func (st *state) uncover(a *allocation) {
	if a != nil && a.covered() != nil && a.state == running && !st.on(a).lost {
		a = st.own(a)
		st.rechargeAs(a, func() { a.cover(nil) })
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
func (st *state) resizeClaim(a *allocation, out *outcome) {
	_, id, ok := st.plan.ClaimOf(a.id)
	if !ok {
		return
	}
	r, _ := st.plan.Reservation(id)
	for _, slot := range r.Slots {
		for i := range slot.Claims {
			if c := &slot.Claims[i]; c.ID == a.id {
				c.Held = a.covered().Amounts
				c.Excess = a.charge().Amounts
				c.Devices = deviceList(a.taken().Devices)
			}
		}
	}
	r.Version++
	st.applyPlan([]reservation.PlanChange{{Kind: reservation.Put, Reservation: &r}}, out)
}

// planNodes is the cluster as the plan of reservations sees it, for one decision.
type planNodes struct {
	st *state
	// changed replaces the node of its ID for a decision on what follows from
	// an update; gone is the ID of a node that is about to be lost or removed.
	changed *placement.Node
	gone    string
	// asked is the latest query of For, which a longer list of slots extends;
	// taken are the nodes of those that it thinks joined.
	asked index.Query
	taken []string
}

// Room implements reservation.Nodes.
func (g *planNodes) Room(id string) (reservation.Room, bool) {
	n := g.st.named(id)
	if n == nil || n.lost || id == g.gone {
		return reservation.Room{}, false
	}
	described := n.Node
	if g.changed != nil && g.changed.ID == id {
		described = g.changed
	}
	return g.st.room(n, described), true
}

// For implements reservation.Nodes: it yields the nodes that take work and
// meet the rules, the best for the strategy first, also those that are full just
// now: the plan knows until when. The slots that the reservation has already
// count for its spread and affinity rules like instances.
//
// The best node with room forever, which most often will do, costs what a
// placement costs. Those after it cost a look at every node.
func (g *planNodes) For(want *reservation.Want) iter.Seq2[string, reservation.Room] {
	return func(yield func(string, reservation.Room) bool) {
		st := g.st
		q := g.query(&placement.Request{
			ID: want.ID, Namespace: want.Namespace, Group: "reservation " + want.ID,
			Resources: want.Shape, Preferences: want.Preferences,
		}, want.Taken)
		now := !want.Window.Start.After(st.plan.Now())
		offer := func(row index.Row) bool {
			room, ok := g.Room(st.at(row).ID)
			return !ok || now && st.index.Overused(row) || yield(st.at(row).ID, room)
		}
		if want.Node != "" {
			if n := st.named(want.Node); n != nil && st.index.Meets(q, n.row) {
				offer(n.row)
			}
			return
		}
		best, found := st.index.Best(q)
		if found && !offer(best.Row) {
			return
		}
		for row := range st.index.Ranked(q) {
			if (!found || row != best.Row) && !offer(row) {
				return
			}
		}
	}
}

// query returns the query of a request with slots on the nodes taken, which count
// like instances: of a list that has grown since it was last asked only what is
// new is looked up.
func (g *planNodes) query(req *placement.Request, taken []string) *index.Query {
	q := g.st.query(req)
	known := len(g.taken)
	if g.asked.Class != q.Class || known > len(taken) || !slices.Equal(g.taken, taken[:known]) {
		g.asked, g.taken, known = q, nil, 0
	}
	for _, id := range taken[known:] {
		if n := g.st.named(id); n != nil {
			g.asked.Joined = append(g.asked.Joined, n.row)
		}
		g.taken = append(g.taken, id)
	}
	g.asked.ID, g.asked.Resources = q.ID, q.Resources
	return &g.asked
}

// room returns what a node gives and what is used there by instances that the
// plan does not count itself.
func (st *state) room(n *node, described *placement.Node) reservation.Room {
	counted, devices := st.plan.InUse(n.ID)
	room := reservation.Room{
		Allocatable:  described.Allocatable(),
		MaxInstances: described.MaxInstances,
		Devices:      make([]int64, described.Devices.Count),
		Broken:       described.Devices.Broken,
	}
	room.Used.Resources, _ = st.index.Used(n.row).Sub(counted.Resources)
	room.Used.Instances = st.index.Instances(n.row) - counted.Instances
	for i, used := range st.index.DeviceUsed(n.row) {
		if i < len(room.Devices) {
			room.Devices[i] = used - device(devices, i)
		}
	}
	return room
}

// device returns what a list has of a GPU.
func device(devices []int64, i int) int64 {
	if i < len(devices) {
		return devices[i]
	}
	return 0
}

// held returns what the plan keeps free on a node over a window, beside what
// runs there.
func (st *state) held(n *node, w reservation.Window) index.Hold {
	peak, devices := st.plan.Peak(n.ID, w)
	return st.beside(n, peak, devices)
}

// heldBeside returns what the plan keeps free on a node at this moment of an
// instance that yields, which may stand in slots that are lent.
func (st *state) heldBeside(n *node) index.Hold {
	peak, devices := st.plan.PeakBeside(n.ID)
	return st.beside(n, peak, devices)
}

// beside returns what the plan counts on a node less the instances that it counts
// itself.
func (st *state) beside(n *node, peak placement.Amounts, devices []int64) index.Hold {
	counted, inUse := st.plan.InUse(n.ID)
	h := index.Hold{Resources: peak.Resources, Devices: devices, Instances: max(0, peak.Instances-counted.Instances)}
	for name, amount := range counted.Resources.All() {
		if amount != 0 {
			h.Resources = h.Resources.With(name, max(0, h.Resources.Amount(name)-amount))
		}
	}
	for i := range h.Devices {
		h.Devices[i] = max(0, h.Devices[i]-device(inUse, i))
	}
	return h
}
