package index

import "github.com/rads-project/constellation/placement"

// labelScale is the numbers that the nodes hold in a scaled label, which are integers
// from 0 to placement.MaxScaled, so that there are few however many nodes there are.
//
// Invariant: rows has every node's number, 0 for a node without one and for a vacant
// row, and count[i] is how many nodes hold i, for i > 0. Both are empty for sets of
// other kinds.
type labelScale struct {
	rows  []uint16
	count []int32
}

// scaledOf returns the number that a node holds in a label, 0 if there is none.
func scaledOf(n *placement.Node, label string) uint16 {
	value, _ := labelOf(n, label)
	number, _ := placement.ScaledNumber(value)
	return uint16(number)
}

// compileScale reads the numbers of a scaled label, in time proportional to the nodes
// that hold one and to the values of the label.
func (x *Index) compileScale(set *nodeSet) {
	s := &set.scale
	s.rows, s.count = s.rows[:0], append(s.count[:0], make([]int32, placement.MaxScaled+1)...)
	s.resize(len(x.nodes))
	clear(set.bits)
	k := x.labels[set.label]
	if k == nil {
		return
	}
	for value, nodes := range k.values.All() {
		number, _ := placement.ScaledNumber(value)
		if number == 0 {
			continue
		}
		for row := range nodes.each {
			set.bits.set(row)
			s.put(row, uint16(number))
		}
	}
}

// resize makes room for so many rows.
func (s *labelScale) resize(rows int) {
	s.rows = append(s.rows, make([]uint16, max(0, rows-len(s.rows)))...)
}

func (s *labelScale) put(row Row, number uint16) {
	if was := s.rows[row]; was > 0 {
		s.count[was]--
	}
	s.rows[row] = number
	if number > 0 {
		s.count[number]++
	}
}

// value returns t of a soft term on labels or taints, from 0 to placement.Unit.
func (set *nodeSet) value(row Row) int64 {
	switch {
	case !set.bits.has(row):
		return 0
	case set.kind == scaled:
		return placement.ScaledShare(int64(set.scale.rows[row]))
	default:
		return placement.Unit
	}
}

// values yields each value but 0 that nodes have, once.
func (set *nodeSet) values(yield func(int64) bool) {
	if set.kind != scaled {
		yield(placement.Unit)
		return
	}
	for number, nodes := range set.scale.count {
		if nodes > 0 && !yield(placement.ScaledShare(int64(number))) {
			return
		}
	}
}
