package index

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// ordering is an ordering of the nodes of a set by what does not depend on what
// runs in other nodes: the strategy term and the soft terms on labels and
// taints. Because a node is measured by its own size, whatever is asked, every
// request with the same rules has the same ordering.
//
// The plain orders are those of all nodes by the strategy term: BinPack's, and
// Spread's for each set of scarce dimensions that are not asked. Every search
// can use one of them, testing its rules node by node. An ordering of its own for
// a rule set finds its node without such tests; it gets a grid when searches
// with these rules have wasted as much time as building the grid takes. Until that
// is whole they go on with the plain one.
//
// All grids together take so many bytes per node. Where there is no more room, the
// grid goes that was used least recently, if it was of no use while searches
// without one wasted as much as it costs: rule sets that take turns keep what they
// have, and the others use the plain order.
type ordering struct {
	packs   dimensionSet
	lexical bool        // soft terms before all else, as strategy Affinity wants
	classes bool        // the grid is divided by classes; see fragmentation.go
	set     *nodeSet    // nil for all nodes
	terms   []labelTerm // soft terms that count
	// topology by whose domains the grid is divided, nil for none.
	topology *topology
	grid     *grid  // nil for none
	used     uint64 // the search that used it last
	wasted   int    // nodes looked at in vain since the search of that number
	since    uint64
}

// dimensionSet has one bit per registered dimension.
type dimensionSet uint64

func (x *Index) allDimensions() dimensionSet { return 1<<len(x.dims) - 1 }

func (o *ordering) has(row Row) bool { return o.set == nil || o.set.bits.has(row) }

func (o *ordering) equal(other *ordering) bool {
	return o.packs == other.packs && o.lexical == other.lexical && o.classes == other.classes && o.set == other.set &&
		o.topology == other.topology && slices.Equal(o.terms, other.terms)
}

// holds reports whether a soft term is in the key of the order.
func (o *ordering) holds(test *softTest) bool {
	return test.rule == nil && slices.Contains(o.terms, labelTerm{test.set, test.weight})
}

// partOf returns the number of the part of an order's grid that a node lies in.
func (x *Index) partOf(o *ordering, row Row) int32 {
	switch {
	case o.classes:
		return x.classOf(row)
	case o.topology == nil:
		return 0
	default:
		return o.topology.of(row) - noDomain
	}
}

// orderKey returns the place of a node in the order, the smaller the earlier:
// 100·(P − R) − W·G, or for lexical orders P − R − lexicalStep·G, where P is boundOf
// the dimensions that count as in BinPack. It depends on the scale of the cluster
// where there are soft terms alone.
func (x *Index) orderKey(o *ordering, row Row) int64 {
	behind := x.behind(o.packs, row)
	soft := int64(0)
	for _, term := range o.terms {
		soft += term.weight * term.set.value(row)
	}
	if o.lexical {
		return behind - x.lexicalStep()*soft
	}
	return 100*behind - x.bound/placement.Unit*soft
}

// lexicalStep is above every difference of strategy terms.
func (x *Index) lexicalStep() int64 { return x.bound + 1 }

// ordering returns the order to search in: the query's own if that has a whole
// grid, else a plain one, or nil if that has none yet either. own is where waste is
// noted, nil if the plain one is as good. It works on what is not whole, no longer
// than the search takes that has this budget.
func (x *Index) ordering(p *probe, budget int) (use, own *ordering) {
	own = x.ownOrder(p)
	whole := own != nil && own.grid != nil && own.grid.build.whole
	if whole && x.advance(own, nil, x.thresholds.slice) {
		return own, own
	}
	plain := x.remember(&ordering{packs: p.packs})
	if plain.grid == nil {
		x.begin(plain, nil)
	}
	if plain.grid == nil || !x.advance(plain, nil, min(max(budget, x.thresholds.slice), x.thresholds.scanSlice)) {
		plain.wasted += budget
		return nil, own
	}
	if own == nil || whole {
		return plain, own
	}
	if own.grid == nil && own.wasted > x.gridCost(own) {
		x.begin(own, plain.grid)
	}
	if own.grid != nil && x.advance(own, plain.grid, x.thresholds.slice) {
		return own, own
	}
	return plain, own
}

// ownOrder returns the order of the query's rules, nil if it would not be better
// than the plain one.
func (x *Index) ownOrder(p *probe) *ordering {
	terms := x.foldable(p)
	wanted := ordering{
		packs: p.packs, terms: terms, topology: x.divider(p),
		lexical: p.strategy == placement.Affinity && len(terms) > 0,
	}
	if p.compiled.eligible.n < len(x.byJoin)-len(x.byJoin)/8 {
		wanted.set = p.compiled.eligible
	}
	if wanted.set == nil && len(terms) == 0 && wanted.topology == nil {
		return nil
	}
	return x.remember(&wanted)
}

// divider returns the topology of the first rule on domains that is not about
// single nodes, if its domains are few.
func (x *Index) divider(p *probe) *topology {
	for i := range p.tests {
		if t := p.tests[i].counter.topology; t.key != "" && len(t.names) <= x.thresholds.parts {
			return t
		}
	}
	for i := range p.soft {
		if rule := p.soft[i].rule; rule != nil && rule.counter.topology.key != "" && len(rule.counter.topology.names) <= x.thresholds.parts {
			return rule.counter.topology
		}
	}
	return nil
}

// foldable returns the soft terms that an order can hold: those on labels and
// taints that more than a few nodes satisfy. A lexical order holds none where its
// keys might be too large for an int64, which takes W times the sum of the weights
// to be above four million. The result is scratch.
func (x *Index) foldable(p *probe) []labelTerm {
	terms := x.scratchTerms[:0]
	if p.strategy == placement.Affinity && p.high-p.low > noKey/2/x.lexicalStep() {
		return terms
	}
	for i := range p.soft {
		if test := &p.soft[i]; test.rule == nil && test.set.n > x.thresholds.listNodes {
			terms = append(terms, labelTerm{test.set, test.weight})
		}
	}
	x.scratchTerms = terms
	return terms
}

// remember returns the order that equals o.
func (x *Index) remember(o *ordering) *ordering {
	for _, known := range x.orders {
		if known.equal(o) {
			known.used = x.searches
			return known
		}
	}
	kept := *o
	kept.terms = slices.Clone(o.terms)
	kept.used, kept.since = x.searches, x.searches
	x.orders = slices.DeleteFunc(x.orders, (*ordering).abandoned)
	if len(x.orders) == x.thresholds.orders {
		oldest := slices.MinFunc(x.orders, func(a, b *ordering) int { return cmp.Compare(a.used, b.used) })
		x.orders = without(x.orders, oldest)
	}
	x.orders = append(x.orders, &kept)
	return &kept
}

// abandoned reports whether no rule uses a set of the order any more.
func (o *ordering) abandoned() bool {
	return o.set != nil && o.set.users == 0 || o.topology != nil && len(o.topology.users) == 0 ||
		slices.ContainsFunc(o.terms, func(term labelTerm) bool { return term.set.users == 0 })
}

// dropGrid takes the grid of an order away.
func (x *Index) dropGrid(o *ordering) {
	o.grid, o.wasted, o.since = nil, 0, x.searches
}
