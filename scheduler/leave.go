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
