package index

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/internal/cow"
)

// bitset is a set of small numbers, one bit each.
type bitset []uint64

// words returns how many words hold n bits.
func words(n int) int { return (n + 63) / 64 }

func (b bitset) has(i Row) bool {
	w := int(i >> 6)
	return w < len(b) && b[w]&(1<<(i&63)) != 0
}

func (b bitset) set(i Row)    { b[i>>6] |= 1 << (i & 63) }
func (b bitset) remove(i Row) { b[i>>6] &^= 1 << (i & 63) }

// put sets or clears one bit.
func (b bitset) put(i Row, on bool) {
	if on {
		b.set(i)
	} else {
		b.remove(i)
	}
}

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// resized returns b with exactly n words, new ones zero.
func (b bitset) resized(n int) bitset {
	for len(b) < n {
		b = append(b, 0)
	}
	return b[:n]
}

// each calls yield with every member in ascending order until it returns
// false.
func (b bitset) each(yield func(Row) bool) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			if !yield(Row(w<<6 + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}

func (b bitset) invert() {
	for w := range b {
		b[w] = ^b[w]
	}
}

func (b bitset) intersect(other bitset) {
	for w := range b {
		b[w] &= other[w]
	}
}

func (b bitset) unite(other bitset) {
	for w := range b {
		b[w] |= other[w]
	}
}

// rowSet is a set of rows that is small when it has few members and fast
// when it has many: a sorted list, or one bit per row once more than one
// row in denseShare is a member. Both forms take at most a few bytes per
// member, so that a label value that one node carries costs no bitmap.
//
// It and domainCounts are the two containers that change their form. They are not
// one, since a set is read 64 rows at a time and a count by its domain.
type rowSet struct {
	list  []Row // sorted, while bits is nil
	bits  bitset
	n     int
	owner *cow.Owner // who may change it; see clone.go
}

// clone returns a set of the same rows for an owner.
func (s *rowSet) clone(of *cow.Owner) rowSet {
	return rowSet{list: slices.Clone(s.list), bits: slices.Clone(s.bits), n: s.n, owner: of}
}

// denseShare is the share of the rows above which a set becomes bits, unless
// it is small anyway. Below half of that it becomes a list again.
const denseShare = 32

func (x *Index) longestList() int { return max(x.thresholds.denseSet, len(x.nodes)/denseShare) }

// add puts in a row that is no member. longest is how many members a list may
// have.
func (s *rowSet) add(row Row, longest int) {
	s.n++
	if s.bits == nil && s.n > longest {
		s.bits = make(bitset, words(int(max(row, s.list[len(s.list)-1]))+1))
		for _, member := range s.list {
			s.bits.set(member)
		}
		s.list = nil
	}
	if s.bits != nil {
		s.bits = s.bits.resized(max(len(s.bits), words(int(row)+1)))
		s.bits.set(row)
		return
	}
	at, _ := slices.BinarySearch(s.list, row)
	s.list = slices.Insert(s.list, at, row)
}

// remove takes out a member.
func (s *rowSet) remove(row Row, longest int) {
	s.n--
	if s.bits == nil {
		at, _ := slices.BinarySearch(s.list, row)
		s.list = slices.Delete(s.list, at, at+1)
		return
	}
	s.bits.remove(row)
	if s.n < longest/2 {
		s.list = make([]Row, 0, s.n)
		s.each(func(member Row) bool {
			s.list = append(s.list, member)
			return true
		})
		s.bits = nil
	}
}

// each calls yield with every member in ascending order until it returns
// false.
func (s *rowSet) each(yield func(Row) bool) {
	if s.bits != nil {
		s.bits.each(yield)
		return
	}
	for _, member := range s.list {
		if !yield(member) {
			return
		}
	}
}

// words returns between which words of a bitset the members are: from the first to
// one before the second.
func (s *rowSet) words() (from, to int) {
	if s.bits != nil {
		return 0, len(s.bits)
	}
	if len(s.list) == 0 {
		return 0, 0
	}
	return int(s.list[0] >> 6), int(s.list[len(s.list)-1]>>6) + 1
}

// joinInto sets the members' bits in dst.
func (s *rowSet) joinInto(dst bitset) {
	for w, word := range s.bits {
		dst[w] |= word
	}
	for _, member := range s.list {
		dst.set(member)
	}
}

// leaveFrom clears the members' bits in dst.
func (s *rowSet) leaveFrom(dst bitset) {
	for w, word := range s.bits {
		dst[w] &^= word
	}
	for _, member := range s.list {
		dst.remove(member)
	}
}
