package reservation

import (
	"math"
	"slices"

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
		if short, share := t.plan.short(node, &room, &load, free, s); share > nearest {
			nearest, nearestRoom = share, room
			refused.Node, refused.Largest, refused.Short = node, free, short
		}
	}
	refused.Holders = t.inTheWayOf(refused.Node, &nearestRoom, want, &load)
	return refused
}

// short returns the dimension of which a node has the smallest share of what a
// load asks, and that share; free is how much of it would fit.
func (p *Plan) short(node string, room *Room, load *Load, free placement.Resources, s span) (name placement.ResourceName, share int64) {
	if !p.grounds[node].fit(room, &Load{Instances: load.Instances}, s, p.now) {
		return placement.NameInstances, 0
	}
	share = math.MaxInt64
	for of, asked := range load.Resources.All() {
		if has := placement.Utilization(free.Amount(of), asked); asked > 0 && has < share {
			name, share = of, has
		}
	}
	return name, share
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
