package scheduler

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// The methods of this file decide on requests: they look at the state, change
// nothing, and return where the request goes or the refusal.

// candidate is where a request may go: to a place on a node, or to the
// allocation that exists already under its ID. A query has found the place;
// what follows from there is set once it is the one.
type candidate struct {
	index.Choice
	held *index.Hold // in place of the node's own; nil is its own

	existing   *allocation // and nothing else, if not nil
	attached   decided     // but what makes it stand in a slot
	class      *index.Class
	score      int // from 0 to 1000
	devices    []uint16
	ports      []uint16 // dynamic ones
	generation uint64
	claim      *reservation.PlanChange  // of a slot
	asks       []reservation.PlanChange // of a claim that has to wait: nothing else is set
}

// find decides where the request of a query goes: to the node of that ID, or if it
// is empty to the best one.
func (st *state) find(now time.Time, req *placement.Request, q *index.Query, nodeID string) (candidate, error) {
	var on *node
	if nodeID != "" {
		var err error
		if on, err = st.node(nodeID); err != nil {
			return candidate{}, err
		}
	}
	generation, existing, err := st.identify(req, q)
	switch {
	case err != nil:
		return candidate{}, err
	case existing != nil && on != nil && on.row != existing.row:
		return candidate{}, placement.Conflict(placement.KindAllocation, req.ID, "is placed on node "+st.on(existing).ID)
	case existing != nil:
		return candidate{existing: existing}, nil
	}
	if err := checkWindow(now, req); err != nil {
		return candidate{}, err
	}
	to, err := st.choose(now, req, q, on)
	if exceeded := st.admits(now, req); exceeded != nil || err != nil {
		return candidate{}, both(err, exceeded)
	}
	st.complete(q, &to, generation)
	return to, nil
}

// complete notes at the place of a query all that it takes there.
func (st *state) complete(q *index.Query, to *candidate, generation uint64) {
	to.class, to.score, to.devices, to.generation = q.Class, to.Terms.Normalized(), st.devicesFor(q, to), generation
	to.ports = st.index.DynamicPorts(q, to.Row)
}

// devicesFor chooses the GPUs for a query on its place. One that yields takes those that
// are lent only if others do not do: it would be in the way of whoever claims them.
func (st *state) devicesFor(q *index.Query, to *candidate) []uint16 {
	if to.held != nil && q.Resources.GPU > 0 && q.Class.Request().Yield {
		w := st.fromNow()
		w.End = w.Start.Add(1)
		held := st.held(st.at(to.Row), w)
		spared := st.index.Devices(q, to.Row, &held)
		if len(spared) > 0 && int64(len(spared)) >= q.Resources.GPU/placement.Device {
			return spared
		}
	}
	return st.index.Devices(q, to.Row, to.held)
}

// placed is the change that puts a request where it goes.
func (st *state) placed(req *placement.Request, to *candidate) Placed {
	n := st.at(to.Row)
	return Placed{
		ID: req.ID, Resources: req.Resources.Clone(), NodeID: n.ID, Devices: to.devices,
		DynamicPorts: to.ports, Score: to.score, Generation: to.generation, Claim: to.claim,
		rules: to.class.Request(), class: to.class, node: n,
	}
}

// identify looks the request's ID up: it returns the allocation that exists
// already, or the generation of a new one.
func (st *state) identify(req *placement.Request, q *index.Query) (generation uint64, existing *allocation, err error) {
	switch old := st.allocations.At(req.ID); {
	case old == nil && st.released.known.At(req.ID):
		return 0, nil, &ReleasedError{req.ID}
	case old == nil:
		return st.nextGeneration(nil, req.ID), nil, nil
	case !old.answers(req, q.Class):
		return 0, nil, placement.Conflict(placement.KindAllocation, req.ID, "is placed with another request")
	case old.state == lost:
		return st.nextGeneration(old, req.ID), nil, nil
	default:
		return old.generation, old, nil
	}
}

// nextGeneration returns the generation of what is placed next under an ID, whose
// allocation is nil if there is none.
func (st *state) nextGeneration(a *allocation, id string) uint64 {
	generation := uint64(1)
	if a != nil {
		generation = a.generation + 1
	}
	for _, replaced := range st.stale[id] { // a report may have come with a smaller one since
		generation = max(generation, replaced.generation+1)
	}
	return generation
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
func (st *state) choose(now time.Time, req *placement.Request, q *index.Query, on *node) (candidate, error) {
	if on != nil {
		return st.chooseOn(now, q, on)
	}
	choice, ok := st.index.Best(q)
	if ok && st.interrupted(now, req, st.at(choice.Row)) {
		q.Closed = st.closing(now, req)
		choice, ok = st.index.Best(q)
	}
	if _, bounded := ownWindow(now, req); bounded && st.reserved.n > 0 {
		var ordinary *candidate
		if ok {
			ordinary = &candidate{Choice: choice}
		}
		if best := st.backfill(now, q, ordinary); best != nil {
			return *best, nil
		}
	}
	if !ok {
		return candidate{}, st.unschedulable(now, q)
	}
	return candidate{Choice: choice}, nil
}

func (st *state) chooseOn(now time.Time, q *index.Query, on *node) (candidate, error) {
	q.Closed = st.closingOn(now, q.Class.Request(), on)
	if terms, ok := st.index.Evaluate(q, on.row, nil); ok {
		return candidate{Choice: index.Choice{Row: on.row, Terms: terms}}, nil
	}
	if to, ok := st.backfilled(now, q, on); ok {
		return *to, nil
	}
	failures := st.index.Diagnose(q, on.row).Failures
	return candidate{}, &UnschedulableError{
		ID: q.ID, Version: st.seq, Total: 1, Reasons: []ReasonCount{{failures[0].Reason, 1}},
	}
}

// unschedulable is the refusal of a query.
func (st *state) unschedulable(now time.Time, q *index.Query) error {
	e := &UnschedulableError{ID: q.ID, Version: st.seq, Total: st.nodes.Len()}
	q.Closed = st.closing(now, q.Class.Request())
	for _, count := range st.index.Count(q) {
		e.Reasons = append(e.Reasons, ReasonCount(count))
	}
	return e
}

func (st *state) query(req *placement.Request) index.Query {
	return st.queryOf(req, st.index.Class(req))
}

// queryOf is query for a request whose class is known.
func (st *state) queryOf(req *placement.Request, class *index.Class) index.Query {
	return index.Query{Class: class, Resources: &req.Resources, ID: req.ID, Seq: st.seq}
}

// ask is query in memory of the state, since the index makes a query escape. It is
// valid until the next one.
func (st *state) ask(req *placement.Request) *index.Query { return st.askAs(req, st.index.Class(req)) }

// askAs is ask for a request whose class is known.
func (st *state) askAs(req *placement.Request, class *index.Class) *index.Query {
	st.asked = st.queryOf(req, class)
	return &st.asked
}

// looked returns how many nodes decisions have looked at one by one, ever.
func (st *state) looked() int { return st.index.Passes()*st.nodes.Len() + st.around }

// ownWindow returns over which window a request needs room, and false if it
// needs it forever: a request with a Duration until that is over, one that
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

// checkWindow refuses a request that leaves at a known time, or when asked to, while
// the clock shows what the plan cannot count.
func checkWindow(now time.Time, req *placement.Request) error {
	if w, bounded := ownWindow(now, req); bounded && !w.Overlaps(w) {
		return &placement.InvalidError{
			Field: "duration", Value: req.Duration.String(), Reason: "out of range at " + now.String(),
		}
	}
	return nil
}

// backfill looks for a better place than the best. It takes time in proportion
// to the nodes with holds.
func (st *state) backfill(now time.Time, q *index.Query, best *candidate) *candidate {
	for to := range st.backfills(now, q) {
		if best == nil || st.better(q, to, best) {
			best = to
		}
	}
	return best
}

// backfills yields the places of a query on nodes on which it does not fit forever,
// because capacity is held, but fits over its own window, by join.
func (st *state) backfills(now time.Time, q *index.Query) iter.Seq[*candidate] {
	return func(yield func(*candidate) bool) {
		st.around += st.reserved.n
		byJoin := func(a, b index.Row) int { return cmp.Compare(st.at(a).join, st.at(b).join) }
		for _, row := range slices.SortedFunc(st.reserved.all(), byJoin) {
			n := st.at(row)
			if to, ok := st.backfilled(now, q, n); ok && !yield(to) {
				return
			}
		}
	}
}

// backfilled is backfills for one node: what is held there outside of the
// query's own window does not count.
func (st *state) backfilled(now time.Time, q *index.Query, n *node) (*candidate, bool) {
	w, bounded := ownWindow(now, q.Class.Request())
	if !bounded || !st.reserved.has(n.row) || st.interrupted(now, q.Class.Request(), n) || st.index.Fits(q, n.row) {
		return nil, false
	}
	held := st.heldFor(n, q.Class.Request(), w)
	terms, ok := st.index.Evaluate(q, n.row, &held)
	return &candidate{Choice: index.Choice{Row: n.row, Terms: terms}, held: &held}, ok
}

// heldFor returns what is held on a node in the way of a request that needs room
// over its own window.
func (st *state) heldFor(n *node, req *placement.Request, own reservation.Window) index.Hold {
	if req.Yield {
		return st.heldBeside(n)
	}
	return st.held(n, own)
}

// better orders places as the index does. Random has no order beyond soft rules, and
// neither has LeastFragmentation one that is known here: an ordinary place stays.
func (st *state) better(q *index.Query, a, b *candidate) bool {
	score := cmp.Compare(placement.Score(a.Terms), placement.Score(b.Terms))
	soft := cmp.Compare(a.Terms.Soft, b.Terms.Soft)
	join := cmp.Compare(st.at(b.Row).join, st.at(a.Row).join) // the first to join is the better
	switch q.Class.Request().Preferences.Strategy {
	case placement.BinPack:
		return cmp.Or(score, join) > 0
	case placement.Spread:
		group := cmp.Compare(st.index.Group(q, b.Row), st.index.Group(q, a.Row))
		return cmp.Or(group, score, join) > 0
	case placement.Affinity:
		return cmp.Or(soft, cmp.Compare(a.Terms.Strategy, b.Terms.Strategy), join) > 0
	case placement.Random, placement.LeastFragmentation:
		return soft > 0
	}
	return false
}

// Decision is where an instance runs, or would run.
type Decision struct {
	// ID of the request.
	ID string `json:"id"`
	// NodeID of the chosen node.
	NodeID string `json:"nodeID"`
	// Devices are the indices of the GPUs taken, in ascending order.
	Devices []int `json:"devices,omitempty"`
	// Ports are those that the request claims, and DynamicPorts those that it got
	// beside them, both in ascending order.
	Ports        []placement.Port `json:"ports,omitempty"`
	DynamicPorts []uint16         `json:"dynamicPorts,omitempty"`
	// Score from 0 to 1000 between the bounds of the request's score, for
	// people; it does not order nodes of different requests.
	Score int `json:"score"`
	// Reason says in words why this node.
	Reason string `json:"reason"`
	// Generation counts placements under this ID: 1, and 1 more each time a
	// lost instance is placed again.
	Generation uint64 `json:"generation"`
	// Version is the sequence number of the last change of the allocation;
	// for Schedule, of the state it looked at.
	Version uint64 `json:"version"`
	// Token under which it was committed, for workers to check.
	Token uint64 `json:"token,omitempty"`
}

func reasonFor(req *placement.Request) string {
	switch req.Preferences.Strategy {
	case placement.BinPack:
		return "binpack: the fullest of the nodes that fit"
	case placement.Spread:
		if req.Group == "" {
			return "spread: the emptiest of the nodes that fit"
		}
		return "spread: fewest instances of the group, then the emptiest of the nodes that fit"
	case placement.Random:
		return "random: drawn from the best of the nodes that fit"
	case placement.Affinity:
		return "affinity: best soft rules of the nodes that fit, then the fullest"
	case placement.LeastFragmentation:
		return "leastfragmentation: free GPUs stay most useful"
	default:
		return ""
	}
}

// A request that says when it leaves does not go where maintenance would interrupt
// it. The index knows only which nodes are closed now: such a request is asked with
// those that are to be closed before it will have left thought closed too.

// interrupted reports whether a node is to be closed for maintenance before a
// request that says when it leaves will have left.
func (st *state) interrupted(now time.Time, req *placement.Request, n *node) bool {
	w, bounded := ownWindow(now, req)
	return bounded && !req.Yield && st.plan.ClosedDuring(n.ID, w)
}

// closing returns the nodes that would interrupt a request. It looks at every node on
// which something is reserved or leaves by itself.
func (st *state) closing(now time.Time, req *placement.Request) (rows []index.Row) {
	w, bounded := ownWindow(now, req)
	if !bounded || req.Yield {
		return nil
	}
	for _, id := range st.plan.ClosedNodes(w) {
		if n := st.named(id); n != nil && !n.lost && !n.unreported {
			rows = append(rows, n.row)
		}
	}
	return rows
}

// closingOn is closing for one node.
func (st *state) closingOn(now time.Time, req *placement.Request, n *node) []index.Row {
	if n.lost || n.unreported || !st.interrupted(now, req, n) {
		return nil
	}
	return []index.Row{n.row}
}

// interruption is why a node does not take what maintenance would interrupt.
func interruption() placement.Reason {
	return placement.Reason{Kind: placement.ReasonState, Detail: index.Closed.String()}
}
