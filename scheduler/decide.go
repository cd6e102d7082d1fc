package scheduler

import (
	"errors"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// The methods of this file decide on requests: they look at the state, change
// nothing, and return where the request goes or the refusal.

// found is where a request goes: to a place on a node, or to the allocation
// that exists already under its ID.
type found struct {
	existing   *allocation
	node       *node
	class      *index.Class
	devices    []uint16
	score      int
	generation uint64
	claim      *reservation.PlanChange
}

// find decides where the request goes: to the given node, or if that is nil
// to the best one.
func (st *state) find(now time.Time, req *placement.Request, on *node) (found, error) {
	st.asked = st.query(req) // kept, since the index makes it escape
	q := &st.asked
	generation, existing, err := st.identify(req, q)
	switch {
	case err != nil:
		return found{}, err
	case existing != nil && on != nil && on != existing.node:
		return found{}, &ConflictError{KindAllocation, req.ID, "is placed on node " + existing.node.ID}
	case existing != nil:
		return found{existing: existing}, nil
	}
	if err := checkWindow(now, req); err != nil {
		return found{}, err
	}
	to, err := st.choose(now, req, q, on)
	if exceeded := st.admits(now, req); exceeded != nil || err != nil {
		return found{}, both(err, exceeded)
	}
	return found{
		node: st.slots[to.Slot], class: q.Class, devices: st.index.Devices(q, to.Slot, to.held),
		score: to.Terms.Normalized(), generation: generation,
	}, nil
}

// identify looks the request's ID up: it returns the allocation that exists
// already, or the generation of a new one.
func (st *state) identify(req *placement.Request, q *index.Query) (generation uint64, existing *allocation, err error) {
	generation = 1
	for _, replaced := range st.stale[req.ID] { // a report may have come with a smaller one since
		generation = max(generation, replaced.generation+1)
	}
	switch old := st.allocations[req.ID]; {
	case old == nil && st.released.known[req.ID]:
		return 0, nil, &ReleasedError{req.ID}
	case old == nil:
		return generation, nil, nil
	case !old.answers(req, q.Class):
		return 0, nil, &ConflictError{KindAllocation, req.ID, "is placed with another request"}
	case old.state == lost:
		return max(generation, old.generation+1), nil, nil
	default:
		return old.generation, old, nil
	}
}

// both joins a refusal by capacity and one by quota; one alone stays itself.
func both(capacity, quota error) error {
	switch {
	case quota == nil:
		return capacity
	case capacity == nil:
		return quota
	default:
		return errors.Join(capacity, quota)
	}
}

// choose returns the place that the request takes, or the refusal.
func (st *state) choose(now time.Time, req *placement.Request, q *index.Query, on *node) (spot, error) {
	if on != nil {
		return st.chooseOn(now, q, on)
	}
	choice, ok := st.index.Best(q)
	if _, bounded := ownWindow(now, req); bounded && len(st.reserved) > 0 {
		var ordinary *spot
		if ok {
			ordinary = &spot{Choice: choice}
		}
		if best := st.backfill(now, q, ordinary); best != nil {
			return *best, nil
		}
	}
	if !ok {
		return spot{}, st.unschedulable(q)
	}
	return spot{Choice: choice}, nil
}

func (st *state) chooseOn(now time.Time, q *index.Query, on *node) (spot, error) {
	if terms, ok := st.index.Evaluate(q, on.slot, nil); ok {
		return spot{Choice: index.Choice{Slot: on.slot, Terms: terms}}, nil
	}
	if to, ok := st.backfilled(now, q, on); ok {
		return *to, nil
	}
	failures := st.index.Verdict(q, on.slot).Failures
	return spot{}, &UnschedulableError{
		ID: q.ID, Version: st.seq, Total: 1, Reasons: []ReasonCount{{failures[0].Reason, 1}},
	}
}

func (st *state) unschedulable(q *index.Query) error {
	e := &UnschedulableError{ID: q.ID, Version: st.seq, Total: len(st.nodes)}
	for _, count := range st.index.Count(q) {
		e.Reasons = append(e.Reasons, ReasonCount(count))
	}
	return e
}
