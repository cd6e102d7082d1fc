package scheduler

import (
	"cmp"
	"container/heap"
	"time"
)

// deadline is the instant at which an instance should leave its node because
// of a taint.
type deadline struct {
	at         time.Time
	allocation *allocation
	place      int // in the heap, -1 once it is out
}

func compareDeadlines(a, b *deadline) int {
	return cmp.Or(a.at.Compare(b.at), compareAllocations(a.allocation, b.allocation))
}

// deadlineHeap holds what is to come, the earliest first. A deadline that has
// fallen due or was cancelled is not in it.
type deadlineHeap []*deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return compareDeadlines(h[i], h[j]) < 0 }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *deadlineHeap) Push(x any) {
	d := x.(*deadline)
	d.place = len(*h)
	*h = append(*h, d)
}

// Pop implements heap.Interface.
func (h *deadlineHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.place = -1
	return d
}

// add enters a deadline and returns it.
func (h *deadlineHeap) add(at time.Time, a *allocation) *deadline {
	d := &deadline{at: at, allocation: a}
	heap.Push(h, d)
	return d
}

// cancel takes a deadline out; nil and one that has fallen due are fine.
func (h *deadlineHeap) cancel(d *deadline) {
	if d != nil && d.place >= 0 {
		heap.Remove(h, d.place)
	}
}

// next returns the earliest deadline.
func (h deadlineHeap) next() (time.Time, bool) {
	if len(h) == 0 {
		return time.Time{}, false
	}
	return h[0].at, true
}

// nextDeadline returns when time will next change something.
func (st *state) nextDeadline() (time.Time, bool) {
	eviction, evicts := st.deadlines.next()
	planned, plans := st.plan.NextDeadline()
	if plans && (!evicts || planned.Before(eviction)) {
		return planned, true
	}
	return eviction, evicts
}
