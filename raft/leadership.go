package raft

import (
	"context"
	"errors"
	"time"
)

// Leadership is the right to act as the leader for one reign, as Node.Lead
// hands it out. Its methods are safe for concurrent use.
//
// What it promises (rule 7): no two nodes of a cluster have a valid leadership
// at the same time, as long as all clocks keep to Config.MaxClockDriftPPM. What
// it cannot promise is that an effect begun in time also ends in time: a process
// may be paused between looking and acting. A target that must never see two
// leaders has to check Term, atomically with the effect, and refuse a lower one
// than it has seen.
type Leadership struct {
	node   *Node
	reign  *reign
	ctx    context.Context // that of the work; the one ctx that outlives a call
	cancel context.CancelCauseFunc
}

// Lead waits until this node leads and returns its leadership. If it leads
// already, it returns at once; several callers may share a reign. The
// leadership's context is derived from ctx. On a witness it waits in vain.
//
// Release must be called when the work has ended, even if the reign has ended before:
// until then the node does not stand for election again, see Status.Unreleased. Lead
// fails with ctx's error or with ErrStopped. A heartbeat costs nothing for a
// leadership; the end of a reign takes time in proportion to how many there are.
func (n *Node) Lead(ctx context.Context) (*Leadership, error) {
	l := &Leadership{node: n}
	l.ctx, l.cancel = context.WithCancelCause(context.WithValue(ctx, leadershipKey{}, l))
	for {
		joined, stopped, changed := n.join(l)
		switch {
		case stopped:
			l.cancel(ErrStopped)
			return nil, ErrStopped
		case ctx.Err() != nil:
			l.Release()
			return nil, ctx.Err()
		case joined:
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// join adds l to the reign, if there is one that can be joined. If not, changed
// is closed when it is worth trying again.
func (n *Node) join(l *Leadership) (joined, stopped bool, changed <-chan struct{}) {
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leadsLocked(now) {
		l.reign, joined = n.reign, true
		n.held[l] = struct{}{}
	}
	return joined, n.status.Stopped, n.changed
}

// Context ends when the reign ends, by its own timer at the latest when the
// lease does, or earlier, when the node is asked to give up the lead, or with
// the ctx given to Lead. context.Cause tells why: LeaseExpiredError,
// NotLeaderError, ErrUnhealthy, ErrResigned, ErrStopped, or what ended the node.
//
// While the machine is suspended no timer runs. If the lease ends meanwhile, the
// context ends after the wake-up with the first look at the lease, by Valid, Leads,
// IsLeader or Status, and at the latest after one heartbeat interval. Those
// themselves are right at once.
func (l *Leadership) Context() context.Context { return l.ctx }

// leadershipKey is under which a leadership's context carries it.
type leadershipKey struct{}

// Leads reports whether the leadership that ctx comes from, under WhileLeader or
// from Leadership.Context, goes on at this instant: ctx has not ended, and the
// lease runs by the clock. It is the look to take just before an effect, since
// ctx alone ends a little late where the process or the machine was paused. It
// is false for a ctx that comes from no leadership, and takes no lock of the node.
func Leads(ctx context.Context) bool {
	l, ok := ctx.Value(leadershipKey{}).(*Leadership)
	return ok && ctx.Err() == nil && l.Valid()
}

// Term returns the term of the reign. It is the fencing token: terms of later
// reigns, on whatever node, are higher.
func (l *Leadership) Term() uint64 { return l.reign.term }

// Valid reports whether the lease runs at this instant, by the clock. It may
// hold for a while after the context has ended, for the work to be wound up.
func (l *Leadership) Valid() bool { return l.reign.valid() }

// Release says that the application has finished acting as the leader, and ends
// the context. The node goes on leading; but when it is to give up the lead, it
// waits for this. More calls do nothing.
func (l *Leadership) Release() {
	l.cancel(context.Canceled)
	n := l.node
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.held, l)
	if _, outlived := n.leftover[l]; outlived {
		delete(n.leftover, l)
		n.notifyLocked()
		n.wake()
	}
	if n.yields != nil && len(n.held) == 0 {
		n.wake()
	}
}

// Resign releases this leadership and makes the node give up the lead, as
// Node.Resign does. It does nothing if the reign has ended.
func (l *Leadership) Resign(ctx context.Context) error {
	l.Release()
	return l.node.resign(ctx, l.reign.term)
}

// WhileLeader runs fn in each reign of this node: only on the leader, and only
// while it leads. The ctx of fn ends with the reign, and Leads looks at it before
// an effect; token is the reign's term, greater than that of all reigns before,
// on whatever node.
//
// When the reign ends, WhileLeader waits for fn to return and then for the next
// reign; what fn returns then is logged at most, because it is an echo of the
// end. If fn returns while the reign runs, WhileLeader steps down and returns what
// fn returned. Otherwise it returns ctx's error, or ErrStopped when Run has
// ended. When it returns, the node has given up the lead, because nobody would
// do the leader's work; so it has when fn panics, and the panic goes on.
//
// To go on after an error call WhileLeader again. A node whose fn has failed or
// panicked while the reign ran does not stand for election for a while, and other
// nodes lead if theirs works: for a maximal election timeout, and twice as long
// each time that fn fails again without having run for longer than the pause
// before, but at most 64 maximal election timeouts. The pause ends at once when
// Config.Healthy, after an error, returns nil again, and with Campaign. So where
// the work fails on every node, terms grow ever more slowly.
//
// And let fn return soon after its ctx has ended: until then this node does not
// stand for election, so that its work never runs twice at once. The others elect
// a leader without it; a cluster of one has none. Status.Unreleased shows how much
// work is left and since when. If fn cannot be made to return, end the process.
// Work that is harmless from then on can be done under Lead, whose Leadership can
// be released from another goroutine.
func (n *Node) WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error {
	for {
		l, err := n.Lead(ctx)
		if err != nil {
			return err
		}
		over, err := l.do(fn)
		if over && err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.Cause(l.ctx)) {
			n.logger.Warn("raft: work of a leader failed as its reign ended", "term", l.Term(), "error", err)
		}
		if over {
			err = ctx.Err()
		}
		if !over || err != nil {
			// This fails only if there is nothing left to give up.
			_ = l.Resign(context.WithoutCancel(ctx))
			return err
		}
	}
}

// do runs fn under the leadership and reports whether that ended before fn did.
func (l *Leadership) do(fn func(ctx context.Context, token uint64) error) (over bool, err error) {
	returned := false
	defer func() {
		if !returned {
			l.node.workFailed(l.reign)
		}
		l.Release()
		if !returned {
			// Others that hold the reign do not keep the panic for long.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), l.node.cfg.ElectionTimeoutMax)
			defer cancel()
			_ = l.Resign(ctx)
		}
	}()
	err = fn(l.ctx, l.reign.term)
	returned = true
	over = l.ctx.Err() != nil || !l.Valid() // which the work may have seen before its context
	if err != nil && !over {
		l.node.workFailed(l.reign)
	}
	return over, err
}

// leadsLocked reports whether there is a reign to join at an instant that was
// read before the lock was taken: the clock may be the application's.
func (n *Node) leadsLocked(now time.Duration) bool {
	return n.reign != nil && n.yields == nil && n.reign.validAt(now)
}

// beginReign publishes a reign.
func (n *Node) beginReign(r *reign) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reign, n.yields = r, nil
	n.leading.Store(r)
}

// endReign ends a reign and the contexts of its leaderships. It does nothing if
// the reign has ended before. The loop calls it, and the reign's timer.
func (n *Node) endReign(r *reign, cause error) {
	now := n.now()
	n.mu.Lock()
	if r == nil || n.reign != r {
		n.mu.Unlock()
		return
	}
	r.finish()
	held := n.held
	if n.yields != nil {
		cause = n.yields // The end of the lease is only its consequence.
	}
	n.reign, n.yields, n.held = nil, nil, make(map[*Leadership]struct{})
	n.leading.Store(nil)
	for l := range held {
		n.leftover[l] = now
	}
	n.ends = append(n.ends, reignEnd{r.term, cause})
	n.notifyLocked()
	n.mu.Unlock()

	for l := range held {
		l.cancel(cause)
	}
	n.wake()
}

// yield ends the contexts of a reign but not its lease, and reports whether
// there is one. Nobody can join the reign any more. Of several causes the first
// one counts.
func (n *Node) yield(cause error) bool {
	now := n.now()
	n.mu.Lock()
	runs := n.reign != nil && n.reign.validAt(now)
	var held []*Leadership
	if runs && n.yields == nil {
		n.yields = cause
		n.leading.Store(nil)
		n.notifyLocked()
		for l := range n.held {
			held = append(held, l)
		}
	}
	n.mu.Unlock()
	for _, l := range held {
		l.cancel(cause)
	}
	return runs
}

// released reports whether nobody acts under the reign any more.
func (n *Node) released() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held) == 0
}
