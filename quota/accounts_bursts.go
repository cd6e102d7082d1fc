package quota

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
	"time"
)

// burstHeap is the accounts with a burst whose end is to come or has not been
// told, the earliest first. Each account stands in it once, with the earliest
// end of its dimensions.
type burstHeap []*account

// Len is part of heap.Interface.
func (h burstHeap) Len() int { return len(h) }

// Less is part of heap.Interface.
func (h burstHeap) Less(i, j int) bool {
	return cmp.Or(h[i].due.Compare(h[j].due), cmp.Compare(h[i].name, h[j].name)) < 0
}

// Swap is part of heap.Interface.
func (h burstHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// Push is part of heap.Interface.
func (h *burstHeap) Push(x any) {
	acc := x.(*account)
	*h = append(*h, acc)
	acc.place = len(*h)
}

// Pop is part of heap.Interface.
func (h *burstHeap) Pop() any {
	last := len(*h) - 1
	acc := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	acc.place = 0
	return acc
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
	case running && !due.Equal(acc.due):
		acc.due = due
		heap.Fix(&a.bursting, acc.place-1)
	case !running && acc.place > 0:
		heap.Remove(&a.bursting, acc.place-1)
	}
}

// resumeBursts lets go on what new limits give more time.
func (a *Accounts) resumeBursts(now time.Time, acc *account) {
	for told := acc.ended; told != 0; told &= told - 1 {
		d := bits.TrailingZeros32(uint32(told))
		if m := acc.meter(d); !m.expired(now) {
			acc.ended &^= 1 << d
		}
	}
	a.timeBursts(acc)
}

// NextDeadline returns the earliest end of a burst that Advance has not
// returned yet, and false if no burst is going on that ends. Constant time.
func (a *Accounts) NextDeadline() (time.Time, bool) {
	if len(a.bursting) == 0 {
		return time.Time{}, false
	}
	return a.bursting[0].due, true
}

// Advance returns the usage of each burst that has ended by now and that it has
// not returned before, ordered by BurstEnd, namespace and dimension. Nothing
// else changes: growth is refused from the end on, whether Advance is called or
// not. A burst that an Update gives more time goes on, and ends again.
//
// After Restore the first call returns all that has ended and is still above
// Soft. It takes time in proportion to what it returns, each times the
// logarithm of the namespaces that burst under a BurstFor.
func (a *Accounts) Advance(now time.Time) []Usage {
	var rows []Usage
	for len(a.bursting) > 0 && !a.bursting[0].due.After(now) {
		acc, first := a.bursting[0], len(rows)
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
