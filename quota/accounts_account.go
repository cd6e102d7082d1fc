package quota

import (
	"math"
	"math/bits"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// limits are the Limits of a spec by dimension.
type limits struct {
	soft, ceiling vector
	burstFor      [maxDimensions]time.Duration
	reservable    Reservations
}

// unlimited is the absence of any limit. Usage stays countable nevertheless:
// math.MaxInt64 is a limit too.
func unlimited() limits {
	var l limits
	for d := range l.soft {
		l.soft[d], l.ceiling[d] = math.MaxInt64, math.MaxInt64
	}
	return l
}

func (l *limits) set(d int, limit Limit) {
	l.soft[d], l.ceiling[d] = limit.Soft, limit.Ceiling()
	if l.ceiling[d] > l.soft[d] {
		l.burstFor[d] = limit.BurstFor
	}
}

// account is the books of one namespace.
type account struct {
	name string
	// spec is nil for a namespace without one: its limits and its parent are
	// then those of the default.
	spec   *Spec
	parent *account
	// children counts the specs that name it as parent.
	children int
	// charges counts those to the namespace itself, descendants not included.
	charges int
	// held are the charges by ID, where a book keeps them, and timed those that
	// begin or end at a known time.
	held  map[string]placement.Amounts
	timed map[string]*timedCharge

	// own is the sum of the charges to the namespace itself.
	own vector
	limits
	// room is what usage may grow by up to soft, negative above it. It is kept
	// instead of usage, which is soft - room, because almost every charge asks
	// for nothing else.
	room vector
	// ahead is nil while nothing is known of times to come.
	ahead *ahead
	// above holds the dimensions in which used is above soft; since says since
	// when, and is zero in the others.
	above dimensionSet
	since [maxDimensions]time.Time
	// ended holds those dimensions above whose burst has ended and been reported.
	ended dimensionSet
	// due is the earliest end of a burst that has not been reported, and Place is
	// that in Accounts.bursting.
	due time.Time
	deadline.Place
}

// used returns the sum of own and of what all children use.
func (acc *account) used(d int) int64 { return acc.soft[d] - acc.room[d] }

func (acc *account) allUsed() vector {
	var used vector
	for d := range used {
		used[d] = acc.used(d)
	}
	return used
}

func (acc *account) meter(d int) meter {
	return meter{acc.used(d), acc.soft[d], acc.ceiling[d], acc.burstFor[d], acc.since[d]}
}

// within reports whether acc is other or one of its descendants.
func (acc *account) within(other *account) bool {
	for ; acc != nil; acc = acc.parent {
		if acc == other {
			return true
		}
	}
	return false
}

// depth counts acc and its ancestors.
func (acc *account) depth() int {
	depth := 0
	for ; acc != nil; acc = acc.parent {
		depth++
	}
	return depth
}

// simple reports whether neither acc nor any account above it refuses the
// growth or bursts with it, whatever the time is. Almost every charge asks no
// more than this.
func (a *Accounts) simple(acc *account, delta *vector) bool {
	if a.RequireQuota && acc.spec == nil {
		return false
	}
	n := len(a.names)
	for ; acc != nil; acc = acc.parent {
		room := acc.room[:n]
		for d, growth := range delta[:n] {
			if growth > room[d] {
				return false
			}
		}
		if acc.ahead != nil && !acc.ahead.admits(delta[:n], room, acc.soft[:n]) {
			return false
		}
	}
	return true
}

// covers reports whether acc holds at least these amounts in as many dimensions, or
// exactly these if its last charge is removed.
func (acc *account) covers(was []int64, goes bool) bool {
	last := goes && acc.charges == 1
	own := acc.own[:len(was)]
	for d, amount := range was {
		if left := own[d] - amount; left < 0 || last && left > 0 {
			return false
		}
	}
	return acc.charges > 0
}

// shift changes the usage of acc in the first n dimensions.
func (a *Accounts) shift(now time.Time, acc *account, delta *vector, n int) {
	var least int64 // gets the sign of the least room
	room := acc.room[:n]
	for d, growth := range delta[:n] {
		room[d] -= growth
		least |= room[d]
	}
	if least < 0 || acc.above != 0 {
		a.compare(now, acc)
	}
}

// compare keeps above and since true after usage or limits have changed, and
// with them which bursts are going on.
func (a *Accounts) compare(now time.Time, acc *account) {
	var above dimensionSet
	for d, room := range acc.room {
		if room < 0 {
			above |= 1 << d
		}
	}
	if above == acc.above {
		return
	}
	for changed := above ^ acc.above; changed != 0; changed &= changed - 1 {
		d := bits.TrailingZeros32(uint32(changed))
		acc.since[d] = time.Time{}
		if above.has(d) {
			acc.since[d] = now
		}
	}
	acc.above, acc.ended = above, acc.ended&above
	a.timeBursts(acc)
}

// attach gives an account its limits and its place in the tree. Ancestors that
// stay notice nothing, so that a burst of theirs goes on.
func (a *Accounts) attach(now time.Time, acc *account, l *limits, parent *account) {
	old := acc.parent
	acc.parent = parent
	var plus, minus vector
	for d := range acc.room {
		plus[d], minus[d] = acc.used(d), -acc.used(d)
		acc.room[d] = l.soft[d] - plus[d]
	}
	acc.limits = *l
	a.compare(now, acc)
	a.resumeBursts(now, acc)
	for p := old; p != nil && !parent.within(p); p = p.parent {
		a.shift(now, p, &minus, maxDimensions)
		a.moveAhead(acc, p, -1)
	}
	for p := parent; p != nil && !old.within(p); p = p.parent {
		a.shift(now, p, &plus, maxDimensions)
		a.moveAhead(acc, p, 1)
	}
}
