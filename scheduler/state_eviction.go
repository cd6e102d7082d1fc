package scheduler

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// eviction is the instant at which an instance should leave its node because
// of a taint.
type eviction struct {
	at         time.Time
	allocation *allocation
	place      int // in the heap, -1 once it is out
}

// taintTimes returns when each taint was added: a taint that was there before
// with the same key, value and effect keeps its time.
func (st *state) taintTimes(old []placement.Taint, times []time.Time, taints []placement.Taint) []time.Time {
	var result []time.Time
	for _, t := range taints {
		added := st.now
		if i := slices.Index(old, t); i >= 0 {
			added = times[i]
		}
		result = append(result, added)
	}
	return result
}

// evictingTaint returns the NoExecute taint that asks the instance to leave
// first, and when. It reports false if none does.
func (a *allocation) evictingTaint() (first placement.Taint, at time.Time, found bool) {
	for i, t := range a.node.Taints {
		delay, evicts := placement.EvictionDelay(t, a.class.Request().Preferences.Tolerations)
		if !evicts {
			continue
		}
		since := a.node.tainted[i]
		if a.placed.After(since) {
			since = a.placed
		}
		if due := since.Add(delay); !found || due.Before(at) {
			first, at, found = t, due, true
		}
	}
	return first, at, found
}

// timeEviction sets, moves or cancels the eviction of an instance after its
// node's taints have changed. One that has fallen due is not delivered again while
// it stays due at the same instant.
func (st *state) timeEviction(a *allocation) {
	_, at, evicts := a.evictingTaint()
	if evicts && a.eviction != nil && a.eviction.at.Equal(at) {
		return
	}
	st.evictions.cancel(a.eviction)
	a.eviction = nil
	if evicts && a.state == running {
		a.eviction = st.evictions.add(at, a)
	}
}

// evict tells of the earliest eviction, which is due.
func (st *state) evict(out *outcome) {
	a := heap.Pop(&st.evictions).(*eviction).allocation
	st.edit(a.node)
	a.version = st.seq
	taint, _, _ := a.evictingTaint()
	out.emit(&EvictionDue{ID: a.id, NodeID: a.node.ID, Taint: taint})
}

func compareEvictions(a, b *eviction) int {
	return cmp.Or(a.at.Compare(b.at), compareAllocations(a.allocation, b.allocation))
}

// evictionHeap holds what is to come, the earliest first. An eviction that has
// fallen due or was cancelled is not in it.
type evictionHeap []*eviction

func (h evictionHeap) Len() int           { return len(h) }
func (h evictionHeap) Less(i, j int) bool { return compareEvictions(h[i], h[j]) < 0 }
func (h evictionHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *evictionHeap) Push(x any) {
	d := x.(*eviction)
	d.place = len(*h)
	*h = append(*h, d)
}

// Pop implements heap.Interface.
func (h *evictionHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.place = -1
	return d
}

// add enters an eviction and returns it.
func (h *evictionHeap) add(at time.Time, a *allocation) *eviction {
	d := &eviction{at: at, allocation: a}
	heap.Push(h, d)
	return d
}

// cancel takes an eviction out; nil and one that has fallen due are fine.
func (h *evictionHeap) cancel(d *eviction) {
	if d != nil && d.place >= 0 {
		heap.Remove(h, d.place)
	}
}

// next returns when the earliest is due.
func (h evictionHeap) next() (time.Time, bool) {
	if len(h) == 0 {
		return time.Time{}, false
	}
	return h[0].at, true
}
