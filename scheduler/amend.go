package scheduler

import (
	"context"
	"errors"

	"github.com/rads-project/constellation/placement"
)

// Amendment is the result of Amend.
type Amendment struct {
	// Decision on the instance, which is where it was, with the dynamic ports that it
	// has now.
	Decision Decision `json:"decision"`
	// Broken are the hard rules of the instance that do not hold where it is: see
	// BrokenRules. They are told and not enforced.
	Broken []Failure `json:"broken,omitempty"`
}

// Amend gives an instance another request, whose ID is id or empty: labels, group,
// tolerations, priority, preferences, duration, yield and ports. It stays on its node
// with its amounts and devices, and with as many of its dynamic ports as it still asks
// for. Everything that goes by the request follows at once: who counts it, when a taint
// or its Duration, which counts from its placement, ask it to leave, and what its
// namespace is charged over time. Placing the amended request again returns its
// decision; the one before is another request from then on.
//
// Its rules are not checked: those that do not hold are returned. A Leaving instance
// goes on leaving, also if it tolerates now what it is leaving for; Stay takes that
// back. A lost one is amended as well, so that Place takes the new request for it.
//
// The namespace stays, and the amounts are its present ones, or those that it was
// placed with where Resize has changed them: other ones are ErrConflict, and so is
// another Duration in a slot of a reservation. Ports that it does not have yet must be
// free on its node, and where it stays for longer, or does not yield any more, what it
// uses must be free beside all that is held there: else an UnschedulableError names
// what is lacking. A quota.ExceededError says that its namespace has no quota for as
// long, ErrNotFound that there is no such instance, and InvalidErrors what is wrong
// with the request. The same request again changes nothing.
//
// It takes time in proportion to the request, and to the rules that count the instance
// before and after; with ports also to the dynamic ports of the node, with a Duration
// or Yield O(log h) in the holds there, and a look at what Violations looks at of one
// instance.
func (s *calls) Amend(ctx context.Context, id string, req placement.Request) (Amendment, error) {
	if req.ID == "" {
		req.ID = id
	}
	err := req.Validate()
	if req.ID != id {
		err = errors.Join(err, &placement.InvalidError{Field: "id", Value: req.ID, Reason: "is another instance than " + id})
	}
	if err != nil {
		return Amendment{}, err
	}
	if err := s.enter(ctx); err != nil {
		return Amendment{}, err
	}
	amended, err := s.state.canAmend(s.now, &req)
	if err == nil && amended != nil {
		s.commitLocked(amended)
	}
	var done Amendment
	if err == nil {
		a := s.state.allocations.At(id)
		done = Amendment{Decision: s.state.decision(a), Broken: s.state.broken(a)}
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Amendment{}, err
	}
	return done, nil
}
