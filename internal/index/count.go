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

// Count returns, in filter order, how many nodes failed each rule first. The
// sum is the number of nodes on which the query does not fit. It takes time in
// proportion to the rules, to the distinct taints and to the nodes over 64, and to
// what is counted by the rules on domains. If the same was asked before, it takes
// time in proportion to the rules and to the nodes that have changed since, unless
// the change is of another kind: see refusal.
func (x *Index) Count(q *Query) []ReasonCount {
	p := x.prepareFilters(q)
	if r := x.recall(p); r != nil {
		x.stats.Recalls++
		return r.counts()
	}
	x.stats.Counts++
	filters := x.filters(p)
	r := x.newRefusal(p, filters)
	var counts []ReasonCount
	left, fail := slices.Clone(x.present), make(bitset, len(x.present))
	for i := range filters {
		from, to := filters[i].mark(x, left, fail)
		n := 0
		for w := from; w < to; w++ {
			failed := left[w] & fail[w]
			left[w] &^= failed
			fail[w] = 0
			n += bits.OnesCount64(failed)
			if r != nil {
				r.note(w, failed, uint8(i+1))
			}
		}
		if n > 0 {
			counts = append(counts, ReasonCount{filters[i].reason, n})
		}
		if r != nil {
			r.failing[0], r.failing[i+1] = r.failing[0]-n, n
		}
	}
	if r != nil {
		x.keepRefusal(r)
	}
	return counts
}
