package index

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// filter is one rule of a query that refuses nodes. The filters of a query are
// the only place that says which nodes fail what: refusals, diagnoses and
// surveys go through them, so that these cannot disagree.
type filter struct {
	reason placement.Reason
	rule
}

// rule is what a filter asks of nodes.
type rule interface {
	// mark sets the bit of every node of among that fails in fail, which is
	// clear. It may set bits of other nodes too. It returns the words that it
	// has touched: from is the first, to follows the last.
	mark(x *Index, among, fail bitset) (from, to int)
	// fails reports whether a node fails, and what it is short of then, zero
	// where the rule is not about amounts.
	fails(x *Index, row Row) (shortfall int64, fails bool)
}

// filters returns all rules that a prepared query has for nodes, in filter
// order.
func (x *Index) filters(p *probe) []filter {
	all := x.ruleFilters(p)
	addBooks := func(reason placement.Reason, r rule) {
		if p.alone != nil {
			r = booksRule{r, p}
		}
		all = append(all, filter{reason, r})
	}
	for _, state := range []NodeState{Cordoned, Lost, Unreported, Closed} {
		all = append(all, filter{placement.Reason{Kind: placement.ReasonState, Detail: state.String()}, stateRule{state, p.query}})
	}
	addBooks(placement.Reason{Kind: placement.ReasonInstances}, instancesRule{})
	for _, a := range p.asks {
		addBooks(placement.Reason{Kind: placement.ReasonResource, Name: a.name}, resourceRule{a, false})
		addBooks(placement.Reason{Kind: placement.ReasonHold, Name: a.name}, holdRule(a))
	}
	for d := range x.dims {
		name := x.dims[d].name
		if name != "" && !slices.ContainsFunc(p.asks, func(a ask) bool { return a.dim == d }) {
			reason := placement.Reason{Kind: placement.ReasonResource, Name: name, Detail: placement.Overused}
			addBooks(reason, resourceRule{ask{name: name, dim: d}, true})
		}
	}
	sortFilters(all)
	return all
}

// ruleFilters are the filters that come from the rules of the query's class: on taints,
// labels, ports and other instances. Their order is that of no list.
func (x *Index) ruleFilters(p *probe) []filter {
	var all []filter
	add := func(reason placement.Reason, r rule) { all = append(all, filter{reason, r}) }
	for text, lists := range x.taints.refusals(p.query.Class.request.Preferences.Tolerations) {
		add(placement.Reason{Kind: placement.ReasonTaint, Detail: text}, taintRule(lists))
	}
	for i, c := range p.query.Class.request.Preferences.Required {
		values := x.unreadable(c)
		add(constraintReason(i, c, ""), constraintRule{c, values})
		for _, value := range values {
			add(constraintReason(i, c, value.text), unreadableRule{c, value})
		}
	}
	for _, test := range p.ports {
		add(portReason(test.port.String(), 0), portRule{test})
		if test.reserved != nil {
			add(portReason(test.port.String(), -1), reservedPortRule{test})
		}
	}
	if p.dynamic > 0 {
		add(portReason("dynamic", 0), dynamicPortRule{p})
	}
	domains := make(map[placement.Reason]domainTests)
	for i := range p.tests {
		domains[p.tests[i].reason()] = append(domains[p.tests[i].reason()], &p.tests[i])
	}
	for reason, tests := range domains {
		add(reason, tests)
	}
	return all
}

func sortFilters(all []filter) {
	slices.SortFunc(all, func(a, b filter) int { return placement.CompareReasons(a.reason, b.reason) })
}

// stateRule refuses nodes in a state. Those that the query thinks closed are in that
// one.
type stateRule struct {
	state NodeState
	query *Query
}

func (r stateRule) mark(x *Index, among, fail bitset) (from, to int) {
	for w, word := range among {
		for rest := word &^ x.ready[w]; rest != 0; rest &= rest - 1 {
			row := Row(w<<6 + bits.TrailingZeros64(rest))
			fail.put(row, x.nodes[row].state == r.state)
		}
	}
	for _, row := range r.query.Closed {
		fail.put(row, r.state == Closed)
	}
	return 0, len(fail)
}

func (r stateRule) fails(x *Index, row Row) (int64, bool) {
	state := x.nodes[row].state
	if slices.Contains(r.query.Closed, row) {
		state = Closed
	}
	return 0, state == r.state
}

// taintRule refuses the nodes of the lists that have one taint.
type taintRule []*taintList

func (r taintRule) mark(_ *Index, _, fail bitset) (from, to int) {
	from = len(fail)
	for _, list := range r {
		list.nodes.joinInto(fail)
		first, end := list.nodes.words()
		from, to = min(from, first), max(to, end)
	}
	return from, to
}

func (r taintRule) fails(x *Index, row Row) (int64, bool) {
	return 0, slices.Contains(r, x.taints.lists[x.nodes[row].taints])
}

// instancesRule refuses nodes that are full of instances.
type instancesRule struct{}

func (r instancesRule) mark(x *Index, _, fail bitset) (from, to int) {
	for row := range x.full.each {
		fail.put(row, x.nodes[row].full())
	}
	return 0, len(fail)
}

func (r instancesRule) fails(x *Index, row Row) (int64, bool) {
	n := &x.nodes[row]
	if !n.full() {
		return 0, false
	}
	return n.instances + n.heldInstances() + 1 - n.spec.MaxInstances, true
}

// resourceRule refuses nodes with too little of a dimension beside what is used.
// What is not asked is asked of overused nodes alone: they may have less than
// nothing left.
type resourceRule struct {
	ask
	overused bool
}

func (r resourceRule) mark(x *Index, among, fail bitset) (from, to int) {
	for w, word := range among {
		if r.overused {
			word &= x.overused[w]
		}
		if word == 0 {
			continue
		}
		if r.dim < 0 {
			fail[w] = word
			continue
		}
		fail[w] = word & x.lacking(w, r.ask)
		for rest := fail[w] & x.held[w]; rest != 0; rest &= rest - 1 {
			row := Row(w<<6 + bits.TrailingZeros64(rest))
			fail.put(row, x.missing(row, r.ask, &Hold{}) > 0)
		}
	}
	return 0, len(fail)
}

func (r resourceRule) fails(x *Index, row Row) (int64, bool) {
	if r.overused && !x.overused.has(row) {
		return 0, false
	}
	missing := x.missing(row, r.ask, &Hold{})
	return missing, missing > 0
}

// holdRule refuses nodes with enough of a dimension, but for what reservations
// hold of it.
type holdRule ask

func (r holdRule) mark(x *Index, among, fail bitset) (from, to int) {
	for w, word := range among {
		for rest := word & x.held[w]; rest != 0; rest &= rest - 1 {
			row := Row(w<<6 + bits.TrailingZeros64(rest))
			_, fails := r.fails(x, row)
			fail.put(row, fails)
		}
	}
	return 0, len(fail)
}

func (r holdRule) fails(x *Index, row Row) (int64, bool) {
	h := x.nodes[row].hold
	if h == nil || r.dim < 0 || x.missing(row, ask(r), &Hold{}) > 0 {
		return 0, false
	}
	missing := shortfall(r.amount, satSub(h.spare[r.dim], h.amounts[r.dim]))
	if r.name == placement.NameGPU {
		most, whole := x.nodes[row].gpusLeft(h.devices)
		missing = gpuMissing(r.amount, most, whole)
	}
	return missing, missing > 0
}

// domainTests refuses nodes whose domain fails one of the tests, which have the
// same reason.
type domainTests []*domainTest

func (r domainTests) mark(x *Index, _, fail bitset) (from, to int) {
	for _, test := range r {
		test.mark(x, fail)
	}
	return 0, len(fail)
}

func (r domainTests) fails(_ *Index, row Row) (int64, bool) {
	return 0, slices.ContainsFunc(r, func(test *domainTest) bool { return !test.passes(row) })
}

// mark joins the nodes that fail to fail, in time proportional to the domains
// with a count and to the words. Where a count is needed, those that pass are
// taken out of all.
func (t *domainTest) mark(x *Index, fail bitset) {
	k := t.counter
	if t.low == 0 {
		for domain, count := range k.domains.each {
			if count > t.high {
				x.joinMembers(k.topology, domain, fail)
			}
		}
		if t.high < 0 || t.keyed && k.topology.key != "" {
			x.scratchSet = x.scratchSet.resized(len(fail))
			clear(x.scratchSet)
			for domain := range k.topology.names {
				if t.passesDomain(int32(domain)) && k.topology.members[domain] > 0 {
					x.joinMembers(k.topology, int32(domain), x.scratchSet)
				}
			}
			x.scratchSet.invert()
			fail.unite(x.scratchSet)
		}
		return
	}
	x.scratchSet = x.scratchSet.resized(len(fail))
	clear(x.scratchSet)
	for domain, count := range k.domains.each {
		if t.low <= count && count <= t.high {
			x.joinMembers(k.topology, domain, x.scratchSet)
		}
	}
	x.scratchSet.invert()
	fail.unite(x.scratchSet)
}

// joinMembers sets the bits of the nodes of a domain in dst.
func (x *Index) joinMembers(t *topology, domain int32, dst bitset) {
	if t.key == "" {
		dst.set(Row(domain))
		return
	}
	x.labels[t.key].values.At(t.names[domain]).joinInto(dst)
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

// ReasonCount is how many nodes failed a rule first.
type ReasonCount struct {
	Reason placement.Reason
	Nodes  int
}

// Count returns, in filter order, how many nodes failed each rule first. The
// sum is the number of nodes on which the query does not fit. It takes time in
// proportion to the rules, to the distinct taints and to the nodes over 64, and to
// what is counted by the rules on domains. If the same was asked before, it takes
// time in proportion to the rules and to the nodes that have changed since, unless
// the change is of another kind: see refusal.
func (x *Index) Count(q *Query) []ReasonCount {
	p := x.prepareFilters(q)
	if r := x.recall(p); r != nil {
		x.stats.Recalls++
		return r.counts()
	}
	x.stats.Counts++
	filters := x.filters(p)
	r := x.newRefusal(p, filters)
	var counts []ReasonCount
	left, fail := slices.Clone(x.present), make(bitset, len(x.present))
	for i := range filters {
		from, to := filters[i].mark(x, left, fail)
		n := 0
		for w := from; w < to; w++ {
			failed := left[w] & fail[w]
			left[w] &^= failed
			fail[w] = 0
			n += bits.OnesCount64(failed)
			if r != nil {
				r.note(w, failed, uint8(i+1))
			}
		}
		if n > 0 {
			counts = append(counts, ReasonCount{filters[i].reason, n})
		}
		if r != nil {
			r.failing[0], r.failing[i+1] = r.failing[0]-n, n
		}
	}
	if r != nil {
		x.keepRefusal(r)
	}
	return counts
}
