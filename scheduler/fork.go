package scheduler

import (
	"context"
	"fmt"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Fork is a copy of a scheduler's state to try things on. It has the calls of
// Scheduler and answers each as the scheduler would; nothing of it is visible
// anywhere else: it has no journal, calls no hooks, and needs no Close. Plan says what
// has been changed on it, and Commit carries that out on the scheduler.
//
// Time passes on a fork as on the scheduler, by Config.Now. It is safe for concurrent
// use. It shares the records of nodes and instances with the scheduler, and much of the
// index: whoever changes one copies it first. So the first change of a node after a Fork
// costs a copy of the node's record on either side, and what a fork takes of memory
// besides grows with what is changed on either.
type Fork struct {
	*calls

	// Guarded by the lock of calls.
	marks  []forkMark // of which the state keeps what has changed, the latest last
	number uint64     // of the latest mark ever
}

// Fork returns a copy of the present state. Decisions on s wait while what the index has
// by node is copied, some 200 bytes of each, with its grids and a record for each set of
// rules in use; accounts and reservations are copied a few at a time, as for lists, which
// wait. It takes time and memory linear in nodes, sets of rules, namespaces, reservations
// and instances that leave by themselves, and of all other instances one pointer for
// each 16 or so.
func (s *calls) Fork(ctx context.Context) (*Fork, error) {
	if err := s.read(ctx, func(*state) error { return nil }); err != nil {
		return nil, err
	}
	forked, err := s.forked(ctx)
	s.hooks.drain()
	if err != nil {
		return nil, err
	}
	return &Fork{calls: &forked.calls}, nil
}

// forked returns what decides on a copy of the state.
func (s *calls) forked(ctx context.Context) (*Scheduler, error) {
	c, err := s.captured(ctx, parts{quotas: true, plan: true, shared: true})
	if err != nil {
		return nil, err
	}
	if err := c.shared.completed(c); err != nil {
		return nil, err
	}
	cfg := s.cfg
	cfg.Journal, cfg.Hooks, cfg.Workload = nil, Hooks{}, nil
	f := newScheduler(cfg)
	s.mu.RLock()
	defer s.mu.RUnlock()
	f.state, f.token, f.clock, f.now = c.shared, s.token, s.clock, s.now
	f.tried = &tried{version: f.state.seq}
	f.earliest, _ = f.state.nextDeadline()
	return f, nil
}

// ForkMark is a point to which a Fork can be rolled back.
type ForkMark struct {
	of     *Fork
	number uint64
}

// forkMark is a mark that can be rolled back to.
type forkMark struct {
	number uint64
	steps  int // of the plan
}

// Mark returns the present point of the fork, to be rolled back to. From now on every
// record of a node or an instance is replaced rather than changed, once, and every account
// and, if they change, all reservations are kept before they are first changed. It takes
// constant time.
func (f *Fork) Mark() ForkMark {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.markLocked()
	return ForkMark{f, f.number}
}

func (f *Fork) markLocked() {
	f.state.mark()
	f.number++
	f.marks = append(f.marks, forkMark{f.number, f.tried.length()})
}

// Rollback brings the fork back to a mark, as if nothing had been called since: the same
// calls give the same answers again. The mark stays, later ones are gone. A mark of
// another fork, or one that is gone, is ErrInvalid, and changes nothing.
//
// It takes time in proportion to the instances that have changed since, to the nodes that
// have, with a look at the pointers to what is there then and now, and to the namespaces;
// if reservations, or instances that leave by themselves, have changed, to all of these.
func (f *Fork) Rollback(m ForkMark) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := slices.IndexFunc(f.marks, func(known forkMark) bool { return m.of == f && known.number == m.number })
	if at < 0 {
		return &placement.InvalidError{Field: "mark", Value: fmt.Sprint(m.number), Reason: "is gone, or of another fork"}
	}
	for range len(f.marks) - at {
		f.state.rollBack()
	}
	f.tried.cut(f.marks[at].steps)
	f.marks = f.marks[:at+1]
	f.state.mark()
	f.signalLocked()
	return nil
}

// Plan returns what has been changed on the fork and not rolled back, for Commit on the
// scheduler that was forked. It takes time in proportion to that.
func (f *Fork) Plan() Plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Plan{Version: f.tried.version, Steps: slices.Clone(f.tried.steps)}
}
