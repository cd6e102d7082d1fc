package scheduler

import (
	"context"
	"time"
)

// NextDeadline returns the next instant at which something falls due by
// itself, and false if nothing will. It is a hint for timers: it answers at
// once and does not wait until what it rests on is durable. It takes constant
// time.
func (s *Scheduler) NextDeadline() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.nextDeadline()
}

// DeadlineChanged returns a channel that is closed when NextDeadline changes, so
// that a sleeper can set its timer anew. Take it before looking at NextDeadline,
// and nothing is missed. It takes constant time.
func (s *Scheduler) DeadlineChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved == nil {
		s.moved = make(chan struct{})
	}
	return s.moved
}

// Sweep lets what is due by now fall due and returns it, in order. Any other
// call on the scheduler does the same first; Sweep is for hosts that want to
// be told in time. It costs O(log n) for each thing due.
func (s *Scheduler) Sweep(ctx context.Context) ([]Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reading := s.reading()
	s.mu.Lock()
	due, err := s.advanceLocked(reading, true)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return due, nil
}

// nextDeadline returns when time will next change something.
func (st *state) nextDeadline() (time.Time, bool) {
	eviction, evicts := st.evictions.next()
	burst, bursts := st.quota.NextDeadline()
	planned, plans := st.plan.NextDeadline()
	next, due := eviction, evicts
	if bursts && (!due || burst.Before(next)) {
		next, due = burst, true
	}
	if plans && (!due || planned.Before(next)) {
		next, due = planned, true
	}
	return next, due
}

// advance lets time pass and derives what falls due on the way, in the order
// of time. At one instant the plan comes first, whose ends free what is charged,
// so that a burst which ends with them has not expired; then bursts, then
// evictions.
func (st *state) advance(to time.Time, out *outcome) {
	for {
		at, due := st.nextDeadline()
		if !due || at.After(to) {
			break
		}
		if at.After(st.now) {
			st.now = at
		}
		if planned, plans := st.plan.NextDeadline(); plans && planned.Equal(at) {
			st.follow(st.plan.Advance(at), out)
		} else if burst, bursts := st.quota.NextDeadline(); bursts && burst.Equal(at) {
			st.expireBursts(out)
		} else {
			st.evict(out)
		}
	}
	st.now = to
	st.follow(st.plan.Advance(to), out)
	st.index.DropUnused() // of what the latest change, or the passing of time, took away
}

// expireBursts tells of the bursts that are due.
func (st *state) expireBursts(out *outcome) {
	for _, usage := range st.quota.Advance(st.now) {
		out.emit(&BurstExpired{Usage: usage})
	}
}
