package reservation

import (
	"math"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// refused explains why a load finds no room: which node comes nearest and who
// holds it.
func (t *trial) refused(want Want, load Load) *RefusedError {
	refused := &RefusedError{Window: want.Window, Shape: load.Resources.Clone()}
	nearest := int64(-1)
	var nearestRoom Room
	s := t.plan.span(want.Window)
	for node, room := range t.nodes.For(&want) {
		free := t.plan.free(node, &room, &load, s)
		share := int64(math.MaxInt64)
		for name, asked := range load.Resources.All() {
			if asked > 0 {
				share = min(share, placement.Utilization(free.Amount(name), asked))
			}
		}
		if share > nearest {
			nearest, nearestRoom = share, room
			refused.Node, refused.Largest = node, free
		}
	}
	refused.Holders = t.inTheWayOf(refused.Node, &nearestRoom, want, &load)
	return refused
}

// inTheWayOf returns what counts on a node at those times of a window at which
// a load does not fit.
func (t *trial) inTheWayOf(node string, room *Room, want Want, load *Load) []Holder {
	p, s := t.plan, t.plan.span(want.Window)
	holders := slices.DeleteFunc(p.Holders(node, Window{instant(s.from), want.Window.End}), func(h Holder) bool {
		return h.ID == want.ID && !h.Instance // It is not in its own way.
	})
	starts := []int64{s.from}
	for _, h := range holders {
		starts = append(starts, max(s.from, h.Window.start()))
	}
	starts = slices.DeleteFunc(starts, func(at int64) bool {
		_, fits := p.fit(node, room, load, span{at, at + 1}, nil)
		return fits
	})
	if len(starts) == 0 {
		return holders // No GPU is free all the time, though one is at any time.
	}
	return slices.DeleteFunc(holders, func(h Holder) bool {
		return !slices.ContainsFunc(starts, func(at int64) bool { return h.Window.start() <= at && at < h.Window.end() })
	})
}

// maxProbes bounds how many starts are tried for several slots together.
const maxProbes = 1000

// earliest returns the first start from which a refused reservation would find
// room for as long as it asks, zero if there is none. It may have to displace
// others for that, as Reserve does.
func (t *trial) earliest(r *Reservation) time.Time {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	want := r.want(nil)
	var nodes []string
	for node := range t.nodes.For(&want) {
		nodes = append(nodes, node)
		endless := Hold{Node: node, Window: Window{Start: want.Window.Start}}
		for _, ref := range t.plan.displaceable(&endless, r.Spec.Priority) {
			t.liftSlot(ref)
		}
	}
	first := t.earliestSingle(want, r.load(), want.Window.start())
	if r.Terms.Count == 1 || first.IsZero() {
		return first
	}
	starts := []int64{nanos(first)}
	for _, node := range nodes {
		starts = t.plan.starts(node, nanos(first), starts)
	}
	for _, start := range starts[:min(len(starts), maxProbes)] {
		var ok bool
		if want.Window, ok = r.window().shifted(start); !ok {
			break
		}
		if t.placesAll(want, r.load(), r.Terms.Count) {
			return want.Window.Start
		}
	}
	return time.Time{}
}

// placesAll reports whether so many slots would find room.
func (t *trial) placesAll(want Want, load Load, count int) bool {
	mark := len(t.done)
	defer func() { t.undo(mark) }()
	for range count {
		h, ok := t.place(want, load)
		if !ok {
			return false
		}
		want.Taken = append(want.Taken, h.Node)
	}
	return true
}

// earliestSingle returns the first start at or after from at which one load
// would find room, zero if there is none.
func (t *trial) earliestSingle(want Want, load Load, from int64) time.Time {
	earliest := int64(forever)
	for node, room := range t.nodes.For(&want) {
		for _, start := range t.plan.starts(node, from, []int64{from}) {
			window, ok := want.Window.shifted(start)
			if start >= earliest || !ok {
				break
			}
			if _, fits := t.plan.fit(node, &room, &load, t.plan.span(window), nil); fits {
				earliest = start
			}
		}
	}
	if earliest == forever {
		return time.Time{}
	}
	return instant(earliest)
}

// starts adds to sorted instants those after from at which something on a node
// ends: what does not fit at one of them does not fit before the next. Where
// instances yield, that is also the instant after now.
func (p *Plan) starts(node string, from int64, starts []int64) []int64 {
	g, ok := p.grounds[node]
	if !ok {
		return starts
	}
	for i := range g.lanes {
		if g.lanes[i].yielding > 0 && from <= p.now {
			starts = append(starts, p.now+1)
		}
		starts = g.lanes[i].line.falls(from, starts)
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}
