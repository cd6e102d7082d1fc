package index

import (
	"cmp"
	"slices"
)

// maxLevels bounds the levels that are walked one by one.
const maxLevels = 64

// spanAll lists the soft scores that nodes may have, greatest first. It reports
// false if there are too many.
//
// A term that few nodes satisfy is handled by evaluating those nodes directly; all
// others share its default value.
func (s *search) spanAll() bool {
	s.levels = append(s.levels, 0)
	s.apart = true
	for i := range s.p.soft {
		test := &s.p.soft[i]
		test.folded = s.order.holds(test)
		if test.folded {
			continue
		}
		s.soft = true
		s.apart = s.apart && test.rule != nil && test.rule.counter.topology == s.order.topology
		if !s.spanLevels(test) {
			s.excess = test
			return false
		}
	}
	slices.SortFunc(s.levels, func(a, b int64) int { return cmp.Compare(b, a) })
	return true
}

// spanLevels combines the levels so far with the values of one term.
func (s *search) spanLevels(test *softTest) bool {
	var values [maxLevels]int64
	n := 0
	add := func(value int64) bool {
		if slices.Contains(values[:n], value) {
			return true
		}
		if n == maxLevels {
			return false
		}
		values[n] = value
		n++
		return true
	}
	if test.rule != nil {
		return s.spanDomains(test, add) && s.span(test.weight, values[:n])
	}
	add(0)
	if test.set.n <= s.x.thresholds.listNodes {
		for row := range test.set.bits.each {
			s.try(row)
		}
		return s.span(test.weight, values[:n])
	}
	for value := range test.set.values {
		if !add(value) {
			return false
		}
	}
	return s.span(test.weight, values[:n])
}

// spanDomains adds the values of a rule on domains until add reports false.
func (s *search) spanDomains(test *softTest, add func(int64) bool) bool {
	k := test.rule.counter
	t := k.topology
	if t.key != "" && !add(0) {
		return false
	}
	if k.domains.nonzero < s.x.populated(t) && !add(test.countValue(0, test.others)) {
		return false
	}
	if s.x.standingOut(test) <= s.x.thresholds.listNodes {
		for domain := range k.domains.each {
			s.x.eachMember(t, domain, func(row Row) { s.try(row) })
		}
		for _, target := range test.rule.targets {
			s.x.eachMember(t, target.domain, func(row Row) { s.try(row) })
		}
		return true
	}
	for _, target := range test.rule.targets {
		if !add(test.domainValue(target.domain)) {
			return false
		}
	}
	s.ranks = k.domains.ranks(s.ranks[:0])
	for _, count := range s.ranks {
		if !add(test.countValue(count, test.others)) {
			return false
		}
	}
	return true
}

// standingOut returns how many nodes are in domains with a count or a target
// of their own, or some number above listNodes.
func (x *Index) standingOut(test *softTest) int {
	members := x.members(test.rule.counter)
	for _, target := range test.rule.targets {
		members += x.membersOf(test.rule.counter.topology, target.domain)
	}
	return members
}

// span replaces the levels by all sums of a level and a weighted value. There
// are no values when every node has been tried.
func (s *search) span(weight int64, values []int64) bool {
	if len(values) == 0 {
		s.levels = s.levels[:0]
		return true
	}
	base := len(s.levels)
	for _, value := range values[1:] {
		for i := range base {
			s.levels = append(s.levels, s.levels[i]+weight*value)
		}
	}
	for i := range base {
		s.levels[i] += weight * values[0]
	}
	slices.Sort(s.levels)
	s.levels = slices.Compact(s.levels)
	return len(s.levels) <= maxLevels
}
