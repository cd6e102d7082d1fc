package scheduler

import (
	"context"
	"fmt"
	"slices"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// Schedule decides where the request would go and changes nothing. If its ID is
// already placed, it returns the existing decision, or ErrConflict if it was
// placed with another request. Otherwise it returns what Place would decide
// now, or its refusal. It costs what the decision of Place does.
func (s *view) Schedule(ctx context.Context, req placement.Request) (Decision, error) {
	return s.decide(ctx, &req, "", false)
}

// Place decides where the request goes and commits it, in one step. It is
// idempotent: the same request under the same ID returns the existing decision.
// It returns InvalidErrors for everything that is wrong with the request,
// ErrConflict if its ID is placed with another request, an UnschedulableError
// if no node fits now, and a quota.ExceededError if its namespace has no quota
// for it, joined to the other if both refuse it.
//
// The search takes mostly O(log n) in the nodes, in the worst case O(n), times the
// rules of the request, and a refusal O(n). A request with the rules and amounts of one
// that was refused costs a look at the nodes whose use has changed since, if no node
// has come, gone or been updated, nothing that its rules on domains count has changed,
// and it is among the hundred or so that were asked last. The commit takes time in
// proportion to the rules that count the instance. Neither depends on how many
// services, instances, namespaces or reservations there are. Reservations cost O(log h)
// in the holds of the node; quota costs dimensions in use times levels, at most 38 × 8.
func (s *calls) Place(ctx context.Context, req placement.Request) (Decision, error) {
	return s.decide(ctx, &req, "", true)
}

// Allocate commits the request on a node of the caller's choice, after the same
// checks that Place makes of every node. Errors are those of Place, and
// ErrNotFound if there is no such node. It looks at one node, in time
// proportional to the rules of the request, and commits as Place does.
func (s *calls) Allocate(ctx context.Context, nodeID string, req placement.Request) (Decision, error) {
	if nodeID == "" { // which means any node below
		return Decision{}, placement.NotFound(placement.KindNode, nodeID)
	}
	return s.decide(ctx, &req, nodeID, true)
}

func (s *view) decide(ctx context.Context, asked *placement.Request, nodeID string, commit bool) (Decision, error) {
	if err := asked.Validate(); err != nil {
		return Decision{}, err
	}
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	s.scratch.request = *asked // which does not escape then
	d, err := s.decideLocked(s.state.ask(&s.scratch.request), nodeID, commit)
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}

// decideLocked decides on the query of the request in the scratch.
func (s *view) decideLocked(q *index.Query, nodeID string, commit bool) (Decision, error) {
	req := &s.scratch.request
	began := s.decided.begin()
	to, err := s.state.find(s.now, req, q, nodeID)
	if commit {
		if err == nil && to.existing == nil {
			s.placeLocked(req, &to)
		}
		s.decided.end(began, to.existing != nil, err)
	}
	switch {
	case err != nil:
		if commit {
			s.refused.note(s.now, req, err)
		}
		return Decision{}, err
	case to.existing != nil:
		return s.state.decision(to.existing), nil
	}
	return s.decisionLocked(req, &to), nil
}

// placeLocked commits a request to its place.
func (s *view) placeLocked(req *placement.Request, to *candidate) {
	s.refused.forget(req.ID)
	placed := &s.scratch.placed
	if s.keepingLocked() { // and the change outlives the call
		placed = new(Placed)
	}
	*placed = s.state.placed(req, to)
	s.commitLocked(placed)
}

// decisionLocked tells where a request has been committed to, or would be.
func (s *view) decisionLocked(req *placement.Request, to *candidate) Decision {
	return Decision{
		ID: req.ID, NodeID: s.state.at(to.Row).ID, Devices: deviceList(to.devices), Score: to.score,
		Ports: slices.Clone(to.class.Request().Ports), DynamicPorts: slices.Clone(to.ports),
		Reason:     reasonFor(req),
		Generation: to.generation, Version: s.state.seq, Token: s.token,
	}
}

// Release says that the instance is gone and frees what it used, whether it was
// running or lost. Releasing it again is a ReleasedError as long as
// Config.RememberReleased keeps the ID, and then ErrNotFound, like that of an
// ID that never was. It takes time in proportion to the rules that count the
// instance. With reservations it takes O(log h) in the
// holds of the node; if some lack slots, each of them is tried on the node.
func (s *calls) Release(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	a, err := s.state.allocation(id)
	if err != nil && s.state.released.known.At(id) {
		err = &ReleasedError{id}
	}
	if err == nil {
		released := &s.scratch.released
		if s.keepingLocked() {
			released = new(Released)
		}
		*released = Released{ID: id, Generation: a.generation}
		s.commitLocked(released)
	}
	return s.unlockAndWait(ctx, err)
}

// ReleaseGeneration says that a replaced generation is gone, which a lost node held
// when it came back, or which Move or KeepGeneration has made leave. One that is not on
// the books is ErrNotFound. Releasing the present generation is ErrConflict:
// generations restart at 1 once an ID has no allocations, so a late retry must not
// release a running instance. It costs what Release does, and a look at the other stale
// generations of the ID.
func (s *calls) ReleaseGeneration(ctx context.Context, id string, generation uint64) error {
	return s.change(ctx, func(st *state) (decided, error) {
		a := st.generation(id, generation)
		switch {
		case a == nil:
			return nil, placement.NotFound(placement.KindAllocation, id)
		case a.state != stale:
			return nil, placement.Conflict(placement.KindAllocation, id, fmt.Sprintf("has generation %d that is not replaced", generation))
		}
		return &Released{ID: id, Generation: generation}, nil
	})
}

// Allocation returns the current generation of an allocation, in time proportional to
// its request, however many there are.
func (s *view) Allocation(ctx context.Context, id string) (info Allocation, err error) {
	err = s.look(ctx, func(st *state) error {
		a, err := st.allocation(id)
		if err == nil {
			info = a.info(st.on(a).ID)
		}
		return err
	})
	if err != nil {
		return Allocation{}, err
	}
	return info, nil
}

// Allocations returns everything on the books by ID and generation, stale
// generations included, as of one instant. Decisions go on meanwhile. It takes
// time and memory in proportion to nodes and instances, O(n log n) to sort
// them.
func (s *view) Allocations(ctx context.Context) ([]Allocation, error) {
	c, err := s.captured(ctx, parts{nodes: true})
	if err != nil {
		return nil, err
	}
	all := c.placed()
	infos := make([]Allocation, len(all))
	for i, a := range all {
		infos[i] = a.info(a.on.ID)
	}
	return infos, nil
}

// AllocationsOn returns what is on the books of a node by ID and generation, lost
// and stale generations included, and ErrNotFound if there is no such node. It
// takes time and memory in proportion to the instances on the node, O(n log n) to
// sort them.
func (s *view) AllocationsOn(ctx context.Context, nodeID string) ([]Allocation, error) {
	var copies []allocation
	err := s.look(ctx, func(st *state) error {
		n, err := st.node(nodeID)
		if err != nil {
			return err
		}
		for _, a := range n.instances {
			copies = append(copies, *a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(copies, func(a, b allocation) int { return compareAllocations(&a, &b) })
	infos := make([]Allocation, len(copies))
	for i := range copies {
		infos[i] = copies[i].info(nodeID)
	}
	return infos, nil
}

// Resize changes the amounts of a running instance on its node. Only what grows
// needs room; if there is none, it returns an UnschedulableError. GPUs stay: a
// fraction remains on its device, and whole devices are given up from the last
// one or added by index. A fraction never becomes whole devices or the reverse;
// an instance without GPUs may get either, and any may give up all. A lost
// instance, and one in a slot of an active reservation, keeps its size: that is
// ErrConflict. A refusal by quota is a quota.ExceededError. It costs what
// Allocate does.
func (s *calls) Resize(ctx context.Context, id string, to placement.Resources) (Decision, error) {
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	var d Decision
	a, err := s.state.allocation(id)
	if err == nil {
		var resized *Resized
		if resized, err = s.state.canResize(s.now, a, to.Clone()); err == nil {
			if !resized.Resources.Equal(a.resources) {
				s.commitLocked(resized)
			}
			d = s.state.decision(a)
		}
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}
