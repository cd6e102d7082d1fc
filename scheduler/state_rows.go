package scheduler

import (
	"iter"
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/internal/index"
)

// rowSet is a set of rows of nodes. The zero value is empty.
type rowSet struct {
	words []uint64
	n     int
}

func (s *rowSet) has(row index.Row) bool {
	w := int(row / 64)
	return w < len(s.words) && s.words[w]>>(row%64)&1 == 1
}

// put makes a row a member, or not.
func (s *rowSet) put(row index.Row, member bool) {
	if s.has(row) == member {
		return
	}
	for int(row/64) >= len(s.words) {
		s.words = append(s.words, 0)
	}
	s.words[row/64] ^= 1 << (row % 64)
	if member {
		s.n++
	} else {
		s.n--
	}
}

// all yields the members, ascending.
func (s *rowSet) all() iter.Seq[index.Row] {
	return func(yield func(index.Row) bool) {
		for w, word := range s.words {
			for ; word != 0; word &= word - 1 {
				if !yield(index.Row(w*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

func (s *rowSet) clone() rowSet { return rowSet{slices.Clone(s.words), s.n} }
