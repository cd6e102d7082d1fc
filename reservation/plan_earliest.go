package reservation

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// maxProbes bounds how many starts are tried at which there is room for all
// slots, but where rules among the slots may keep them apart. Without such
// rules the first one will do.
const maxProbes = 1000

// earliest returns the first start from which a refused reservation would find
// room for as long as it asks, zero if there is none. It may have to displace
// others for that, as Reserve does.
func (t *trial) earliest(r *Reservation) time.Time {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	want := r.want(nil)
	// Rules among the slots depend on where the others are.
	anywhere := want
	anywhere.Preferences.Spread, anywhere.Preferences.Affinity = nil, nil
	for node := range t.nodes.For(&anywhere) {
		endless := hold{Node: node, Window: Window{Start: want.Window.Start}}
		for _, ref := range t.plan.displaceable(&endless, r.Spec.Priority) {
			t.liftSlot(ref)
		}
	}
	first := t.earliestSingle(want, r.load(), want.Window.start())
	if r.Params.Count == 1 || first.IsZero() {
		return first
	}
	capacity := capacityOverTime{plan: t.plan, of: r, from: nanos(first), most: r.Spec.mostPerNode()}
	for node, room := range t.nodes.For(&anywhere) {
		capacity.add(node, &room)
	}
	probes := 0
	for start := range capacity.candidateStarts(r.Params.Count) {
		var ok bool
		if want.Window, ok = r.window().shifted(start); !ok || probes == maxProbes {
			break
		}
		probes++
		if t.placesAll(want, r.load(), r.Params.Count) {
			return want.Window.Start
		}
	}
	return time.Time{}
}

// capacityOverTime is how many slots of a reservation the nodes together take,
// depending on when it begins: at or after from, and no more than most on a node.
type capacityOverTime struct {
	plan    *Plan
	of      *Reservation
	from    int64
	most    int
	changes []capacityChange
}

// capacityChange is a start from which on a node takes more slots, or fewer.
type capacityChange struct {
	at int64
	by int
}

// add counts a node.
func (c *capacityOverTime) add(node string, room *Room) {
	load, had := c.of.load(), 0
	for _, start := range c.plan.breaks(node, c.of.window(), c.from) {
		window, ok := c.of.window().shifted(start)
		if !ok {
			break
		}
		has := min(c.plan.copies(node, room, &load, c.plan.spanOf(window, c.of.standing(&Slot{}))), c.most)
		if has != had {
			c.changes = append(c.changes, capacityChange{start, has - had})
		}
		had = has
	}
}

// candidateStarts yields, in order, the starts at which capacity grows and at
// least count slots fit.
func (c *capacityOverTime) candidateStarts(count int) iter.Seq[int64] {
	changes := c.changes
	slices.SortFunc(changes, func(a, b capacityChange) int { return cmp.Compare(a.at, b.at) })
	return func(yield func(int64) bool) {
		total, grew := 0, false
		for i, change := range changes {
			total += change.by
			grew = grew || change.by > 0
			if i+1 < len(changes) && changes[i+1].at == change.at {
				continue
			}
			if grew && total >= count && !yield(change.at) {
				return
			}
			grew = false
		}
	}
}

// mostPerNode returns how many slots the count, and rules that are easily
// read, allow on one node at most.
func (s *Spec) mostPerNode() int {
	most := MaxCount
	for _, rule := range s.Preferences.Spread {
		if rule.Topology == "" && rule.Hard() && rule.MaxPerDomain > 0 {
			most = min(most, rule.MaxPerDomain)
		}
	}
	return most
}

// copies returns how often a load fits on a node over a span, at most MaxCount
// times.
func (p *Plan) copies(node string, room *Room, load *placement.Amounts, s span) int {
	g := p.timelines[node]
	if !g.takes(s) {
		return 0
	}
	copies := int64(MaxCount)
	limit := func(name placement.ResourceName, amount int64) {
		of := lane{name: name}
		if left := max(0, room.free(of)); amount > 0 {
			copies = min(copies, max(0, left-g.lane(of).peak(s, p.now))/amount)
		}
	}
	for name, amount := range load.Resources.All() {
		if name != placement.NameGPU {
			limit(name, amount)
		}
	}
	limit(placement.NameInstances, load.Instances)
	if gpu := load.Resources.GPU; gpu > 0 {
		copies = min(copies, deviceCopies(g.devicesLeft(room, s, p.now), gpu))
	}
	return int(copies)
}

// deviceCopies returns how often an amount of GPU fits, given what is left of
// each.
func deviceCopies(left []int64, gpu int64) int64 {
	copies, whole := int64(0), int64(0)
	for _, free := range left {
		if gpu < placement.Device {
			copies += max(0, free) / gpu
		} else if free == placement.Device {
			whole++
		}
	}
	if gpu < placement.Device {
		return copies
	}
	return whole / (gpu / placement.Device)
}

// placesAll reports whether so many slots would find room.
func (t *trial) placesAll(want Want, load placement.Amounts, count int) bool {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	return len(t.fill(want, load, count)) == count
}

// earliestSingle returns the first start at or after from at which one load
// would find room, zero if there is none.
func (t *trial) earliestSingle(want Want, load placement.Amounts, from int64) time.Time {
	earliest := int64(forever)
	for node, room := range t.nodes.For(&want) {
		for _, start := range t.plan.breaks(node, Window{}, from) {
			window, ok := want.Window.shifted(start)
			if start >= earliest || !ok {
				break
			}
			if _, fits := t.plan.fitHold(&room, &hold{Node: node, Window: window, Load: load, kind: want.kind}); fits {
				earliest = start
			}
		}
	}
	if earliest == forever {
		return time.Time{}
	}
	return instant(earliest)
}

// breaks returns, sorted, the starts at or after from at which the room on a
// node may change for a window of the length of w: where something ends, and
// where the window begins to reach into something. A window without end
// reaches into everything, so that only what ends matters. Where instances
// yield, the instant after now is one too.
func (p *Plan) breaks(node string, w Window, from int64) []int64 {
	starts := []int64{from}
	g, ok := p.timelines[node]
	if !ok {
		return starts
	}
	length := uint64(math.MaxUint64)
	if !w.End.IsZero() {
		length = uint64(w.end() - w.start())
	}
	for i := range g.lanes {
		if g.lanes[i].yielding > 0 && from <= p.now {
			starts = append(starts, p.now+1)
		}
		for at, delta := range g.lanes[i].line.Steps(from) {
			switch {
			case delta < 0:
				starts = append(starts, at)
			case uint64(at-from) >= length:
				starts = append(starts, at-int64(length)+1)
			}
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}
