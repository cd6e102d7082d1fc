package index

import (
	"cmp"
	"math"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// The search finds the node that a scan would find without looking at all:
//
//   - where the rules leave few nodes over, it looks at those;
//   - else it goes through the levels of the soft score, from the top: nodes of
//     one level differ in R alone, so the first one that fits in the order of
//     the grid is the best of its level, and no level needs a look whose soft
//     score can not make up for what the best so far is ahead;
//   - when the walks take longer than a scan would, it scans.

// maxLevels bounds the levels that are walked one by one.
const maxLevels = 64

// walk is the state of one search.
type walk struct {
	best  Slot
	rank  rank
	found bool

	visits int // nodes that may still be looked at
	order  *order
	level  int64 // only nodes of this soft score, folded terms apart, count
	group  int32 // and only those with so many of the group, for Spread
	soft   bool  // there are terms that are not folded
	apart  bool  // all of these are about the domains that divide the grid

	levels []int64
	counts []int32
}

// search returns the first node in the order of the strategy.
func (x *Index) search(p *probe) (Slot, bool) {
	if p.nowhere {
		return 0, false
	}
	w := &x.walk
	budget := x.budget(p)
	*w = walk{levels: w.levels[:0], counts: w.counts[:0], visits: budget}
	if x.list(p) {
		x.stats.Lists++
		return w.best, w.found
	}
	use, own := x.ordering(p)
	w.order = use
	done := x.spanAll(p) && x.walkAll(p)
	if spent := budget - w.visits; own != nil && spent > x.limits.listNodes {
		own.wasted += spent
	}
	if done {
		x.stats.Walks++
		return w.best, w.found
	}
	x.stats.Scans++
	if p.packing() {
		return x.scanPacked(p)
	}
	return x.scan(p)
}

// budget returns how many nodes a search may look at before a scan is cheaper:
// one that only compares packed words is fast, one that scores nodes is not.
func (x *Index) budget(p *probe) int {
	if p.packing() {
		return len(x.nodes)/8 + x.limits.listNodes
	}
	return 2*len(x.nodes) + x.limits.listNodes
}

// try compares a node with the best so far, if the query fits there.
func (x *Index) try(p *probe, slot Slot) {
	w := &x.walk
	if !x.fits(p, slot) {
		return
	}
	r := x.rankOf(p, slot)
	if !w.found || x.before(slot, r, w.best, w.rank) {
		w.best, w.rank, w.found = slot, r, true
	}
}

// list looks at the nodes that one of the hard rules leaves over, if these are
// few. It reports whether it did.
func (x *Index) list(p *probe) bool {
	if p.plan.eligible.n <= x.limits.listNodes {
		for slot := range p.eligible.each {
			x.try(p, slot)
		}
		return true
	}
	for i := range p.tests {
		test := &p.tests[i]
		if test.low == 0 || x.members(test.counter) > x.limits.listNodes {
			continue
		}
		for domain := range test.counter.domains.each {
			x.eachMember(test.counter.topology, domain, func(slot Slot) { x.try(p, slot) })
		}
		return true
	}
	return false
}

// members returns how many nodes are in domains with a count, or some number
// above listNodes.
func (x *Index) members(k *counter) int {
	if k.topology.key == "" || k.domains.nonzero > x.limits.listNodes {
		return k.domains.nonzero
	}
	members := 0
	for domain := range k.domains.each {
		members += int(k.topology.members[domain])
	}
	return members
}

// eachMember visits the nodes of a domain.
func (x *Index) eachMember(t *topology, domain int32, visit func(Slot)) {
	if t.key == "" {
		visit(Slot(domain))
		return
	}
	for slot := range x.labels[t.key].values[t.names[domain]].each {
		visit(slot)
	}
}

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

// walkAll walks the grid once per level that can still win. It reports false
// when it gave up.
func (x *Index) walkAll(p *probe) bool {
	if p.strategy != placement.Spread {
		return x.walkLevels(p)
	}
	// The nodes with the fewest instances of the group come before all else.
	w := &x.walk
	group := &p.plan.group.domains
	if group.nonzero < len(x.byJoin) {
		w.counts = append(w.counts, 0)
	}
	for ranked := false; ; ranked = true {
		for _, count := range w.counts {
			w.group = count
			if !x.walkLevels(p) {
				return false
			}
			if w.found && w.rank[0] >= -int64(count) {
				return true
			}
		}
		if ranked {
			return true
		}
		w.counts = group.ranks(w.counts[:0])
	}
}

// walkLevels walks the levels of the soft score, from the top.
func (x *Index) walkLevels(p *probe) bool {
	w := &x.walk
	for _, level := range w.levels {
		w.level = level
		limit := x.keyLimit(p)
		if limit < 0 && len(w.order.terms) == 0 {
			return true // keys are not negative, and the next levels are lower
		}
		if !x.walkGrid(p, limit) {
			return false
		}
	}
	return true
}

// keyLimit returns the greatest key with which a node of the level can come
// before the best so far, or a negative number if none can.
func (x *Index) keyLimit(p *probe) int64 {
	w := &x.walk
	switch {
	case !w.found:
		return noKey - 1
	case p.strategy == placement.Affinity:
		return x.lexicalLimit()
	case p.strategy == placement.Spread && -int64(w.group) > w.rank[0]:
		return noKey - 1
	case p.strategy == placement.Spread && -int64(w.group) < w.rank[0]:
		return math.MinInt64
	}
	// S = 100·bound − key + W·level of what is not folded.
	return 100*x.bound + x.bound/placement.Unit*w.level - w.rank[1]
}

// lexicalLimit is keyLimit for strategy Affinity.
func (x *Index) lexicalLimit() int64 {
	w := &x.walk
	behind := w.rank[0] - w.level // of the soft score, to be made up for
	if w.order.lexical {
		terms := behind / placement.Unit // rounded down: no more than needed
		if behind%placement.Unit < 0 {
			terms--
		}
		return x.bound - softScale*terms
	}
	switch {
	case behind < 0:
		return noKey - 1
	case behind > 0:
		return -1
	}
	return 100 * (x.bound - w.rank[1])
}

// walkGrid compares the first node that fits, of the level and group at hand,
// with the best so far; nodes with keys above limit can not win. It reports
// false when it gave up because it had looked at too many.
func (x *Index) walkGrid(p *probe, limit int64) bool {
	w := &x.walk
	parts := w.order.grid.parts
	for i := range parts {
		if w.order.topology != nil && !x.open(p, int32(i)+noDomain) {
			continue
		}
		var ok bool
		if limit, ok = x.walkPart(p, parts[i].cells, limit); !ok {
			return false
		}
	}
	return true
}

// open reports whether the rules on the domains that divide the grid leave a
// domain for the level at hand.
func (x *Index) open(p *probe, domain int32) bool {
	w := &x.walk
	for i := range p.tests {
		if test := &p.tests[i]; test.counter.topology == w.order.topology && !test.passesDomain(domain) {
			return false
		}
	}
	if !w.soft || !w.apart {
		return true
	}
	sum := int64(0)
	for i := range p.soft {
		if test := &p.soft[i]; !test.folded && domain != noDomain {
			sum += test.weight * test.domainValue(domain)
		}
	}
	return sum == w.level
}

// walkPart walks the cells of a part; it returns the limit that is left.
func (x *Index) walkPart(p *probe, cells []cell, limit int64) (int64, bool) {
	w := &x.walk
	for i := range cells {
		c := &cells[i]
		if c.low > limit || misses(c.corner, p.need) != 0 {
			continue
		}
		slot, key, ok := x.walkCell(p, c, limit)
		if w.visits < 0 {
			return limit, false
		}
		if !ok {
			continue
		}
		limit = key
		if r := x.rankOf(p, slot); !w.found || x.before(slot, r, w.best, w.rank) {
			w.best, w.rank, w.found = slot, r, true
		}
	}
	return limit, true
}

// walkCell returns the first node of a cell that fits, up to a key.
func (x *Index) walkCell(p *probe, c *cell, limit int64) (Slot, int64, bool) {
	w := &x.walk
	for b := range c.blocks {
		at := &c.blocks[b]
		w.visits--
		if misses(at.top, p.need) != 0 {
			continue
		}
		for i := range at.entries {
			e := &at.entries[i]
			if e.key > limit {
				return 0, 0, false
			}
			if misses(e.packed, p.need) != 0 || !p.eligible.has(e.slot) || x.full.has(e.slot) {
				w.visits--
				continue
			}
			w.visits -= 4
			if p.plan.group != nil && p.plan.group.domains.at(int32(e.slot)) != w.group ||
				w.soft && p.unfolded(e.slot) != w.level || !x.fitsExactly(p, e.slot) {
				if w.visits < 0 {
					return 0, 0, false
				}
				continue
			}
			return e.slot, e.key, true
		}
	}
	return 0, 0, false
}
