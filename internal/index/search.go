package index

// search returns the first node in the order of the strategy: the one that a
// scan would find, without looking at all.
//
//   - Where a rule leaves few nodes over, it looks at those.
//   - Else it goes through the levels of the soft score, from the top: nodes
//     of one level differ in R alone, so the first one that fits in the order
//     of a grid is the best of its level, and no level needs a look whose soft
//     score can not make up for what the best so far is ahead.
//   - When the walks take longer than a scan would, it scans.
func (x *Index) search(p *probe) (Row, bool) {
	if p.nowhere {
		return 0, false
	}
	w := &x.walk
	budget := x.budget(p)
	*w = walk{levels: w.levels[:0], counts: w.counts[:0], visits: budget}
	if x.list(p) {
		x.stats.Lists++
		return w.best, w.found
	}
	use, own := x.ordering(p)
	w.order = use
	done := x.spanAll(p) && x.walkAll(p)
	if spent := budget - w.visits; own != nil && spent > x.limits.listNodes {
		own.wasted += spent
	}
	if done {
		x.stats.Walks++
		return w.best, w.found
	}
	x.stats.Scans++
	if p.packing() {
		return x.scanPacked(p)
	}
	return x.scan(p)
}

// budget returns how many nodes a search may look at before a scan is cheaper:
// one that only compares packed words is fast, one that scores nodes is not.
func (x *Index) budget(p *probe) int {
	if p.packing() {
		return len(x.nodes)/8 + x.limits.walkNodes
	}
	return 2*len(x.nodes) + x.limits.walkNodes
}

// try compares a node with the best so far, if the query fits there.
func (x *Index) try(p *probe, slot Row) {
	w := &x.walk
	if !x.fits(p, slot) {
		return
	}
	r := x.rankOf(p, slot)
	if !w.found || x.before(slot, r, w.best, w.rank) {
		w.best, w.rank, w.found = slot, r, true
	}
}

// list looks at the nodes that one of the hard rules leaves over, if these are
// few. It reports whether it did.
func (x *Index) list(p *probe) bool {
	if p.plan.eligible.n <= x.limits.listNodes {
		for slot := range p.eligible.each {
			x.try(p, slot)
		}
		return true
	}
	for i := range p.tests {
		test := &p.tests[i]
		if test.low == 0 || x.members(test.counter) > x.limits.listNodes {
			continue
		}
		for domain := range test.counter.domains.each {
			x.eachMember(test.counter.topology, domain, func(slot Row) { x.try(p, slot) })
		}
		return true
	}
	return false
}

// members returns how many nodes are in domains with a count, or some number
// above listNodes.
func (x *Index) members(k *counter) int {
	if k.topology.key == "" || k.domains.nonzero > x.limits.listNodes {
		return k.domains.nonzero
	}
	members := 0
	for domain := range k.domains.each {
		members += x.membersOf(k.topology, domain)
	}
	return members
}

// eachMember visits the nodes of a domain.
func (x *Index) eachMember(t *topology, domain int32, visit func(Row)) {
	if t.key == "" {
		visit(Row(domain))
		return
	}
	for slot := range x.labels[t.key].values[t.names[domain]].each {
		visit(slot)
	}
}
