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
	ok := true
	switch {
	case test.rule == nil:
		add(0)
		if test.set.n <= x.limits.listNodes {
			for slot := range test.set.bits.each {
				x.try(p, slot)
			}
		} else {
			add(placement.Unit)
		}
	case test.rule.counter.topology.key == "" && test.targets == nil:
		add(test.countValue(0))
		counter := test.rule.counter
		if counter.domains.nonzero <= x.limits.listNodes {
			for domain := range counter.domains.each {
				x.try(p, Slot(domain))
			}
		} else if test.rule.spread == nil {
			add(placement.Unit)
		} else {
			for _, count := range counter.domains.each {
				ok = ok && add(test.countValue(count))
			}
		}
	case test.rule.counter.topology.key == "":
		return false
	default:
		add(0)
		t := test.rule.counter.topology
		for domain := range t.names {
			ok = ok && (t.members[domain] == 0 || add(test.domainValue(int32(domain))))
		}
	}
	return ok && x.walk.span(test.weight, values[:n])
}

// span replaces the levels by all sums of a level and a weighted value.
func (w *walk) span(weight int64, values []int64) bool {
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
