package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// Committed is what Commit has done.
type Committed struct {
	// Version of the scheduler with the plan in it.
	Version uint64 `json:"version"`
	// Decisions on the placements of the plan, in its order, as they were decided anew:
	// on the node of the plan, but GPUs and dynamic ports may be others.
	Decisions []Decision `json:"decisions,omitempty"`
}

// StepConflict is a step that could not be carried out.
type StepConflict struct {
	// Step by its number in Plan.Steps.
	Step int
	// Change of the step.
	Change Change
	// Err is what the call would have returned, or a ChangedError if what the step
	// rests on is not what it was.
	Err error
}

// PlanError names the steps that kept a plan from being committed. It unwraps to
// ErrConflict and to the error of each.
type PlanError struct {
	Conflicts []StepConflict `json:"conflicts"`
}

// Error names the first three conflicts.
func (e *PlanError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scheduler: %d steps of the plan conflict", len(e.Conflicts))
	for i, c := range e.Conflicts[:min(3, len(e.Conflicts))] {
		fmt.Fprintf(&b, "%s step %d (%T): %v", []string{":", ";"}[min(i, 1)], c.Step, c.Change, c.Err)
	}
	return b.String()
}

// Unwrap returns ErrConflict and the errors of the conflicts.
func (e *PlanError) Unwrap() []error {
	all := []error{ErrConflict}
	for _, c := range e.Conflicts {
		all = append(all, c.Err)
	}
	return all
}

// ChangedError says that something is not of the version any more that a caller has
// seen. It unwraps to ErrConflict.
type ChangedError struct {
	// NodeID of the node that has changed, for AllocateIf; empty for a step of a plan,
	// whose change names it.
	NodeID string `json:"nodeID,omitempty"`
	// Expected is the version that was asked for, Version the present one; 0 if there
	// is none any more.
	Expected uint64 `json:"expected"`
	Version  uint64 `json:"version"`
}

// Error returns "scheduler: version EXPECTED was asked for, and it is VERSION".
func (e *ChangedError) Error() string {
	if e.NodeID != "" {
		return fmt.Sprintf("scheduler: version %d of node %.256q was asked for, and it is %d", e.Expected, e.NodeID, e.Version)
	}
	return fmt.Sprintf("scheduler: version %d was asked for, and it is %d", e.Expected, e.Version)
}

// Unwrap returns ErrConflict.
func (e *ChangedError) Unwrap() error { return ErrConflict }

// Commit carries out the plan of a fork, as one entry: all of it, or nothing. Each step
// is decided anew, on top of those before it, with the code of the call that it came
// from: a placement goes on the node of the plan if the request still fits there and
// has quota, and what replaces or takes away something asks for the version that the
// fork has seen. Otherwise a PlanError names every step that conflicts, and nothing has
// changed.
//
// It is idempotent for placements: one that is there already, with the same request on
// the same node, is left as it is. Of calls on reservations it carries out Reserve, which
// has to come to the same slots, PlaceFromReservation and Unclaim; others are conflicts.
//
// It costs what its steps cost as calls, and other calls wait until it is decided. A
// plan that conflicts costs about twice that. As after a Fork, the first change of each
// node costs a copy of its record afterwards.
func (s *calls) Commit(ctx context.Context, p Plan) (Committed, error) {
	if err := s.enter(ctx); err != nil {
		return Committed{}, err
	}
	done, err := s.commitPlanLocked(p.Steps)
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Committed{}, err
	}
	return done, nil
}

func (s *calls) commitPlanLocked(steps []Step) (Committed, error) {
	st, before := s.state, s.tried.length()
	e, out := s.beginLocked(false)
	told := len(out.events)
	st.mark()
	var done Committed
	var conflicts []StepConflict
	for i := range steps {
		next, err := st.decideStep(&steps[i], &s.view)
		if err != nil {
			conflicts = append(conflicts, StepConflict{i, steps[i].Change, err})
			continue
		}
		if next.change != nil {
			s.tried.note(st, next.change)
			if err := st.commitMore(e, out, next.change); err != nil {
				s.endLocked(e, out, err, false)
				return Committed{}, nil // since the scheduler has failed
			}
		}
		done.decided(s, &next)
	}
	if len(conflicts) > 0 {
		st.rollBack()
		s.tried.cut(before)
		clear(out.events[told:])
		out.events = nil
		return Committed{}, &PlanError{conflicts}
	}
	st.forget()
	if len(e.changes) > 0 {
		s.endLocked(e, out, nil, false)
	}
	done.Version = st.seq
	return done, nil
}

// decided adds the decision of a step that places something.
func (c *Committed) decided(s *calls, next *step) {
	switch {
	case next.request == nil:
	case next.to.existing != nil:
		c.Decisions = append(c.Decisions, s.state.decision(s.state.allocations.At(next.request.ID)))
	default:
		c.Decisions = append(c.Decisions, s.decisionLocked(next.request, &next.to))
	}
}

// AllocateIf is Allocate on a node that has not changed since a version, which
// NodeInfo.Version told: for a host that decides by what it has read of the node. What is
// placed there does not change a node; whether the request fits is checked in any case.
// If the node itself has changed, a ChangedError says so. A request that is placed
// there already is returned whatever the version. Otherwise errors and cost are those of
// Allocate.
func (s *calls) AllocateIf(ctx context.Context, nodeID string, version uint64, req placement.Request) (Decision, error) {
	if err := req.Validate(); err != nil {
		return Decision{}, err
	}
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	var d Decision
	n, err := s.state.node(nodeID)
	if err == nil && n.version != version && !s.state.placedAlready(req.ID) {
		err = &ChangedError{NodeID: nodeID, Expected: version, Version: n.version}
	}
	if err == nil {
		s.scratch.request = req
		d, err = s.decideLocked(s.state.ask(&s.scratch.request), nodeID, true)
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}

// placedAlready reports whether an instance of that ID is on a node that is not lost.
func (st *state) placedAlready(id string) bool {
	a := st.allocations.At(id)
	return a != nil && a.state != lost
}

func (t *tried) length() int {
	if t == nil {
		return 0
	}
	return len(t.steps)
}

// cut takes the steps beyond the first n away.
func (t *tried) cut(n int) {
	if t != nil {
		t.steps = slices.Clip(t.steps[:n]) // a Plan may have the others
	}
}
