package reservation

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// trial is a decision in the making: what it would change is counted on the
// plan while it looks further, and taken back at the end. What stays are the
// changes.
type trial struct {
	plan  *Plan
	nodes Nodes
	done  []counted
	// staged are the nodes of slots that the trial has put elsewhere, waits
	// whether those that stay wait there.
	staged  map[slotRef]string
	waits   map[slotRef]bool
	asked   map[string]bool // instances that the trial asks to leave
	changes []PlanChange
}

type counted struct {
	hold hold
	sign int64
}

func (p *Plan) try(nodes Nodes) *trial {
	return &trial{
		plan: p, nodes: nodes,
		staged: make(map[slotRef]string), waits: make(map[slotRef]bool), asked: make(map[string]bool),
	}
}

func (t *trial) put(h hold) { t.count(counted{h, 1}) }

func (t *trial) lift(h hold) { t.count(counted{h, -1}) }

func (t *trial) count(c counted) {
	t.done = append(t.done, c)
	t.plan.count(c.hold, c.sign)
}

// liftSlot takes off all that a slot counts for.
func (t *trial) liftSlot(ref slotRef) {
	for h := range ref.r.holds(ref.at()) {
		t.lift(h)
	}
}

// undo reverts what was counted after the first to entries.
func (t *trial) undo(to int) {
	for _, c := range slices.Backward(t.done[to:]) {
		t.plan.count(c.hold, -c.sign)
	}
	t.done = t.done[:to]
}

// fit sets the devices of a hold and reports whether it fits.
func (t *trial) fit(h *hold) bool {
	room, ok := t.nodes.Room(h.Node)
	if !ok {
		return false
	}
	devices, ok := t.plan.fitHold(&room, h)
	if ok {
		h.Devices = devices
	}
	return ok
}

// place puts a load on the first wanted node that has room.
func (t *trial) place(want Want, load placement.Amounts) (hold, bool) {
	holds := t.fill(want, load, 1)
	if len(holds) == 0 {
		return hold{}, false
	}
	return holds[0], true
}

// fill puts up to count loads on wanted nodes, each on the first that has room.
// Where the order of nodes depends on the other slots, it is asked for again for
// every slot. Else a node that has no room for one more gets none by what
// follows, and one look at each node does for all of them.
func (t *trial) fill(want Want, load placement.Amounts, count int) []hold {
	var holds []hold
	s := t.plan.spanOf(want.Window, want.kind)
	for len(holds) < count {
		before := len(holds)
		for node, room := range t.nodes.For(&want) {
			for len(holds) < count {
				h := hold{Node: node, Window: want.Window, Load: load, Strategy: want.Preferences.Strategy, kind: want.kind}
				devices, ok := t.plan.fit(&room, &h, s)
				if !ok {
					break
				}
				h.Devices = devices
				t.put(h)
				holds = append(holds, h)
				if want.mindsTaken() {
					want.Taken = append(want.Taken, node)
					break
				}
			}
			if len(holds) == count || want.mindsTaken() && len(holds) > before {
				break
			}
		}
		if len(holds) == before || !want.mindsTaken() {
			break
		}
	}
	return holds
}

// placeOn is place for one node.
func (t *trial) placeOn(want Want, load placement.Amounts, node string) (hold, bool) {
	if node == "" || want.Node != "" && want.Node != node {
		return hold{}, false
	}
	want.Node = node
	return t.place(want, load)
}

// want describes the nodes for a slot of a reservation whose other slots are
// on the nodes taken.
func (r *Reservation) want(taken []string) Want {
	return Want{
		ID: r.Spec.ID, Namespace: r.Spec.Namespace, Shape: r.Params.Shape, Window: r.window(),
		Node: r.Spec.Node, Preferences: r.Spec.Preferences, Taken: taken, kind: r.standing(&Slot{}),
	}
}

// load returns what one slot of the reservation holds.
func (r *Reservation) load() placement.Amounts { return placement.OneInstance(r.Params.Shape) }

// wantAnother describes the nodes for a slot of a reservation beside its other
// slots, as the trial has them.
func (t *trial) wantAnother(r *reservationEntry) Want {
	want := r.want(nil)
	if want.mindsTaken() {
		want.Taken = t.taken(r)
	}
	return want
}

// taken returns the nodes of all slots of a reservation that have one, as the
// trial has them.
func (t *trial) taken(r *reservationEntry) []string {
	var nodes []string
	for i := range r.Slots {
		ref := slotRef{r, i}
		node, moved := t.staged[ref]
		if !moved {
			node = ref.at().Node
		}
		if node != "" {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// evict takes a slot off its node until it is resettled.
func (t *trial) evict(ref slotRef) {
	t.liftSlot(ref)
	t.staged[ref] = ""
}
