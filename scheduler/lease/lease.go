package lease

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The ends of a reign that are neither the caller's doing nor that of the work.
// context.Cause tells which.
var (
	// ErrLost: the store says that somebody else has the lease, or nobody.
	ErrLost = errors.New("lease: lost")
	// ErrExpired: the lease was not renewed in time.
	ErrExpired = errors.New("lease: expired")
)

// Grant is a lease that a store has given.
type Grant struct {
	// Token is greater than that of each lease before, whoever had it.
	Token uint64
	// Holder is for the store, to tell leases apart.
	Holder string
	// Begun is the time before the request was sent that was granted, as time.Now
	// returned it.
	Begun time.Time
	// For is how long the store gives the lease to nobody else, from when it got
	// the request.
	For time.Duration
}

// Store keeps one lease. What it does ends with its context, and goes through
// or not; how the store counts the time is its own affair, and not this
// process's clock.
type Store interface {
	// Acquire waits until it has got the lease, and returns an error if ctx ends
	// before, or the store cannot be asked.
	Acquire(ctx context.Context) (Grant, error)
	// Renew prolongs a lease by as much as it was given for. It returns ErrLost if
	// the lease has ended, and then changes nothing. With any other error the lease
	// is prolonged or as it was.
	Renew(ctx context.Context, g Grant) (Grant, error)
	// Release ends a lease at once. It does nothing if it has ended.
	Release(ctx context.Context, g Grant) error
}

// driftShare is which part of a lease is left unused: by so much the clock of this
// process may run slower than that of the store.
const driftShare = 20

// reign is the time of one lease with its renewals.
type reign struct {
	ctx    context.Context // of the work
	cancel context.CancelCauseFunc
	until  atomic.Pointer[time.Time]
}

// reignKey is under which the context of the work carries its reign.
type reignKey struct{}

// extend has the reign last as long as a lease.
func (r *reign) extend(g Grant) time.Time {
	until := g.Begun.Add(g.For - g.For/driftShare)
	r.until.Store(&until)
	return until
}

// valid reports whether the lease runs by both clocks of this process. The
// monotonic one may stand still while the machine is suspended, and the other may
// be set back.
func (r *reign) valid() bool {
	now := time.Now()
	return r.validBy(now, now.Round(0))
}

// validBy is valid at a reading of the monotonic clock, and one of the other.
func (r *reign) validBy(monotonic, wall time.Time) bool {
	until := *r.until.Load()
	return monotonic.Before(until) && wall.Before(until.Round(0))
}

// Leads reports whether the reign that ctx comes from, under WhileLeader, goes on
// at this instant: ctx has not ended, and the lease runs by the clocks. It is the
// look to take just before an effect, since ctx alone ends a little late where the
// process or the machine was paused. It is false for a ctx that comes from no
// reign.
func Leads(ctx context.Context) bool {
	r, ok := ctx.Value(reignKey{}).(*reign)
	return ok && ctx.Err() == nil && r.valid()
}

// run does the work under a lease and gives that back. It reports whether the
// reign ended before the work did.
func (e *Elector) run(ctx context.Context, g Grant, fn func(context.Context, uint64) error) (over bool, err error) {
	r := new(reign)
	work, cancel := context.WithCancelCause(context.WithValue(ctx, reignKey{}, r))
	r.ctx, r.cancel = work, cancel
	// The lease is kept until the work has ended, also where ctx ends before.
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	expiry := time.AfterFunc(time.Until(r.extend(g)), func() { cancel(ErrExpired) })
	var renewals sync.WaitGroup
	renewals.Go(func() { e.keep(keeping, r, g, expiry) })
	defer func() {
		stop()
		renewals.Wait()
		expiry.Stop()
		cancel(nil)
		releasing, done := context.WithTimeout(context.WithoutCancel(ctx), g.For)
		defer done()
		// If this fails the lease ends by itself.
		_ = e.cfg.Store.Release(releasing, g)
	}()
	err = fn(work, g.Token)
	if work.Err() == nil && !r.valid() {
		cancel(ErrExpired)
	}
	return work.Err() != nil, err
}

// keep renews the lease until ctx ends or the reign does. A renewal that fails is
// tried again: the lease is valid all the same.
func (e *Elector) keep(ctx context.Context, r *reign, g Grant, expiry *time.Timer) {
	wait := time.NewTimer(time.Until(g.Begun.Add(g.For / 3)))
	defer wait.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		attempt, done := context.WithTimeout(ctx, min(g.For/6, time.Until(*r.until.Load())))
		next, err := e.cfg.Store.Renew(attempt, g)
		done()
		switch {
		case errors.Is(err, ErrLost):
			r.cancel(ErrLost)
			return
		case !r.valid() || err == nil && !expiry.Stop():
			r.cancel(ErrExpired)
			return
		case err == nil:
			g, failing = next, false
			expiry.Reset(time.Until(r.extend(g)))
			wait.Reset(time.Until(g.Begun.Add(g.For / 3)))
		case ctx.Err() == nil:
			if !failing {
				e.cfg.Logger.Warn("lease: the lease cannot be renewed", "token", g.Token, "left", time.Until(*r.until.Load()), "error", err)
			}
			failing = true
			wait.Reset(g.For / 30)
		}
	}
}
