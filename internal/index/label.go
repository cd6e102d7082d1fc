package index

import (
	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/placement"
)

// labelKey is one label key: for every value, the nodes that carry it.
//
// Invariant: no value without nodes, no key without values.
type labelKey struct {
	values cow.Map[posting]
}

// posting is the nodes of one label value. Many values, host names above all,
// have one node only, and then need no set.
type posting struct {
	only Row     // while more is nil
	more *rowSet // of at least one node
}

// each calls yield with every node in ascending order until it returns false.
func (p posting) each(yield func(Row) bool) {
	if p.more == nil {
		yield(p.only)
		return
	}
	p.more.each(yield)
}

// joinInto sets the nodes' bits in dst.
func (p posting) joinInto(dst bitset) {
	if p.more == nil {
		dst.set(p.only)
		return
	}
	p.more.joinInto(dst)
}

// relabel moves a node from the values that it had to those that it has.
func (x *Index) relabel(row Row, before, after *placement.Node) {
	eachLabel(before, func(key, value string) {
		if now, ok := labelOf(after, key); !ok || now != value {
			x.unlabel(row, key, value)
		}
	})
	eachLabel(after, func(key, value string) {
		if was, ok := labelOf(before, key); !ok || was != value {
			x.label(row, key, value)
		}
	})
}

func eachLabel(n *placement.Node, visit func(key, value string)) {
	if n == nil {
		return
	}
	for key, value := range n.Labels {
		visit(key, value)
	}
	if model, ok := n.Label(placement.LabelGPUModel); ok {
		visit(placement.LabelGPUModel, model)
	}
}

func labelOf(n *placement.Node, key string) (string, bool) {
	if n == nil {
		return "", false
	}
	return n.Label(key)
}

func (x *Index) label(row Row, key, value string) {
	k := x.labels[key]
	if k == nil {
		k = new(labelKey)
		x.labels[key] = k
	}
	nodes, known := k.values.Get(value)
	switch {
	case !known:
		k.values.Set(value, posting{only: row})
		return
	case nodes.more == nil:
		nodes.more = &rowSet{owner: x.owner}
		nodes.more.add(nodes.only, x.longestList())
		k.values.Set(value, nodes)
	default:
		nodes = x.ownPosting(k, value, nodes)
	}
	nodes.more.add(row, x.longestList())
}

func (x *Index) unlabel(row Row, key, value string) {
	k := x.labels[key]
	nodes := k.values.At(value)
	if nodes.more != nil {
		nodes = x.ownPosting(k, value, nodes)
		nodes.more.remove(row, x.longestList())
		if nodes.more.n > 0 {
			return
		}
	}
	k.values.Delete(value)
	if k.values.Len() == 0 {
		delete(x.labels, key)
	}
}

// ownPosting returns the nodes of a label value, of which there is a set, to be changed.
func (x *Index) ownPosting(k *labelKey, value string, nodes posting) posting {
	if nodes.more.owner != x.owner {
		copied := nodes.more.clone(x.owner)
		nodes.more = &copied
		k.values.Set(value, nodes)
	}
	return nodes
}

// meeting writes the nodes that meet the constraint into dst, which has one
// bit per row and is overwritten; bits of vacant rows are undefined. It takes
// time in proportion to the bits and, for operators other than equality, to
// the values of the label.
func (x *Index) meeting(c placement.Constraint, dst bitset) {
	switch op := c.Operator(); op {
	case placement.OpAnd, placement.OpOr:
		part := make(bitset, len(dst))
		for i, operand := range c.Operands() {
			x.meeting(operand, part)
			switch {
			case i == 0:
				copy(dst, part)
			case op == placement.OpAnd:
				dst.intersect(part)
			default:
				dst.unite(part)
			}
		}
	case placement.OpNot:
		x.meeting(c.Operands()[0], dst)
		dst.invert()
	default:
		x.meetingLabel(c, dst)
	}
}

// meetingLabel is meeting for a constraint on one label. Where the absence of
// the label meets it, the nodes that do not are joined and then inverted.
func (x *Index) meetingLabel(c placement.Constraint, dst bitset) {
	clear(dst)
	absent := c.MatchValue("", false)
	values := new(cow.Map[posting])
	if k := x.labels[c.Key()]; k != nil {
		values = &k.values
	}
	if listed := c.Values(); len(listed) > 0 {
		for _, value := range listed {
			if nodes, ok := values.Get(value); ok {
				nodes.joinInto(dst)
			}
		}
	} else {
		for value, nodes := range values.All() {
			if absent != c.MatchValue(value, true) {
				nodes.joinInto(dst)
			}
		}
	}
	if absent {
		dst.invert()
	}
}

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
