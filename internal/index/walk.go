package index

import (
	"math"

	"github.com/rads-project/constellation/placement"
)

// walk is the state of one search.
type walk struct {
	best  Row
	rank  rank
	found bool

	visits int // nodes that may still be looked at
	order  *ordering
	level  int64 // only nodes of this soft score, folded terms apart, count
	group  int32 // and only those with so many of the group, for Spread
	soft   bool  // there are terms that are not folded
	apart  bool  // all of these are about the domains that divide the grid

	levels []int64
	counts []int32
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
func (x *Index) walkCell(p *probe, c *cell, limit int64) (Row, int64, bool) {
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
