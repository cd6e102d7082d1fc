package index

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// ReasonCount is how many nodes failed a rule first.
type ReasonCount struct {
	Reason placement.Reason
	Nodes  int
}

// countMemo remembers the last counts, for refusals that repeat.
type countMemo struct {
	version uint64
	entries []countEntry
}

type countEntry struct {
	class     *Class
	resources placement.Resources
	counts    []ReasonCount
}

const countMemoSize = 16

func (m *countMemo) find(q *Query, version uint64) ([]ReasonCount, bool) {
	if m.version != version {
		return nil, false
	}
	for i := range m.entries {
		if e := &m.entries[i]; e.class == q.Class && e.resources.Equal(*q.Resources) {
			return e.counts, true
		}
	}
	return nil, false
}

func (m *countMemo) store(q *Query, version uint64, counts []ReasonCount) {
	if m.version != version || len(m.entries) == countMemoSize {
		m.version = version
		clear(m.entries)
		m.entries = m.entries[:0]
	}
	m.entries = append(m.entries, countEntry{q.Class, q.Resources.Clone(), counts})
}

// Count returns, in filter order, how many nodes failed each rule first. The
// sum is the number of nodes on which the query does not fit. It looks at
// every node, unless the same was asked since the last change. The result is
// shared and must not be changed.
func (x *Index) Count(q *Query) []ReasonCount {
	if counts, ok := x.memo.find(q, x.version); ok {
		x.stats.Recalls++
		return counts
	}
	x.stats.Counts++
	c := sieve{index: x, probe: x.prepare(q), left: slices.Clone(x.present), fail: make(bitset, len(x.present))}
	c.states()
	c.taints()
	c.constraints()
	c.instances()
	c.ports()
	for _, a := range x.withOverused(c.probe.asks, x.overused.count() > 0) {
		c.amount(a, placement.ReasonResource)
	}
	for i := range c.probe.tests {
		test := &c.probe.tests[i]
		c.each(test.reason(), func(slot Slot) bool { return !test.passes(slot) })
	}
	for _, a := range c.probe.asks {
		c.amount(a, placement.ReasonHold)
	}
	slices.SortFunc(c.counts, func(a, b ReasonCount) int { return placement.CompareReasons(a.Reason, b.Reason) })
	x.memo.store(q, x.version, c.counts)
	return c.counts
}

// sieve catches, filter by filter, the nodes that fail it.
type sieve struct {
	index  *Index
	probe  *probe
	left   bitset // nodes that failed nothing so far
	fail   bitset // nodes that fail the filter at hand
	counts []ReasonCount
}

// catch counts the nodes of fail that are left and takes them out.
func (c *sieve) catch(reason placement.Reason) {
	n := 0
	for w := range c.left {
		n += bits.OnesCount64(c.left[w] & c.fail[w])
		c.left[w] &^= c.fail[w]
	}
	if n == 0 {
		return
	}
	for i := range c.counts {
		if c.counts[i].Reason == reason {
			c.counts[i].Nodes += n
			return
		}
	}
	c.counts = append(c.counts, ReasonCount{reason, n})
}

// each catches the nodes left that fail.
func (c *sieve) each(reason placement.Reason, fails func(Slot) bool) {
	clear(c.fail)
	for slot := range c.left.each {
		if fails(slot) {
			c.fail.set(slot)
		}
	}
	c.catch(reason)
}

func (c *sieve) states() {
	for _, state := range []State{Cordoned, Lost, Unreported} {
		clear(c.fail)
		for w := range c.left {
			c.fail[w] = c.left[w] &^ c.index.ready[w]
		}
		for slot := range c.fail.each {
			if c.index.nodes[slot].state != state {
				c.fail.remove(slot)
			}
		}
		c.catch(placement.Reason{Kind: placement.ReasonState, Detail: state.String()})
	}
}

func (c *sieve) taints() {
	tolerations := c.probe.query.Class.request.Preferences.Tolerations
	c.index.taints.each(func(list *taintList) {
		if text, refused := list.refusal(tolerations); refused {
			clear(c.fail)
			list.nodes.joinInto(c.fail)
			c.catch(placement.Reason{Kind: placement.ReasonTaint, Detail: text})
		}
	})
}

func (c *sieve) constraints() {
	for i, constraint := range c.probe.query.Class.request.Preferences.Required {
		c.index.meeting(constraint, c.fail)
		c.fail.invert()
		c.catch(constraintReason(i, constraint))
	}
}

func constraintReason(i int, c placement.Constraint) placement.Reason {
	return placement.Reason{Kind: placement.ReasonConstraint, Index: i, Detail: c.String()}
}

func (c *sieve) instances() {
	clear(c.fail)
	for slot := range c.index.full.each {
		c.fail.put(slot, c.index.nodes[slot].crowded())
	}
	c.catch(placement.Reason{Kind: placement.ReasonInstances})
}

func (c *sieve) ports() {
	// In the order of the reasons' text, as CompareReasons has it.
	slices.SortFunc(c.probe.ports, func(a, b portTest) int {
		return placement.CompareReasons(portReason(a.port), portReason(b.port))
	})
	for _, test := range c.probe.ports {
		clear(c.fail)
		for slot := range test.claims.each {
			c.fail.set(Slot(slot))
		}
		c.catch(portReason(test.port))
	}
}

// withOverused returns the amounts asked and, where a node is overused, nothing
// of every other dimension: it may have less than nothing left.
func (x *Index) withOverused(asks []ask, overused bool) []ask {
	if !overused {
		return asks
	}
	all := slices.Clone(asks)
	for d := range x.dims {
		if x.dims[d].name != "" && !slices.ContainsFunc(asks, func(a ask) bool { return a.dim == d }) {
			all = append(all, ask{name: x.dims[d].name, dim: d})
		}
	}
	slices.SortFunc(all, func(a, b ask) int { return placement.CompareNames(a.name, b.name) })
	return all
}

// amount catches nodes with too little of a dimension: beside what is used
// for ReasonResource, beside what reservations hold too for ReasonHold.
func (c *sieve) amount(a ask, kind placement.ReasonKind) {
	x := c.index
	if a.dim < 0 {
		copy(c.fail, c.left)
	} else {
		for w, word := range c.left {
			c.fail[w] = 0
			if word != 0 {
				c.fail[w] = x.lacking(w, a)
			}
		}
		if kind == placement.ReasonResource {
			for w, word := range c.fail {
				for rest := word & c.left[w] & x.held[w]; rest != 0; rest &= rest - 1 {
					slot := Slot(w<<6 + bits.TrailingZeros64(rest))
					c.fail.put(slot, x.missing(slot, a, &Held{}) > 0)
				}
			}
		}
	}
	c.catch(placement.Reason{Kind: kind, Name: a.name})
}

// lacking returns a bit for every node of a word that has too little of a
// dimension free. It takes the sign of what would be left, without a branch per
// node; where free may be so far below zero that this overflows, its own sign
// too.
func (x *Index) lacking(w int, a ask) uint64 {
	base, end := w<<6, min(w<<6+64, len(x.nodes))
	lacking := uint64(0)
	switch {
	case a.name != placement.NameGPU:
		for i, free := range x.free[a.dim][base:end] {
			lacking |= uint64(free|(free-a.amount)) >> 63 << i
		}
	case a.amount < placement.Device:
		for i, most := range x.most[base:end] {
			lacking |= uint64(int64(most)-a.amount) >> 63 << i
		}
	default:
		for i, whole := range x.whole[base:end] {
			lacking |= uint64(int64(whole)-a.amount/placement.Device) >> 63 << i
		}
	}
	return lacking
}
