package index

import (
	"cmp"
	"math"
	"slices"

	"github.com/rads-project/constellation/placement"
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

// walkAll walks the grid once per level that can still win. It reports false
// when it gave up.
func (s *search) walkAll() bool {
	if s.p.compiled.group == nil {
		return s.walkLevels()
	}
	// The nodes with the fewest instances of the group come before all else.
	group := &s.p.compiled.group.domains
	if group.nonzero < len(s.x.byJoin) {
		s.groupCounts = append(s.groupCounts, 0)
	}
	for ranked := false; ; ranked = true {
		for _, count := range s.groupCounts {
			if s.group = count; count != s.under[len(s.under)-1].most {
				s.leaveFewest()
			}
			if !s.walkLevels() {
				return false
			}
			if s.found && s.rank[0] >= -int64(count) {
				return true
			}
		}
		if ranked {
			return true
		}
		s.groupCounts = group.ranks(s.groupCounts[:0])
	}
}

// walkLevels walks the levels of the soft score, from the top.
func (s *search) walkLevels() bool {
	for _, level := range s.levels {
		s.level = level
		limit := s.keyLimit()
		if limit < 100*(s.p.packed-s.x.bound) && len(s.order.terms) == 0 {
			return true // no key is as low, and the next levels are lower
		}
		if !s.walkGrid(limit) {
			return false
		}
	}
	return true
}

// keyLimit returns the greatest key with which a node of the level can come
// before the best so far, or a negative number if none can.
func (s *search) keyLimit() int64 {
	switch {
	case !s.found:
		return noKey - 1
	case s.p.strategy == placement.Affinity:
		return s.lexicalLimit()
	case s.p.strategy == placement.Spread && -int64(s.group) > s.rank[0]:
		return noKey - 1
	case s.p.strategy == placement.Spread && -int64(s.group) < s.rank[0]:
		return math.MinInt64
	}
	// S = 100·P − key + W·level of what is not folded; see orderKey.
	return 100*s.p.packed + s.x.bound/placement.Unit*s.level - s.rank[1]
}

// lexicalLimit is keyLimit for strategy Affinity.
func (s *search) lexicalLimit() int64 {
	behind := s.rank[0] - s.level // of the soft score, to be made up for
	if s.order.lexical {
		return s.x.bound - s.rank[1] - s.x.lexicalStep()*behind
	}
	switch {
	case behind < 0:
		return noKey - 1
	case behind > 0:
		return -1
	}
	return 100 * (s.x.bound - s.rank[1])
}

// walkGrid compares the first node that fits, of the level and group at hand,
// with the best so far; nodes with keys above limit cannot win. It reports
// false when it gave up because it had looked at too many.
func (s *search) walkGrid(limit int64) bool {
	parts := s.order.grid.parts
	first := noRow
	for i := range parts {
		if s.order.topology != nil && !s.open(int32(i)+noDomain) {
			continue
		}
		var ok bool
		if first, limit, ok = s.walkPart(parts[i].cells, first, limit); !ok {
			return false
		}
	}
	if first != noRow {
		s.compare(first)
	}
	return true
}

// open reports whether the rules on the domains that divide the grid leave a
// domain for the level at hand.
func (s *search) open(domain int32) bool {
	for i := range s.p.tests {
		if test := &s.p.tests[i]; test.counter.topology == s.order.topology && !test.passesDomain(domain) {
			return false
		}
	}
	if !s.soft || !s.apart {
		return true
	}
	sum := int64(0)
	for i := range s.p.soft {
		if test := &s.p.soft[i]; !test.folded && domain != noDomain {
			sum += test.weight * test.domainValue(domain)
		}
	}
	return sum == s.level
}

// walkPart walks the cells of a part. It returns the first node of these and of what
// was walked before, noRow if there is none, and the limit that is left: its key. Of one
// level and group the order of the grid is that of the strategy, so that no ranks are
// needed here.
func (s *search) walkPart(cells []cell, first Row, limit int64) (Row, int64, bool) {
	for i := range cells {
		c := &cells[i]
		if c.low > limit || misses(c.corner, s.p.need) != 0 {
			continue
		}
		row, key, ok := s.walkCell(c, limit)
		if s.visits < 0 {
			return first, limit, false
		}
		if ok && (first == noRow || key < limit || s.x.nodes[row].join < s.x.nodes[first].join) {
			first, limit = row, key
		}
	}
	return first, limit, true
}

// walkCell returns the first node of a cell that fits, up to a key. It takes what it
// looks at from the visits that are left, which are comparisons of one packed word:
// a block or an entry without room costs one, and an entry with room, whose rules
// are looked at too, about as much as four. It gives up when there are none left.
func (s *search) walkCell(c *cell, limit int64) (Row, int64, bool) {
	for b := range c.blocks {
		number := c.blocks[b].number
		s.visits--
		if misses(c.blocks[b].top, s.p.need) != 0 || s.tops != nil && !s.passes(number) {
			continue
		}
		barred, entries := s.barred, s.order.grid.blocks[number].entries
		for i := range entries {
			e := &entries[i]
			if e.key > limit {
				return 0, 0, false
			}
			if misses(e.packed, s.p.need) != 0 || !s.p.eligible.has(e.row) || s.x.full.has(e.row) {
				s.visits--
				continue
			}
			if len(s.bars) > 0 && s.isBarred(e.row) {
				s.barred++
				s.visits -= s.barCost()
				continue
			}
			s.visits -= 4
			if s.p.compiled.group != nil && s.p.compiled.group.domains.at(int32(e.row)) != s.group ||
				s.soft && s.p.unfolded(e.row) != s.level || !s.x.fitsExactly(s.p, e.row) {
				if s.visits < 0 {
					return 0, 0, false
				}
				continue
			}
			return e.row, e.key, true
		}
		if s.tops != nil && s.barred > barred {
			s.learn(number)
		}
	}
	return 0, 0, false
}
