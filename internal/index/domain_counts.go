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

// sparseCounts counts by numbers of which few have a count: in a table that is open, so
// that it is copied in one piece.
//
// Invariant: a number stands in the first slots from its place on, without an empty one
// before it; at most three quarters of the slots are taken.
type sparseCounts struct {
	slots []countSlot // a power of two, or none
	n     int         // numbers that have a count
}

// countSlot is a number with its count; empty is a count of zero.
type countSlot struct{ number, count int32 }

// place returns where a number begins to be looked for.
func (s *sparseCounts) place(number int32) int {
	const spread = 0x9E3779B1 // so that numbers in a row lie apart
	return int(uint32(number)*spread>>7) & (len(s.slots) - 1)
}

// find returns the slot of a number, or the empty one where it would stand.
func (s *sparseCounts) find(number int32) int {
	at := s.place(number)
	for s.slots[at].count != 0 && s.slots[at].number != number {
		at = (at + 1) & (len(s.slots) - 1)
	}
	return at
}

// at returns the count of a number.
func (s *sparseCounts) at(number int32) int32 {
	if s.n == 0 {
		return 0
	}
	return s.slots[s.find(number)].count
}

// add changes a count by delta and returns it.
func (s *sparseCounts) add(number, delta int32) int32 {
	if 4*(s.n+1) > 3*len(s.slots) {
		s.grow()
	}
	at := s.find(number)
	slot := &s.slots[at]
	if slot.count == 0 {
		s.n++
	}
	slot.number, slot.count = number, slot.count+delta
	if slot.count == 0 {
		s.n--
		s.close(at)
		return 0
	}
	return slot.count
}

func (s *sparseCounts) grow() {
	old := s.slots
	s.slots = make([]countSlot, max(8, 2*len(old)))
	for _, slot := range old {
		if slot.count != 0 {
			s.slots[s.find(slot.number)] = slot
		}
	}
}

// close moves those into an empty slot that could not be found behind it.
func (s *sparseCounts) close(empty int) {
	last := len(s.slots) - 1
	for at := (empty + 1) & last; s.slots[at].count != 0; at = (at + 1) & last {
		if place := s.place(s.slots[at].number); (at-place)&last >= (at-empty)&last {
			s.slots[empty] = s.slots[at]
			s.slots[at].count = 0
			empty = at
		}
	}
}

// each calls yield with every number that has a count until it returns false.
func (s *sparseCounts) each(yield func(number, count int32) bool) {
	for _, slot := range s.slots {
		if slot.count != 0 && !yield(slot.number, slot.count) {
			return
		}
	}
}
