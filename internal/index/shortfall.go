package index

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// amountFilter is a filter on an amount, whose shortfalls are shares of what is
// asked.
type amountFilter struct {
	*filter
	// asked is what must be there, 1 for a node that is over in what is not asked.
	asked int64
	// column is what the filter looks at on nodes without holds, nil if that is
	// no column.
	column []int64
	// most is the greatest shortfall that is no larger a share than the nearest
	// node's largest one; reached is 1 if it is the same share, else 0.
	most, reached int64
}

// amountFilter makes a filter on an amount ready to be asked of many nodes.
func (x *Index) amountFilter(f *filter) amountFilter {
	a := amountFilter{filter: f, asked: 1}
	rule, thought := f.rule, false
	if books, ok := rule.(booksRule); ok {
		rule, thought = books.rule, true
	}
	switch r := rule.(type) {
	case holdRule:
		a.asked = r.amount
	case resourceRule:
		a.asked = max(r.amount, 1)
		if r.dim >= 0 && r.name != placement.NameGPU && !r.overused && !thought {
			a.column = x.free[r.dim]
		}
	}
	return a
}

// missing returns what a node is short of, not above zero if it passes.
func (a *amountFilter) missing(x *Index, row Row) int64 {
	if a.column != nil && !x.held.has(row) {
		return shortfall(a.asked, a.column[row])
	}
	missing, fails := a.fails(x, row)
	if !fails {
		return 0
	}
	return missing
}

// lack finds the node that lacks least among those that fail a filter, first of
// all filters if some do.
func (s *surveyor) lack(f *filter, first bool, from, to int) {
	x := s.index
	amount := x.amountFilter(f)
	s.amounts = append(s.amounts, amount)
	least := Lack{Reason: f.reason, Row: -1}
	for w := from; w < to; w++ {
		word := s.fail[w]
		if first {
			word &= s.left[w]
		}
		for ; word != 0; word &= word - 1 {
			row := Row(w<<6 + bits.TrailingZeros64(word))
			missing := amount.missing(x, row)
			if least.Row >= 0 && (missing > least.Shortfall ||
				missing == least.Shortfall && x.nodes[row].join > x.nodes[least.Row].join) {
				continue
			}
			least.Row, least.Shortfall = row, missing
		}
	}
	s.Lacks = append(s.Lacks, least)
}

// nearest finds the node that fails the fewest rules.
func (s *surveyor) nearest(among bitset) {
	x := s.index
	fewest := make(bitset, len(among))
	most := int(^uint(0) >> 1)
	for w := range among {
		word := among[w] &^ s.left[w]
		if word == 0 {
			continue
		}
		n := 0
		for i, plane := range slices.Backward(s.planes) {
			if without := word &^ plane[w]; without != 0 {
				word = without
			} else {
				n |= 1 << i
			}
		}
		if n < most {
			most = n
			clear(fewest[:w])
		}
		if n == most {
			fewest[w] = word
		}
	}
	found := false
	for row := range fewest.each {
		if found && s.trails(row) {
			continue
		}
		largest := s.largestShortfall(row)
		earlier := !found || x.nodes[row].join < x.nodes[s.Nearest].join
		if earlier || largest.compare(s.least) < 0 {
			found, s.Nearest = true, row
			s.setLeast(largest)
		}
	}
}

// trails reports whether a node lacks a greater share of some amount than the
// nearest node so far does of any, or no smaller share if it joined later.
func (s *surveyor) trails(row Row) bool {
	later := int64(0)
	if s.index.nodes[row].join > s.index.nodes[s.Nearest].join {
		later = 1
	}
	for i := range s.amounts {
		if a := &s.amounts[i]; a.missing(s.index, row) > a.most-a.reached*later {
			return true
		}
	}
	return later == 1 && s.least.shortfall == 0
}

// setLeast sets the largest shortfall of the nearest node, and what another node
// may be short of each amount without having a larger one.
func (s *surveyor) setLeast(least fraction) {
	s.least = least
	asked := uint64(max(least.asked, 1))
	for i := range s.amounts {
		a := &s.amounts[i]
		high, low := bits.Mul64(uint64(least.shortfall), uint64(a.asked))
		a.most, a.reached = math.MaxInt64, 0
		if high >= asked {
			continue
		}
		quotient, rest := bits.Div64(high, low, asked)
		if quotient > math.MaxInt64 {
			continue
		}
		a.most = int64(quotient)
		if rest == 0 {
			a.reached = 1
		}
	}
}

// largestShortfall returns what a node lacks most of, as a share of what is asked.
func (s *surveyor) largestShortfall(row Row) fraction {
	var largest fraction
	for i := range s.amounts {
		missing := fraction{s.amounts[i].missing(s.index, row), s.amounts[i].asked}
		if missing.shortfall > 0 && missing.compare(largest) > 0 {
			largest = missing
		}
	}
	return largest
}

// fraction is a shortfall of an amount that is asked, neither of them negative. The
// zero value is the smallest.
type fraction struct{ shortfall, asked int64 }

// compare multiplies crosswise in 128 bits, so that it is exact.
func (f fraction) compare(other fraction) int {
	if f.asked == other.asked {
		return cmp.Compare(f.shortfall, other.shortfall)
	}
	high, low := bits.Mul64(uint64(f.shortfall), uint64(max(other.asked, 1)))
	otherHigh, otherLow := bits.Mul64(uint64(other.shortfall), uint64(max(f.asked, 1)))
	return cmp.Or(cmp.Compare(high, otherHigh), cmp.Compare(low, otherLow))
}
