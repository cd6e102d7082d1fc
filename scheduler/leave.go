package scheduler

import "context"

// Leave says that an instance is being stopped: it is Leaving from then on, until
// Release says that it is gone, or Stay that it stays after all. It holds its
// capacity, devices, ports, quota and place in a reservation, and is kept away
// from by required anti-affinity, its own and that of others. It counts in no spread
// rule, no affinity, no weighted rule and no target, as if it had gone, and is
// never named as a victim of preemption again. What does not depend on rules among
// instances gets no room before Release.
//
// An EvictionDue does the same, of a taint or of a reservation, and so does Move for
// the generation that it leaves behind. The instance can be placed somewhere else
// meanwhile with Move. Placing its request again returns its decision, as for any
// instance that is there. If its node is lost and comes back, it goes on leaving.
//
// Leaving again changes nothing. ErrNotFound says that there is no such instance,
// ErrConflict that it is lost. It takes time in proportion to the rules
// that count the instance.
func (s *calls) Leave(ctx context.Context, id string) error {
	return s.change(ctx, func(st *state) (decided, error) { return st.canLeave(id, true) })
}

// Stay takes Leave back, also where an EvictionDue has said it: that one is not told
// again unless its instant changes. The instance counts as any other, without being
// checked again. Errors and cost are those of Leave; an instance that is not Leaving
// stays as it is.
func (s *calls) Stay(ctx context.Context, id string) error {
	return s.change(ctx, func(st *state) (decided, error) { return st.canLeave(id, false) })
}

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
