package quota

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Before orders accounts by the end of the burst that ends first.
func (acc *account) Before(other *account) bool {
	return cmp.Or(acc.due.Compare(other.due), cmp.Compare(acc.name, other.name)) < 0
}

// timeBursts gives an account its place among the bursts after above, since,
// ended or its limits have changed.
func (a *Accounts) timeBursts(acc *account) {
	var due time.Time
	running := false
	for left := acc.above &^ acc.ended; left != 0; left &= left - 1 {
		d := bits.TrailingZeros32(uint32(left))
		if m := acc.meter(d); m.timed() && (!running || m.end().Before(due)) {
			running, due = true, m.end()
		}
	}
	if !running {
		a.bursting.Remove(acc)
		return
	}
	acc.due = due
	a.bursting.Set(acc)
}

// resumeBursts lets go on what new limits give more time.
func (a *Accounts) resumeBursts(now time.Time, acc *account) {
	for reported := acc.ended; reported != 0; reported &= reported - 1 {
		d := bits.TrailingZeros32(uint32(reported))
		if m := acc.meter(d); !m.expired(now) {
			acc.ended &^= 1 << d
		}
	}
	a.timeBursts(acc)
}

// NextDeadline returns the earliest end of a burst that Advance has not
// returned yet. It returns false if there is none. It takes constant time.
func (a *Accounts) NextDeadline() (time.Time, bool) {
	first, ok := a.bursting.First()
	if !ok {
		return time.Time{}, false
	}
	return first.due, true
}

// Advance returns the usage of each burst that has ended by now, once, ordered by
// BurstEnd, namespace and dimension. It changes nothing else: growth is refused
// from the end on, whether Advance is called or not. If an Update gives a burst
// more time, the burst goes on and ends again.
//
// The first call after Restore returns every burst that has ended and is still
// above Soft. Advance takes time in proportion to what it returns, each times the
// logarithm of the namespaces that burst under a BurstFor.
func (a *Accounts) Advance(now time.Time) []Usage {
	var rows []Usage
	for {
		acc, ok := a.bursting.First()
		if !ok || acc.due.After(now) {
			return rows
		}
		first := len(rows)
		for left := acc.above &^ acc.ended; left != 0; left &= left - 1 {
			d := bits.TrailingZeros32(uint32(left))
			if m := acc.meter(d); m.timed() && m.end().Equal(acc.due) {
				acc.ended |= 1 << d
				rows = append(rows, a.usage(now, acc, d))
			}
		}
		slices.SortFunc(rows[first:], func(x, y Usage) int { return compareNames(x.Resource, y.Resource) })
		a.timeBursts(acc)
	}
}
