package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// eviction is the instant at which an instance should leave its node because
// of a taint.
type eviction struct {
	deadline.Place
	at         time.Time
	allocation *allocation
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
	st.cancelEviction(a)
	if evicts && a.state == running {
		a.eviction = &eviction{at: at, allocation: a}
		st.evictions.Set(a.eviction)
	}
}

// cancelEviction takes back what is to come, if anything is.
func (st *state) cancelEviction(a *allocation) {
	if a.eviction != nil {
		st.evictions.Remove(a.eviction)
		a.eviction = nil
	}
}

// evict tells of the earliest eviction, which is due. The instance leaves from then
// on.
func (st *state) evict(out *outcome) {
	due, _ := st.evictions.First()
	st.evictions.Remove(due)
	a := due.allocation
	st.edit(a.node)
	a.version = st.seq
	st.setLeaving(a, true, out)
	taint, _, _ := a.evictingTaint()
	out.emit(&EvictionDue{ID: a.id, NodeID: a.node.ID, Taint: taint})
}

// Before orders evictions by time, and those of one instant as allocations are.
func (e *eviction) Before(other *eviction) bool {
	return cmp.Or(e.at.Compare(other.at), compareAllocations(e.allocation, other.allocation)) < 0
}
