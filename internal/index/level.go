package index

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// maxLevels bounds the levels that are walked one by one.
const maxLevels = 64

// spanAll lists the soft scores that nodes may have, greatest first. It reports
// false if there are too many.
//
// A term that few nodes stand out in is dealt with at once: these nodes are
// tried, and the others all have its other value.
func (x *Index) spanAll(p *probe) bool {
	w := &x.walk
	w.levels = append(w.levels, 0)
	w.apart = true
	for i := range p.soft {
		test := &p.soft[i]
		test.folded = test.rule == nil && slices.Contains(w.order.terms, labelTerm{test.set, test.weight})
		if test.folded {
			continue
		}
		w.soft = true
		w.apart = w.apart && test.rule != nil && test.rule.counter.topology == w.order.topology
		if !x.spanLevels(p, test) {
			return false
		}
	}
	slices.SortFunc(w.levels, func(a, b int64) int { return cmp.Compare(b, a) })
	return true
}

// spanLevels combines the levels so far with the values of one term.
func (x *Index) spanLevels(p *probe, test *softTest) bool {
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
		return x.spanDomains(p, test, add) && x.walk.span(test.weight, values[:n])
	}
	add(0)
	if test.set.n <= x.limits.listNodes {
		for slot := range test.set.bits.each {
			x.try(p, slot)
		}
	} else {
		add(placement.Unit)
	}
	return x.walk.span(test.weight, values[:n])
}

// spanDomains adds the values of a rule on domains until add reports false.
func (x *Index) spanDomains(p *probe, test *softTest, add func(int64) bool) bool {
	k, w := test.rule.counter, &x.walk
	t := k.topology
	if t.key != "" && !add(0) {
		return false
	}
	if k.domains.nonzero < x.populated(t) && !add(test.countValue(0, test.others)) {
		return false
	}
	if x.standingOut(test) <= x.limits.listNodes {
		for domain := range k.domains.each {
			x.eachMember(t, domain, func(slot Row) { x.try(p, slot) })
		}
		for _, target := range test.rule.targets {
			x.eachMember(t, target.domain, func(slot Row) { x.try(p, slot) })
		}
		return true
	}
	for _, target := range test.rule.targets {
		if !add(test.domainValue(target.domain)) {
			return false
		}
	}
	w.counts = k.domains.ranks(w.counts[:0])
	defer func() { w.counts = w.counts[:0] }()
	for _, count := range w.counts {
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
func (w *walk) span(weight int64, values []int64) bool {
	if len(values) == 0 {
		w.levels = w.levels[:0]
		return true
	}
	base := len(w.levels)
	for _, value := range values[1:] {
		for i := range base {
			w.levels = append(w.levels, w.levels[i]+weight*value)
		}
	}
	for i := range base {
		w.levels[i] += weight * values[0]
	}
	slices.Sort(w.levels)
	w.levels = slices.Compact(w.levels)
	return len(w.levels) <= maxLevels
}
