package quota

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
	"time"
)

// burstHeap is the accounts with a burst whose end is to come or has not been
// reported, the earliest first. Each account stands in it once, with the earliest
// end of its dimensions.
type burstHeap struct {
	accounts []*account
	// compared counts the comparisons of two accounts, for tests.
	compared int
}

// Len is part of heap.Interface.
func (h *burstHeap) Len() int { return len(h.accounts) }

// Less is part of heap.Interface.
func (h *burstHeap) Less(i, j int) bool {
	h.compared++
	x, y := h.accounts[i], h.accounts[j]
	return cmp.Or(x.due.Compare(y.due), cmp.Compare(x.name, y.name)) < 0
}

// Swap is part of heap.Interface.
func (h *burstHeap) Swap(i, j int) {
	h.accounts[i], h.accounts[j] = h.accounts[j], h.accounts[i]
	h.accounts[i].place, h.accounts[j].place = i+1, j+1
}

// Push is part of heap.Interface.
func (h *burstHeap) Push(x any) {
	acc := x.(*account)
	h.accounts = append(h.accounts, acc)
	acc.place = len(h.accounts)
}

// Pop is part of heap.Interface.
func (h *burstHeap) Pop() any {
	last := len(h.accounts) - 1
	acc := h.accounts[last]
	h.accounts[last] = nil
	h.accounts = h.accounts[:last]
	acc.place = 0
	return acc
}

// first returns the account whose burst ends first, or nil.
func (h *burstHeap) first() *account {
	if len(h.accounts) == 0 {
		return nil
	}
	return h.accounts[0]
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
	switch {
	case running && acc.place == 0:
		acc.due = due
		heap.Push(&a.bursting, acc)
	case running:
		acc.due = due
		heap.Fix(&a.bursting, acc.place-1)
	case !running && acc.place > 0:
		heap.Remove(&a.bursting, acc.place-1)
	}
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
	first := a.bursting.first()
	if first == nil {
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
	for acc := a.bursting.first(); acc != nil && !acc.due.After(now); acc = a.bursting.first() {
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
	return rows
}
