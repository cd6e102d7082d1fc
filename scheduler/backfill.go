package scheduler

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// ownWindow returns over which window a request needs room, and false if it
// needs it for ever: a request with a Duration until that is over, one that
// yields just now.
func ownWindow(now time.Time, req *placement.Request) (reservation.Window, bool) {
	switch {
	case req.Yield:
		return reservation.Window{Start: now, End: now.Add(1)}, true
	case req.Duration > 0:
		return reservation.Window{Start: now, End: now.Add(req.Duration)}, true
	default:
		return reservation.Window{}, false
	}
}

// checkWindow refuses a request that leaves at a known time, or when told, while
// the clock shows what the plan can not count.
func checkWindow(now time.Time, req *placement.Request) error {
	if w, bounded := ownWindow(now, req); bounded && !w.Overlaps(w) {
		return &placement.InvalidError{
			Field: "duration", Value: req.Duration.String(), Reason: "out of range at " + now.String(),
		}
	}
	return nil
}

// spot is a place that a query could take.
type spot struct {
	index.Choice
	held *index.Hold // in place of the node's own; nil is its own
}

// backfill looks for a better place than the best. It takes time in proportion
// to the nodes with holds.
func (st *state) backfill(now time.Time, q *index.Query, best *spot) *spot {
	for to := range st.backfills(now, q) {
		if best == nil || st.better(q, to, best) {
			best = to
		}
	}
	return best
}

// backfills yields the places of a query on nodes on which it does not fit for
// ever, because capacity is held, but fits over its own window, by join.
func (st *state) backfills(now time.Time, q *index.Query) iter.Seq[*spot] {
	return func(yield func(*spot) bool) {
		for _, n := range slices.SortedFunc(maps.Keys(st.reserved), byJoin) {
			if to, ok := st.backfilled(now, q, n); ok && !yield(to) {
				return
			}
		}
	}
}

// backfilled is backfills for one node: what is held there outside of the
// query's own window does not count.
func (st *state) backfilled(now time.Time, q *index.Query, n *node) (*spot, bool) {
	w, bounded := ownWindow(now, q.Class.Request())
	if !bounded || !st.reserved[n] || st.index.Fits(q, n.slot) {
		return nil, false
	}
	held := st.held(n, w)
	terms, ok := st.index.Evaluate(q, n.slot, &held)
	return &spot{index.Choice{Slot: n.slot, Terms: terms}, &held}, ok
}

func byJoin(a, b *node) int { return cmp.Compare(a.join, b.join) }

// better orders places as the index does: for Spread by instances of the
// group, then by score, then by the order of joining. Random has no order
// beyond soft rules, and neither has LeastFragmentation one that is known
// here: an ordinary place stays.
func (st *state) better(q *index.Query, a, b *spot) bool {
	strategy := q.Class.Request().Preferences.Strategy
	if strategy == placement.Random || strategy == placement.LeastFragmentation {
		return a.Terms.Soft > b.Terms.Soft
	}
	if strategy == placement.Spread {
		if order := cmp.Compare(st.index.Group(q, a.Slot), st.index.Group(q, b.Slot)); order != 0 {
			return order < 0
		}
	}
	if order := cmp.Compare(placement.Score(a.Terms), placement.Score(b.Terms)); order != 0 {
		return order > 0
	}
	return st.slots[a.Slot].join < st.slots[b.Slot].join
}
