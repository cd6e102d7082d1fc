package index

import (
	"slices"

	"github.com/rads-project/constellation/internal/cow"
)

// domainCounts counts things by domain number: in a table while few domains have
// any, in a plain list from then on, which is several times as fast to read. It
// never goes back to a table, since a list costs four bytes per domain at most.
type domainCounts struct {
	sparse  sparseCounts
	dense   []int32
	nonzero int
	total   int64
	// histogram[c] is how many domains count c, for c > 0; nil until ranks asks.
	histogram []int32
	owner     *cow.Owner // who may change it; see clone.go
}

// denseDomainShare is the share of the domains with a count from which they
// become a plain list.
const denseDomainShare = 8

// clone returns counts for an owner.
func (t *domainCounts) clone(of *cow.Owner) domainCounts {
	c := *t
	c.owner = nil
	c.own(of)
	return c
}

// own makes the counts ready to be changed.
func (t *domainCounts) own(of *cow.Owner) {
	if t.owner == of {
		return
	}
	t.owner = of
	t.sparse.slots, t.dense, t.histogram = slices.Clone(t.sparse.slots), slices.Clone(t.dense), slices.Clone(t.histogram)
}

func (t *domainCounts) at(domain int32) int32 {
	if t.dense != nil {
		if int(domain) < len(t.dense) {
			return t.dense[domain]
		}
		return 0
	}
	return t.sparse.at(domain)
}

// add changes a count by delta for an owner; domains is how many domains there are, and
// up to dense of them are counted in a plain list anyway.
func (t *domainCounts) add(domain, delta int32, domains, dense int, of *cow.Owner) {
	t.own(of)
	t.total += int64(delta)
	if t.dense == nil && (domains <= dense || t.nonzero > domains/denseDomainShare) {
		t.dense = make([]int32, domains)
		for known, count := range t.sparse.each {
			t.dense[known] = count
		}
		t.sparse = sparseCounts{}
	}
	var before, after int32
	if t.dense != nil {
		for int(domain) >= len(t.dense) {
			t.dense = append(t.dense, 0)
		}
		before = t.dense[domain]
		after = before + delta
		t.dense[domain] = after
	} else {
		after = t.sparse.add(domain, delta)
		before = after - delta
	}
	if before == 0 && after != 0 {
		t.nonzero++
	} else if before != 0 && after == 0 {
		t.nonzero--
	}
	if t.histogram != nil {
		t.histogram[before]--
		t.enter(after)
	}
}

// enter counts a domain under its count.
func (t *domainCounts) enter(count int32) {
	for int(count) >= len(t.histogram) {
		t.histogram = append(t.histogram, 0)
	}
	t.histogram[count]++
}

// each calls yield with every domain that has a count, in no fixed order: what
// is computed from it must not depend on the order.
func (t *domainCounts) each(yield func(domain, count int32) bool) {
	for domain, count := range t.dense {
		if count != 0 && !yield(int32(domain), count) {
			return
		}
	}
	for domain, count := range t.sparse.each {
		if !yield(domain, count) {
			return
		}
	}
}

// ranks appends the counts that domains have, each once, ascending. The first
// call takes time in proportion to the domains, later ones to the greatest
// count there ever was.
func (t *domainCounts) ranks(counts []int32) []int32 {
	if t.histogram == nil {
		t.histogram = make([]int32, 1)
		for _, count := range t.each {
			t.enter(count)
		}
	}
	for count := 1; count < len(t.histogram); count++ {
		if t.histogram[count] > 0 {
			counts = append(counts, int32(count))
		}
	}
	return counts
}
