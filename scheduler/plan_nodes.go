package scheduler

import (
	"iter"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// planNodes is the cluster as the plan of reservations sees it, for one decision.
// Whoever has made one calls leave after that.
type planNodes struct {
	st *state
	// changed replaces the node of its ID for a decision on what follows from
	// an update; gone is the ID of a node that is about to be lost or removed.
	changed *placement.Node
	gone    string
	// joined are the nodes on which slots of a class count like instances.
	class  *index.Class
	joined []string
}

// Room implements reservation.Nodes.
func (g *planNodes) Room(id string) (reservation.Room, bool) {
	n, ok := g.st.nodes[id]
	if !ok || n.lost || id == g.gone {
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
// The best node with room for ever, which most often will do, costs what a
// placement costs. Those after it cost a look at every node.
func (g *planNodes) For(want *reservation.Want) iter.Seq2[string, reservation.Room] {
	return func(yield func(string, reservation.Room) bool) {
		st := g.st
		req := placement.Request{
			ID: want.ID, Namespace: want.Namespace, Group: "reservation " + want.ID, Preferences: want.Preferences,
		}
		q := st.query(&req)
		g.join(q.Class, want.Taken)
		now := !want.Window.Start.After(st.plan.Now())
		offer := func(slot index.Row) bool {
			room, ok := g.Room(st.slots[slot].ID)
			return !ok || now && st.index.Overused(slot) || yield(st.slots[slot].ID, room)
		}
		if want.Node != "" {
			if n, ok := st.nodes[want.Node]; ok && st.index.Meets(&q, n.slot) {
				offer(n.slot)
			}
			return
		}
		shaped := q
		shaped.Resources = &want.Shape
		best, found := st.index.Best(&shaped)
		if found && !offer(best.Slot) {
			return
		}
		for slot := range st.index.Ranked(&q) {
			if (!found || slot != best.Slot) && !offer(slot) {
				return
			}
		}
	}
}

// join makes the slots on the nodes taken count as instances of a class, in
// place of those that did before: of a list that grows only what is new.
func (g *planNodes) join(class *index.Class, taken []string) {
	same := 0
	for g.class == class && same < min(len(g.joined), len(taken)) && g.joined[same] == taken[same] {
		same++
	}
	for _, id := range g.joined[same:] {
		if n, ok := g.st.nodes[id]; ok {
			g.st.index.Leave(n.slot, g.class)
		}
	}
	g.class, g.joined = class, append(g.joined[:same], taken[same:]...)
	for _, id := range taken[same:] {
		if n, ok := g.st.nodes[id]; ok {
			g.st.index.Join(n.slot, class)
		}
	}
}

// leave takes back what join did.
func (g *planNodes) leave() { g.join(nil, nil) }

// decide lets the plan make one decision.
func (st *state) decide(decision func(*planNodes) ([]reservation.PlanChange, error)) ([]reservation.PlanChange, error) {
	g := &planNodes{st: st}
	defer g.leave()
	return decision(g)
}

// room returns what a node gives and what is used there by instances that the
// plan does not count itself.
func (st *state) room(n *node, described *placement.Node) reservation.Room {
	counted := st.counted(n)
	room := reservation.Room{
		Allocatable:  described.Allocatable(),
		MaxInstances: described.MaxInstances,
		Devices:      make([]int64, described.Devices.Count),
	}
	room.Used.Resources, _ = st.index.Used(n.slot).Sub(counted.Resources)
	room.Used.Instances = st.index.Instances(n.slot) - counted.Instances
	for i, free := range st.index.DeviceFree(n.slot) {
		if i < len(room.Devices) {
			room.Devices[i] = placement.Device - free - device(&counted, i)
		}
	}
	return room
}

// device returns what is held of a GPU.
func device(h *index.Hold, i int) int64 {
	if i < len(h.Devices) {
		return h.Devices[i]
	}
	return 0
}

// counted returns what instances on a node use that the plan counts, as claims
// or as stays.
func (st *state) counted(n *node) index.Hold {
	var c index.Hold
	if !st.planned[n] {
		return c
	}
	for a := n.first; a != nil; a = a.next {
		if a.state != running || !st.plan.Counts(a.id) {
			continue
		}
		c.Resources, _ = c.Resources.Add(a.resources)
		c.Instances++
		for _, d := range a.devices {
			for len(c.Devices) <= int(d) {
				c.Devices = append(c.Devices, 0)
			}
			c.Devices[d] += min(a.resources.GPU, placement.Device)
		}
	}
	return c
}

// held returns what the plan keeps free on a node over a window, beside what
// runs there: its peak less the instances that it counts itself.
func (st *state) held(n *node, w reservation.Window) index.Hold {
	peak, devices := st.plan.Peak(n.ID, w)
	counted := st.counted(n)
	h := index.Hold{Resources: peak.Resources, Devices: devices, Instances: max(0, peak.Instances-counted.Instances)}
	for name, amount := range counted.Resources.All() {
		if amount != 0 {
			h.Resources = h.Resources.With(name, max(0, h.Resources.Amount(name)-amount))
		}
	}
	for i := range h.Devices {
		h.Devices[i] = max(0, h.Devices[i]-device(&counted, i))
	}
	return h
}
