package reservation

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Stay is a transient instance: one outside of reservations that leaves at a known
// time or when asked to. The Plan counts it; all others are the host's.
type Stay struct {
	// ID of the instance, and its namespace.
	ID        string `json:"id"`
	Namespace string `json:"namespace,omitempty"`
	// Node that it is on, what it uses there, and the indices of its GPUs.
	Node    string            `json:"node"`
	Load    placement.Amounts `json:"load"`
	Devices []int             `json:"devices,omitempty"`
	// Window from when it came to when it promised to be gone. It counts
	// after that too, until it is said to be gone.
	Window Window `json:"window"`
	// Yield says that it stands on capacity that may be promised to others
	// from later on, and leaves when asked to.
	Yield bool `json:"yield,omitempty"`
	// Priority of the instance: of several that could leave, the lowest is
	// asked to.
	Priority int32 `json:"priority,omitempty"`
	// Told says that it was asked to leave, and Due by when.
	Told bool      `json:"told,omitempty"`
	Due  time.Time `json:"due,omitzero"`
	// Overstayed says that it should have gone.
	Overstayed bool `json:"overstayed,omitempty"`
}

func (s Stay) clone() Stay {
	s.Load, s.Devices = s.Load.Clone(), copied(s.Devices)
	return s
}

// hold returns what the instance counts for: forever once it has overstayed.
func (s *Stay) hold() hold {
	w := s.Window
	if s.Overstayed {
		w.End = time.Time{}
	}
	h := hold{Node: s.Node, Window: w, Load: s.Load, Devices: s.Devices}
	if s.Yield {
		h.kind = yielding
	}
	return h
}

// amountOn returns what a stay takes of a lane.
func (s *Stay) amountOn(of lane) int64 {
	switch of.name {
	case placement.NameInstances:
		return s.Load.Instances
	case placement.NameGPU:
		if !slices.Contains(s.Devices, of.device) {
			return 0
		}
		return deviceShare(s.Load.Resources.GPU)
	default:
		return s.Load.Resources.Amount(of.name)
	}
}

// Admit decides on an instance beside all reservations, which leaves after its
// Duration, or when asked to if it yields, or at an unknown time. It goes to the
// first node of Nodes.For with room, over its own window only. An instance
// that yields needs room just now: it may stand on what others hold from later
// on, and in slots that a reservation lends. No changes mean that it is already there.
//
// It looks at each node that For yields until one has room, O(log h) in the holds
// there. A refusal looks at each node three times, once of these at every instant
// at which something ends there.
//
// Errors: ErrInvalid, ErrConflict, RefusedError.
func (p *Plan) Admit(nodes Nodes, req placement.Request) ([]PlanChange, error) {
	if err := validateRequest(req); err != nil {
		return nil, err
	}
	window := Window{Start: instant(p.now)}
	if req.Duration > 0 {
		end, ok := addNanos(p.now, req.Duration)
		if !ok {
			return nil, invalid("duration", req.Duration, "the end is out of range")
		}
		window.End = instant(end)
	}
	stay := &Stay{
		ID: req.ID, Namespace: req.Namespace, Load: placement.OneInstance(req.Resources.Clone()), Window: window, Yield: req.Yield,
		Priority: req.Priority,
	}
	if g, ok := p.stays[req.ID]; ok && sameStay(&g.Stay, stay) {
		return nil, nil
	}
	if p.Counts(req.ID) {
		return nil, placement.Conflict(placement.KindInstance, req.ID, "is another instance")
	}
	t := p.try(nodes)
	defer t.undo(0)
	want := Want{
		ID: req.ID, Namespace: req.Namespace, Shape: req.Resources, Window: window, Preferences: req.Preferences,
	}
	if req.Duration == 0 {
		want.kind = endless
	}
	if req.Yield {
		want.Window.End, want.kind = instant(p.now+1), yielding
	}
	h, ok := t.place(want, stay.Load)
	if !ok {
		refused := t.refused(want, stay.Load)
		refused.Missing, refused.Count = 1, 1
		refused.Earliest = t.earliestSingle(want, stay.Load, p.now)
		return nil, refused
	}
	stay.Node, stay.Devices = h.Node, h.Devices
	return []PlanChange{{Kind: Arrive, Stay: stay}}, nil
}

// Lacks returns a dimension of which the node of a transient instance has too little
// for it over a window in which it does not count there yet, beside all that does, if
// there is any: for one that would stay for longer, or would not yield any more.
// Maintenance does not matter, since whoever is there is asked to leave for it. O(log
// h) in the holds of the node per dimension and GPU.
func (p *Plan) Lacks(nodes Nodes, instance string, w Window) placement.ResourceName {
	stay, ok := p.stays[instance]
	s := p.spanOf(w, firm)
	if !ok || s.from >= s.to {
		return ""
	}
	room, _ := nodes.Room(stay.Node)
	own := hold{Load: stay.Load, Devices: stay.Devices}
	for of, amount := range own.amounts() {
		if room.free(of)-p.timelines[stay.Node].lane(of).line.Peak(s.from, s.to) < amount {
			return of.name
		}
	}
	return ""
}

func sameStay(a, b *Stay) bool {
	length := func(w Window) int64 {
		if w.End.IsZero() {
			return forever
		}
		return w.end() - w.start()
	}
	return a.Namespace == b.Namespace && a.Yield == b.Yield && a.Priority == b.Priority && a.Load.Resources.Equal(b.Load.Resources) &&
		length(a.Window) == length(b.Window)
}

// Remove decides that an instance is gone, whether it stood in a slot or
// beside. O(1); see Apply.
//
// Errors: ErrNotFound.
func (p *Plan) Remove(instance string) ([]PlanChange, error) {
	if _, ok := p.stays[instance]; ok {
		return []PlanChange{{Kind: Depart, Instance: instance}}, nil
	}
	return p.Unclaim(instance)
}
