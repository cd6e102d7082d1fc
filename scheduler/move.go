package scheduler

import "context"

// Move places a running instance on another node, in one step: its next generation is
// there, after the checks of Allocate, and the one before is Leaving where it is, until
// ReleaseGeneration says that it is gone. So the host starts the one, then stops the
// other, and both have what they need. An instance that is Leaving moves as well. An
// empty nodeID is the best node, as Place finds it.
//
// The namespace is charged once throughout, rules count the instance once (those of
// required anti-affinity count both generations, but neither against the other), and
// the ID is never released in between. The request is that of the instance, with its
// present amounts; a Duration starts again. KeepGeneration takes the move back.
//
// Moving an instance to where it is returns its decision, so that Move can be repeated;
// one that is Leaving there is ErrConflict, and so is one that is lost, which Place
// places again, or stands in a reservation. Other errors are those of Allocate: a quota
// refuses only what is counted for longer. It costs what Allocate or Place does, and
// with rules among instances time in proportion to the domains in which they count.
func (s *calls) Move(ctx context.Context, id, nodeID string) (Decision, error) {
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	d, err := s.moveLocked(id, nodeID)
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}

func (s *calls) moveLocked(id, nodeID string) (Decision, error) {
	began := s.decided.begin()
	next, err := s.state.decideMove(s.now, id, nodeID)
	if err == nil && next.change != nil {
		s.commitLocked(next.change)
	}
	s.decided.end(began, err == nil && next.change == nil, err)
	switch {
	case err != nil:
		return Decision{}, err
	case next.change == nil:
		return s.state.decision(next.to.existing), nil
	}
	return s.decisionLocked(next.request, &next.to), nil
}

// KeepGeneration says that an older generation of an instance goes on and the present
// one is stopped: a lost node has come back after its instance was placed again, and the
// original is worth more; or a Move has failed. The older one is Running, where it is,
// with what it was placed with, and is charged in place of the other, without asking
// for room or rules. The other is Leaving until ReleaseGeneration; if it was lost, it is
// stale.
//
// Keeping the present generation changes nothing. ErrNotFound says that the ID has no
// such generation, ErrConflict that its node is lost, and a quota.ExceededError that it
// is larger than what is charged now and the namespace has no quota for that. It takes
// time in proportion to the generations of the ID, and otherwise costs what Leave does
// twice.
func (s *calls) KeepGeneration(ctx context.Context, id string, generation uint64) (Decision, error) {
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	c, err := s.state.canKeep(s.now, id, generation)
	if err == nil && c != nil {
		s.commitLocked(c)
	}
	var d Decision
	if err == nil {
		d = s.state.decision(s.state.allocations.At(id))
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}
