package scheduler

import (
	"cmp"
	"math/bits"

	"github.com/rads-project/constellation/placement"
)

// nearestLacks keeps for each resource and hold which node lacks least of it,
// among nodes considered in join order.
type nearestLacks map[placement.Reason]lack

type lack struct {
	miss  Miss
	first bool // the node fails nothing before it
}

func (l nearestLacks) consider(v NodeVerdict) {
	for i, f := range v.Failures {
		if f.Reason.Name == "" {
			continue
		}
		found := lack{Miss{f.Reason, v.NodeID, f.Shortfall}, i == 0}
		if known, ok := l[f.Reason]; !ok || found.nearer(known) {
			l[f.Reason] = found
		}
	}
}

func (l lack) nearer(other lack) bool {
	if l.first != other.first {
		return l.first
	}
	return l.miss.Shortfall < other.miss.Shortfall
}

// of returns the misses of those of the reasons that have one, in their order.
func (l nearestLacks) of(reasons []ReasonCount) []Miss {
	var misses []Miss
	for _, r := range reasons {
		if found, ok := l[r.Reason]; ok {
			misses = append(misses, found.miss)
		}
	}
	return misses
}

// nearestMiss keeps the best verdict among nodes considered in join order.
type nearestMiss struct {
	verdict *NodeVerdict
	largest fraction
}

func (m *nearestMiss) consider(st *state, v NodeVerdict) {
	reference := st.index.Reference()
	var largest fraction
	for _, f := range v.Failures {
		if f.Reason.Name == "" {
			continue
		}
		missing := fraction{f.Shortfall, max(reference.Amount(f.Reason.Name), 1)}
		if missing.compare(largest) > 0 {
			largest = missing
		}
	}
	if m.verdict == nil || cmp.Or(
		cmp.Compare(len(v.Failures), len(m.verdict.Failures)), largest.compare(m.largest),
	) < 0 {
		m.verdict, m.largest = &v, largest
	}
}

// fraction is a shortfall of a reference, neither of them negative. The zero
// value is the smallest.
type fraction struct{ shortfall, reference int64 }

// compare multiplies crosswise in 128 bits, so that it is exact.
func (f fraction) compare(other fraction) int {
	high, low := bits.Mul64(uint64(f.shortfall), uint64(max(other.reference, 1)))
	otherHigh, otherLow := bits.Mul64(uint64(other.shortfall), uint64(max(f.reference, 1)))
	return cmp.Or(cmp.Compare(high, otherHigh), cmp.Compare(low, otherLow))
}
