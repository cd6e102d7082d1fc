package scheduler

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
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
	cfg.Journal, cfg.Hooks, cfg.Logger, cfg.Workload = nil, Hooks{}, nil, nil
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
// record of a node or an instance is replaced rather than changed, once, and every account,
// reservation and instance that leaves by itself is copied before it is first changed. It
// takes constant time.
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
// and O(log h) in the holds of its node for each slot and claim of a reservation, and each
// instance that leaves by itself, that has changed.
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

// Fits returns how many of a request fit, at most count: as many as Place would place, one
// after the other, of the same request under the IDs ID-1, ID-2 and so on, before it
// refuses one. The fork stays as it is. InvalidErrors say what is wrong with the
// template, and ErrConflict that one of the IDs up to the first that is refused is
// placed or was released.
//
// A request with neither ports nor rules about instances, that stays until it is
// released and does not yield, is counted: in time proportional to the nodes and to the
// IDs of those that fit. Any other is placed and rolled back, which costs what that costs.
func (f *Fork) Fits(ctx context.Context, template placement.Request, count int) (int, error) {
	if count < 0 {
		return 0, &placement.InvalidError{Field: "count", Value: fmt.Sprint(count), Reason: "negative"}
	}
	last := numbered(template, count)
	if err := last.Validate(); err != nil {
		return 0, err
	}
	if err := f.enter(ctx); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if f.state.countableOneByOne(&template) {
		fit := f.state.countFits(f.now, &last, count)
		for i := range min(fit+1, count) {
			if err := f.state.fresh(numbered(template, i+1).ID); err != nil {
				return 0, err
			}
		}
		return fit, nil
	}
	return f.placeAndRollBackLocked(template, count)
}

// numbered returns one of the requests that Fits asks about.
func numbered(template placement.Request, i int) placement.Request {
	template.ID = fmt.Sprintf("%s-%d", template.ID, i)
	return template
}

// fresh returns an error if an ID is placed or was released.
func (st *state) fresh(id string) error {
	if st.allocations.At(id) != nil || st.released.known.At(id) {
		return placement.Conflict(placement.KindAllocation, id, "is placed, or was released")
	}
	return nil
}

func (f *Fork) placeAndRollBackLocked(template placement.Request, count int) (int, error) {
	st, steps := f.state, f.tried.length()
	st.mark()
	defer func() {
		st.rollBack()
		f.tried.cut(steps)
		f.signalLocked()
	}()
	for i := range count {
		req := numbered(template, i+1)
		if err := st.fresh(req.ID); err != nil {
			return 0, err
		}
		f.scratch.request = req
		if _, err := f.decideLocked(st.ask(&f.scratch.request), "", true); err != nil {
			return i, nil
		}
	}
	return count, f.failure
}

// countableOneByOne reports whether each node takes as many of a request as it has room
// for, whatever is placed on the others.
func (st *state) countableOneByOne(req *placement.Request) bool {
	p := &req.Preferences
	return len(req.Ports) == 0 && req.DynamicPorts == 0 && req.Duration == 0 && !req.Yield &&
		len(p.Affinity) == 0 && len(p.Spread) == 0
}

// countFits counts how many of a request fit that is countable one by one.
func (st *state) countFits(now time.Time, req *placement.Request, count int) int {
	q, fit := st.ask(req), int64(0)
	for row, n := range st.byRow.All() {
		if n == nil || fit >= int64(count) {
			continue
		}
		if _, fits := st.index.Evaluate(q, index.Row(row), nil); fits {
			fit += min(int64(count), st.roomOn(n, &req.Resources))
		}
	}
	most := int(min(fit, int64(count)))
	return sort.Search(most, func(k int) bool { return !st.affordsMany(now, req, int64(k)+1) })
}

// roomOn returns how many times amounts fit on a node on which they fit once.
func (st *state) roomOn(n *node, r *placement.Resources) int64 {
	fit, free := int64(math.MaxInt64), st.index.Free(n.row)
	for name, amount := range r.All() {
		if amount > 0 && name != placement.NameGPU {
			fit = min(fit, free.Amount(name)/amount)
		}
	}
	held := st.index.Held(n.row)
	if n.MaxInstances > 0 {
		fit = min(fit, n.MaxInstances-st.index.Instances(n.row)-held.Instances)
	}
	if r.GPU > 0 {
		fit = min(fit, devicesFor(st.deviceLeft(n, &held), r.GPU))
	}
	return fit
}

// devicesFor returns how many times an amount of GPU fits on devices of which so much is
// left.
func devicesFor(left []int64, amount int64) (fit int64) {
	for _, l := range left {
		switch {
		case amount < placement.Device:
			fit += max(0, l) / amount
		case l == placement.Device:
			fit++
		}
	}
	if amount >= placement.Device {
		fit /= amount / placement.Device
	}
	return fit
}

// affordsMany reports whether a namespace has quota for a request so many times.
func (st *state) affordsMany(now time.Time, req *placement.Request, times int64) bool {
	all := placement.Amounts{Instances: times}
	for name, amount := range req.Resources.All() {
		if amount > math.MaxInt64/times {
			return false
		}
		all.Resources = all.Resources.With(name, amount*times)
	}
	verdict, err := st.quota.CheckOver(now, req.Namespace, quota.Timed{Amounts: all})
	return err == nil && verdict.Allowed()
}
