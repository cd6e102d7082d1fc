package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

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
	if s.x.fits(s.p, row) {
		s.compare(row)
	}
}

// compare compares a node that the query fits on with the best so far.
func (s *search) compare(row Row) {
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

// Choice is a node and its score for a query.
type Choice struct {
	Row   Row
	Terms placement.Terms
}

// rank orders feasible nodes for a strategy: the greater first, field by
// field; equal ranks go to the node that joined first.
//
//	BinPack             0, S, 0
//	Spread              −instances of the group on the node, S, 0
//	Affinity            G, R, 0
//	LeastFragmentation  G, −ΔF, −K
//	Random              G, 0, 0
type rank [3]int64

// above reports whether r comes before other.
func (r rank) above(other rank) bool {
	switch {
	case r[0] != other[0]:
		return r[0] > other[0]
	case r[1] != other[1]:
		return r[1] > other[1]
	default:
		return r[2] > other[2]
	}
}

// strategyTerm returns R of a node.
func (x *Index) strategyTerm(p *probe, row Row) int64 {
	x, row = x.books(p, row)
	return p.packed - x.behind(p.packs, row)
}

// terms returns the parts of a node's score.
func (x *Index) terms(p *probe, row Row) placement.Terms {
	return placement.Terms{
		Strategy: x.strategyTerm(p, row), Bound: x.bound,
		Soft: p.softScore(row), SoftLow: p.low, SoftHigh: p.high,
	}
}

// rankOf returns where a node stands in the order of the strategy.
func (x *Index) rankOf(p *probe, row Row) rank {
	soft := int64(0)
	if len(p.soft) > 0 {
		soft = p.softScore(row)
	}
	switch p.strategy {
	case placement.Affinity:
		return rank{soft, x.strategyTerm(p, row)}
	case placement.LeastFragmentation:
		x, row = x.books(p, row)
		return rank{soft, -x.gradient(p, row), -x.key[row]}
	case placement.Random:
		return rank{soft}
	case placement.BinPack, placement.Spread:
	}
	score := placement.Score(placement.Terms{Strategy: x.strategyTerm(p, row), Bound: x.bound, Soft: soft})
	return rank{-p.compiled.groupOn(row), score}
}

// before reports whether row a with rank ra comes before b with rb.
func (x *Index) before(a Row, ra rank, b Row, rb rank) bool {
	return ra.above(rb) || ra == rb && x.nodes[a].join < x.nodes[b].join
}

// repeat is the answer of the last search, from which the next one can go on.
//
// Invariant: while version is that of the index, no node that comes before row in the
// order of packing fits the query of this class and these amounts. An instance of the
// class that is put on row itself keeps that so: the row only moves to the front, and
// all others stay as they are. While prepared is that of the index too, its probe is
// still the one of that query, in which nothing depends on where such instances run.
type repeat struct {
	class    *Class
	asks     []ask
	row      Row
	version  uint64
	prepared uint64
}

// again returns the node of the last search, if that is the answer of this one too.
func (x *Index) again(q *Query) (Choice, bool) {
	r := &x.repeat
	if r.version != x.version || r.prepared != x.prepared || r.class != q.Class || q.thinks() {
		return Choice{}, false
	}
	x.scratchAsks = x.asksOf(q.Resources, x.scratchAsks[:0])
	if !slices.Equal(r.asks, x.scratchAsks) || !x.fits(&x.probe, r.row) {
		return Choice{}, false
	}
	x.stats.Repeats++
	return Choice{Row: r.row, Terms: x.terms(&x.probe, r.row)}, true
}

// keepAnswer keeps the answer of a search. With rules about instances or ports, all
// nodes would have to be looked at again.
func (x *Index) keepAnswer(p *probe, row Row) {
	if p.query.thinks() || !p.packing() || len(p.tests)+p.dynamic > 0 || len(p.query.Class.request.Ports) > 0 {
		return
	}
	x.repeat = repeat{p.query.Class, append(x.repeat.asks[:0], p.asks...), row, x.version, x.prepared}
}

// continues reports whether putting an instance on a node keeps the last answer.
func (x *Index) continues(row Row, c *Class, delta int64) bool {
	return delta > 0 && row == x.repeat.row && c == x.repeat.class && x.repeat.version == x.version
}
