package index

import (
	"math"

	"github.com/rads-project/constellation/placement"
)

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
	for i := range parts {
		if s.order.topology != nil && !s.open(int32(i)+noDomain) {
			continue
		}
		var ok bool
		if limit, ok = s.walkPart(parts[i].cells, limit); !ok {
			return false
		}
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

// walkPart walks the cells of a part; it returns the limit that is left.
func (s *search) walkPart(cells []cell, limit int64) (int64, bool) {
	for i := range cells {
		c := &cells[i]
		if c.low > limit || misses(c.corner, s.p.need) != 0 {
			continue
		}
		row, key, ok := s.walkCell(c, limit)
		if s.visits < 0 {
			return limit, false
		}
		if !ok {
			continue
		}
		limit = key
		if r := s.x.rankOf(s.p, row); !s.found || s.x.before(row, r, s.best, s.rank) {
			s.best, s.rank, s.found = row, r, true
		}
	}
	return limit, true
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
