package index

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// ReasonCount is how many nodes failed a rule first.
type ReasonCount struct {
	Reason placement.Reason
	Nodes  int
}

// countMemo remembers the last counts, for refusals that repeat.
type countMemo struct {
	version uint64
	entries []countEntry
}

type countEntry struct {
	class     *Class
	resources placement.Resources
	counts    []ReasonCount
}

const countMemoSize = 16

func (m *countMemo) find(q *Query, version uint64) ([]ReasonCount, bool) {
	if m.version != version {
		return nil, false
	}
	for i := range m.entries {
		if e := &m.entries[i]; e.class == q.Class && e.resources.Equal(*q.Resources) {
			return e.counts, true
		}
	}
	return nil, false
}

func (m *countMemo) store(q *Query, version uint64, counts []ReasonCount) {
	if m.version != version || len(m.entries) == countMemoSize {
		m.version = version
		clear(m.entries)
		m.entries = m.entries[:0]
	}
	m.entries = append(m.entries, countEntry{q.Class, q.Resources.Clone(), counts})
}

// Count returns, in filter order, how many nodes failed each rule first. The
// sum is the number of nodes on which the query does not fit. It takes time in
// proportion to the rules, to the distinct taints and to the nodes over 64, and to
// what is counted by the rules on domains, unless the same was asked since the
// last change. The result is shared and must not be changed.
func (x *Index) Count(q *Query) []ReasonCount {
	remembers := !q.thinks()
	if counts, ok := x.memo.find(q, x.version); ok && remembers {
		x.stats.Recalls++
		return counts
	}
	x.stats.Counts++
	var counts []ReasonCount
	left, fail := slices.Clone(x.present), make(bitset, len(x.present))
	filters := x.filters(x.prepareFilters(q))
	for i := range filters {
		from, to := filters[i].mark(x, left, fail)
		n := 0
		for w := from; w < to; w++ {
			n += bits.OnesCount64(left[w] & fail[w])
			left[w] &^= fail[w]
			fail[w] = 0
		}
		if n > 0 {
			counts = append(counts, ReasonCount{filters[i].reason, n})
		}
	}
	if remembers {
		x.memo.store(q, x.version, counts)
	}
	return counts
}
