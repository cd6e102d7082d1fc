package index

import "github.com/rads-project/constellation/placement"

// Best returns the first node in the order of the query's strategy among those
// that fit: the one that looking at every node finds. If it is known to be refused,
// that takes the time of Count.
func (x *Index) Best(q *Query) (Choice, bool) {
	if again, ok := x.again(q); ok {
		return again, true
	}
	p := x.prepare(q)
	if r := x.recall(p); r != nil && r.failing[0] == 0 {
		return Choice{}, false
	}
	row, ok := x.bestRow(p)
	if !ok {
		return Choice{}, false
	}
	if x.cfg.Engine == Auto {
		x.keepAnswer(p, row)
	}
	return Choice{Row: row, Terms: x.terms(p, row)}, true
}

func (x *Index) bestRow(p *probe) (Row, bool) {
	switch {
	case p.strategy == placement.Random:
		return x.draw(p)
	case p.alone != nil:
		x.stats.Scans++
		return x.scan(p)
	case x.cfg.Engine == Auto && p.strategy == placement.LeastFragmentation:
		return x.searchGradients(p)
	case x.cfg.Engine == Auto && x.gridPays(p):
		return x.newSearch(p).first()
	case p.packing():
		x.stats.Scans++
		return x.scanPacked(p)
	default:
		x.stats.Scans++
		return x.scan(p)
	}
}

// packing reports whether the order of the query is by key alone.
func (p *probe) packing() bool {
	return len(p.soft) == 0 && (p.strategy == placement.BinPack || p.strategy == placement.Affinity)
}

// search is one search for the first node in the order of a query's strategy. Its
// lists are kept for the next one, so that searching allocates nothing.
type search struct {
	x *Index
	p *probe

	best  Row // the best node so far, if one is found
	rank  rank
	found bool

	visits int // nodes that may still be looked at; see walkCell
	order  *ordering
	level  int64 // only nodes of this soft score, folded terms apart, count
	group  int32 // and only those with so many of the group, for Spread
	soft   bool  // there are terms that are not folded
	apart  bool  // all of these are about the domains that divide the grid

	// What keeps the query from single nodes: under lists all, bars those that count
	// for the nodes at hand, tops is nil for none; see bar.go.
	under, bars []barring
	tops        *barredTops
	barred      int // nodes looked at that a bar holds

	levels      []int64   // soft scores to walk, greatest first
	excess      *softTest // with which they became too many to walk
	groupCounts []int32   // instances of the group that nodes have, fewest first
	ranks       []int32   // scratch of spanDomains
}

// newSearch begins a search in the scratch of the index. It is valid until the
// next one.
func (x *Index) newSearch(p *probe) *search {
	x.searches++
	s := &x.search
	*s = search{x: x, p: p, levels: s.levels[:0], groupCounts: s.groupCounts[:0], ranks: s.ranks[:0], under: s.under[:0]}
	s.visits = s.budget()
	return s
}

// first returns the first node in the order of the strategy: the one that a scan
// would find, without looking at all.
//
//   - Where a rule leaves few nodes over, it looks at those.
//   - Else it goes through the levels of the soft score, from the top: nodes
//     of one level differ in R alone, so the first one that fits in the order
//     of a grid is the best of its level, and no level needs a look whose soft
//     score cannot make up for what the best so far is ahead.
//   - When the walks take longer than a scan would, or no grid is whole yet, it
//     scans.
func (s *search) first() (Row, bool) {
	x, p := s.x, s.p
	if p.nowhere {
		return 0, false
	}
	if s.list() {
		x.stats.Lists++
		return s.best, s.found
	}
	use, own := x.ordering(p, s.budget())
	s.order = use
	done := false
	if use != nil {
		s.useBars()
		done = s.spanAll() && s.walkAll()
		s.noteBarred()
	}
	spent := s.budget() - s.visits
	if own != nil && s.excess != nil && own.holds(s.excess) {
		spent = s.budget() // the scan that comes now and that its own order would save
	}
	if own != nil && spent > x.thresholds.listNodes {
		own.wasted += spent
	}
	if done {
		x.stats.Walks++
		return s.best, s.found
	}
	x.stats.Scans++
	if p.packing() {
		return x.scanPacked(p)
	}
	return x.scan(p)
}

// gridPays reports whether a search takes less time than a scan: one that scores nodes
// costs four times as much per node as one that compares words.
func (x *Index) gridPays(p *probe) bool {
	if p.packing() {
		return len(x.byJoin) >= x.thresholds.gridNodes
	}
	return 4*len(x.byJoin) >= x.thresholds.gridNodes
}

// listPays reports whether looking at so many nodes one by one takes less time than a
// grid, or than a scan of packed words where that is as good.
func (s *search) listPays(nodes int) bool {
	return nodes <= s.x.thresholds.listNodes &&
		(!s.p.packing() || 4*nodes <= (len(s.x.nodes)+s.x.thresholds.gridNodes)/8)
}

// budget returns how many nodes a search may look at before a scan is cheaper:
// one that only compares packed words is fast, one that scores nodes is not.
func (s *search) budget() int {
	if s.p.packing() {
		return len(s.x.nodes)/8 + s.x.thresholds.walkNodes
	}
	return 4*len(s.x.nodes) + s.x.thresholds.walkNodes
}

// try compares a node with the best so far, if the query fits there.
func (s *search) try(row Row) {
	if !s.x.fits(s.p, row) {
		return
	}
	r := s.x.rankOf(s.p, row)
	if !s.found || s.x.before(row, r, s.best, s.rank) {
		s.best, s.rank, s.found = row, r, true
	}
}

// list looks at the nodes that one of the hard rules leaves over, if these are
// few. It reports whether it did.
func (s *search) list() bool {
	if s.listPays(s.p.compiled.eligible.n) {
		for row := range s.p.eligible.each {
			s.try(row)
		}
		return true
	}
	for i := range s.p.tests {
		test := &s.p.tests[i]
		if test.low == 0 || s.x.members(test.counter) > s.x.thresholds.listNodes {
			continue
		}
		for domain := range test.counter.domains.each {
			s.x.eachMember(test.counter.topology, domain, func(row Row) { s.try(row) })
		}
		return true
	}
	return false
}

// members returns how many nodes are in domains with a count, or some number
// above listNodes.
func (x *Index) members(k *counter) int {
	if k.topology.key == "" || k.domains.nonzero > x.thresholds.listNodes {
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
	for row := range x.labels[t.key].values.At(t.names[domain]).each {
		visit(row)
	}
}
