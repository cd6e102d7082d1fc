package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// evictions are those to come, the first on top.
type evictions struct {
	heap deadline.Heap[*eviction]
	of   map[instanceKey]*eviction
}

// instanceKey is one generation of an ID.
type instanceKey struct {
	id         string
	generation uint64
}

// eviction is the instant at which an instance should leave its node because
// of a taint.
type eviction struct {
	deadline.Place
	instanceKey
	at time.Time
}

// set times the eviction of an instance that has none to come.
func (e *evictions) set(a *allocation) {
	e.enter(&eviction{instanceKey: instanceKey{a.id, a.generation}, at: *a.evictAt()})
}

func (e *evictions) enter(due *eviction) {
	if e.of == nil {
		e.of = make(map[instanceKey]*eviction)
	}
	e.of[due.instanceKey] = due
	e.heap.Set(due)
}

// remove takes out an eviction that will not come, or has.
func (e *evictions) remove(key instanceKey) {
	if due := e.of[key]; due != nil {
		e.heap.Remove(due)
		delete(e.of, key)
	}
}

// first returns the eviction to come first.
func (e *evictions) first() (*eviction, bool) { return e.heap.First() }

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
func (st *state) evictingTaint(a *allocation) (first placement.Taint, at time.Time, found bool) {
	n := st.on(a)
	for i, t := range n.Taints {
		delay, evicts := placement.EvictionDelay(t, a.class.Request().Preferences.Tolerations)
		if !evicts {
			continue
		}
		since := n.tainted[i]
		if placed := a.placed(); placed.After(since) {
			since = placed
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
	_, at, evicts := st.evictingTaint(a)
	if before := a.evictAt(); evicts && before != nil && before.Equal(at) {
		return
	}
	st.cancelEviction(a)
	if evicts && a.state == running {
		a = st.own(a)
		a.setEvictAt(&at)
		st.evictions.set(a)
	}
}

// cancelEviction takes back what is to come, if anything is.
func (st *state) cancelEviction(a *allocation) {
	if a.evictAt() != nil {
		st.evictions.remove(instanceKey{a.id, a.generation})
		st.own(a).setEvictAt(nil)
	}
}

// evict tells of the earliest eviction, which is due. The instance leaves from then
// on.
func (st *state) evict(out *outcome) {
	due, _ := st.evictions.first()
	st.evictions.remove(due.instanceKey)
	a := st.own(st.generation(due.id, due.generation))
	a.version = st.seq
	st.setLeaving(a, true, out)
	taint, _, _ := st.evictingTaint(a)
	out.emit(&EvictionDue{ID: a.id, NodeID: st.on(a).ID, Taint: taint})
}

// Before orders evictions by time, and those of one instant as allocations are.
func (e *eviction) Before(other *eviction) bool {
	return cmp.Or(e.at.Compare(other.at), cmp.Compare(e.id, other.id), cmp.Compare(e.generation, other.generation)) < 0
}
