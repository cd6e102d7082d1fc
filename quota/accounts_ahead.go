package quota

import (
	"math"

	"github.com/rads-project/constellation/internal/skyline"
)

// ahead is what is known of the usage of an account in times to come, its
// descendants included: what begins later, and the ends of what counts already.
// At an instant t usage is what is used now and lines at t.
//
// The caller of Accounts tells when what was ahead has come: it replaces a
// charge by one that counts already, or by one whose end is not known. So all
// steps lie ahead, and no time passes by itself.
type ahead struct {
	lines [maxDimensions]skyline.Skyline
	// held is the part of what is used now that is reserved, and reserved is to
	// it what lines is to usage.
	held     vector
	reserved [maxDimensions]skyline.Skyline
	// later sums up what begins later, whenever that is. With what is used now it
	// fits an int64, so that whatever stays for longer than it said can be counted.
	later vector
	spans int // that are counted here
}

// change counts a span, or with sign -1 no longer.
func (h *ahead) change(s *timed, sign int64) {
	for d, amount := range s.amounts {
		if amount == 0 {
			continue
		}
		amount *= sign
		shift(&h.lines[d], s, amount)
		if !s.inForce() {
			h.later[d] += amount
		}
		if s.reserved {
			shift(&h.reserved[d], s, amount)
			if s.inForce() {
				h.held[d] += amount
			}
		}
	}
	h.spans += int(sign)
}

func shift(line *skyline.Skyline, s *timed, amount int64) {
	if !s.inForce() {
		line.Change(s.from, amount)
	}
	if s.to != skyline.Forever {
		line.Change(s.to, -amount)
	}
}

// add counts all that other counts, or with sign -1 no longer.
func (h *ahead) add(other *ahead, sign int64) {
	merge := func(into, from *skyline.Skyline) {
		for at, delta := range from.Steps(-skyline.Forever) {
			into.Change(at, sign*delta)
		}
	}
	for d := range h.lines {
		merge(&h.lines[d], &other.lines[d])
		merge(&h.reserved[d], &other.reserved[d])
		h.held[d] += sign * other.held[d]
		h.later[d] += sign * other.later[d]
	}
	h.spans += int(sign) * other.spans
}

// admits reports whether a growth by amounts from now on, forever, stays within
// soft at all times to come, of which room is left now. A constant number of steps
// per dimension.
func (h *ahead) admits(growth, room, soft []int64) bool {
	for d, amount := range growth {
		if amount > 0 && (amount > room[d]-h.lines[d].Highest() || amount > math.MaxInt64-soft[d]+room[d]-h.later[d]) {
			return false
		}
	}
	return true
}

// peak returns by how much usage of a dimension is at most above that of now, over
// [from, to).
func (acc *account) peak(d int, from, to int64) int64 {
	if acc.ahead == nil {
		return 0
	}
	return acc.ahead.lines[d].Peak(from, to)
}

// total returns all that is charged, whenever it counts. It fits an int64.
func (acc *account) total() vector {
	total := acc.allUsed()
	if acc.ahead != nil {
		for d := range total {
			total[d] += acc.ahead.later[d]
		}
	}
	return total
}

// look counts a span at acc and all above it, or with sign -1 no longer, but for
// what is used now. O(log n) in the spans of each, per dimension.
func (a *Accounts) look(acc *account, s *timed, sign int64) {
	if !s.bounded() {
		return
	}
	for ; acc != nil; acc = acc.parent {
		a.changeAhead(acc, func(h *ahead) { h.change(s, sign) })
	}
}

// changeAhead changes what is ahead of acc and keeps count of the custom
// dimensions in it.
func (a *Accounts) changeAhead(acc *account, change func(*ahead)) {
	a.countAhead(acc, -1)
	if acc.ahead == nil {
		acc.ahead = &ahead{}
		for d := range acc.ahead.lines {
			acc.ahead.lines[d].Visited, acc.ahead.reserved[d].Visited = a.visited, a.visited
		}
	}
	change(acc.ahead)
	if acc.ahead.spans == 0 {
		acc.ahead = nil
	}
	a.countAhead(acc, 1)
}

func (a *Accounts) countAhead(acc *account, n int) {
	if acc.ahead == nil {
		return
	}
	for d := firstCustom; d < len(a.names); d++ {
		if !acc.ahead.lines[d].IsFlat() || acc.ahead.held[d] > 0 {
			a.users[d] += n
		}
	}
}

// moveAhead counts at p what is ahead of acc, or with sign -1 no longer.
func (a *Accounts) moveAhead(acc, p *account, sign int64) {
	if acc.ahead != nil {
		a.changeAhead(p, func(h *ahead) { h.add(acc.ahead, sign) })
	}
}
