package raft

import (
	"math"
	"sync/atomic"
	"time"
)

// reignOver is the deadline of a reign that has ended. Every clock is past it.
const reignOver = math.MinInt64

// reign is what the application may rely on: one term in which this node leads
// and the instant until which its lease runs (rule 7). It ends once, either by
// the loop or by its own timer, so that a stuck loop cannot prolong it.
type reign struct {
	term    uint64
	lease   time.Duration // how long the lease runs after what a majority has answered was sent
	begun   time.Duration
	clock   func() time.Duration
	expired func(*reign) // called by the timer, unless the loop ended the reign

	end    atomic.Int64 // lease end as an instant of clock, or reignOver
	lapsed atomic.Int64 // lease end once that is reignOver
	timer  *time.Timer
}

func newReign(term uint64, end, lease time.Duration, clock func() time.Duration, expired func(*reign)) *reign {
	r := &reign{term: term, lease: lease, begun: clock(), clock: clock, expired: expired}
	r.end.Store(int64(end))
	// The timer is armed by Reset, so that expire never runs before r.timer is set.
	r.timer = time.AfterFunc(math.MaxInt64, r.expire)
	r.timer.Reset(end - clock())
	return r
}

// valid reports whether the lease runs at this instant.
func (r *reign) valid() bool { return r.validAt(r.clock()) }

// validAt reports whether the lease runs at an instant that the clock has
// shown. Who finds that it does not ends the reign by that, so that a renewal
// cannot bring back what somebody has seen over.
func (r *reign) validAt(now time.Duration) bool {
	for {
		end := r.end.Load()
		if int64(now) < end {
			return true
		}
		if end == reignOver {
			return false
		}
		r.lapsed.Store(end) // before anybody sees that it is over
		if r.end.CompareAndSwap(end, reignOver) {
			// After a suspend the timer would still wait. One that is firing tells
			// without being set again.
			if r.timer.Stop() {
				r.timer.Reset(0)
			}
			return false
		}
	}
}

// left returns how long the lease still runs; not above 0 if it does not.
func (r *reign) left() time.Duration { return r.leftAt(r.clock()) }

func (r *reign) leftAt(now time.Duration) time.Duration {
	end := r.end.Load()
	if end == reignOver {
		return 0
	}
	return time.Duration(end) - now
}

// silence returns for how long no majority has answered, of a reign whose lease has
// ended by itself.
func (r *reign) silence() time.Duration {
	end := r.end.Load()
	if end == reignOver {
		end = r.lapsed.Load()
	}
	return r.clock() - time.Duration(end) + r.lease
}

// renew moves the end of the lease and reports whether the reign still ran.
func (r *reign) renew(end time.Duration) bool {
	for {
		old := r.end.Load()
		if !r.valid() {
			return false
		}
		if r.end.CompareAndSwap(old, max(old, int64(end))) {
			return true
		}
	}
}

// finish ends the reign. A timer that is just firing may still call expired.
func (r *reign) finish() {
	r.timer.Stop()
	r.end.Store(reignOver)
}

// expire runs when the timer fires. Renewals leave the timer alone; it is armed
// again here for what is left.
func (r *reign) expire() {
	if r.valid() {
		r.timer.Reset(max(r.left(), 1))
		return
	}
	r.expired(r)
}
