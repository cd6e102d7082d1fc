package index

import "github.com/rads-project/constellation/placement"

// Query is a request to the index.
type Query struct {
	Class     *Class
	Resources *placement.Resources
	// ID of the request and Seq of the state, for the draws of Random.
	ID  string
	Seq uint64
	// Joined are nodes on each of which an instance of Class is thought to have
	// joined, a node once for each instance: the query is answered as if Join had
	// been called, but nothing changes. That costs in proportion to these nodes
	// and to the domains in which the rules on domains count something; a
	// list that has grown since the query was last asked costs what is new.
	Joined []Row
	// Own is an instance of Class that is thought to have gone from its node, nil for
	// none: the query is answered as if Leave and Vacate had been called, but
	// nothing changes. That costs what Joined costs, and Best looks at every node.
	// Devices and DynamicPorts, which are for queries that are carried out, do not
	// leave it out.
	Own *Own
	// Closed are nodes that are thought closed for maintenance: the query is answered
	// as if SetState had said so, but nothing changes, and their domains are still
	// there for the rules on domains. That costs what it takes to copy a bit per
	// node.
	Closed []Row

	overlay *overlay // of Joined and Own, once asked for
}

// probe is a query made ready to be asked of many nodes: what its rules say
// about the cluster as a whole is looked up once. It is valid until the index
// changes.
type probe struct {
	query    *Query
	compiled *compiledRules
	alone    *Index // the amounts of the node of query.Own; nil without one
	strategy placement.Strategy
	asks     []ask
	need     uint64 // packed word of asks
	nowhere  bool   // asks for a dimension that no node has
	ports    []portTest
	dynamic  int // dynamic ports asked for
	eligible bitset
	tests    []domainTest
	soft     []softTest
	low      int64 // bounds of G
	high     int64
	packs    dimensionSet // dimensions that count as in BinPack; see ordering.go
	packed   int64        // boundOf packs
}

// domainTest is a hard rule as a range of counts: a node passes if its domain
// counts from low to high, or if it has no domain and the rule is not keyed.
type domainTest struct {
	counter   *counter
	low, high int32
	keyed     bool
	kind      placement.ReasonKind
	index     int
	self      int32                 // 1 if the request's own instance will be counted
	spread    *placement.SpreadRule // nil for affinity
}

const noLimit = 1<<31 - 1

func (t *domainTest) passes(row Row) bool {
	return t.passesDomain(t.counter.topology.of(row))
}

func (t *domainTest) passesDomain(domain int32) bool {
	if domain == noDomain {
		return !t.keyed
	}
	count := t.counter.domains.at(domain)
	return t.low <= count && count <= t.high
}

func (t *domainTest) reason() placement.Reason {
	return placement.Reason{Kind: t.kind, Index: t.index, Detail: t.counter.topology.key}
}

// prepare makes a query ready. The probe is scratch of the index.
func (x *Index) prepare(q *Query) *probe {
	p := x.prepareFilters(q)
	x.prepareSoft(p)
	p.packs, p.packed = x.allDimensions(), x.bound
	if p.strategy == placement.Spread {
		p.packs = x.spared(p.asks)
		p.packed = x.boundOf(p.packs)
	}
	return p
}

// prepareFilters makes a query ready for asking where it fits, which no score
// matters to.
func (x *Index) prepareFilters(q *Query) *probe {
	p := &x.probe
	x.prepared++
	rules := x.rulesOf(q)
	*p = probe{
		query: q, compiled: rules, strategy: q.Class.request.Preferences.Strategy,
		asks: x.asksOf(q.Resources, p.asks[:0]), ports: p.ports[:0],
		tests: p.tests[:0], soft: p.soft[:0], low: rules.low, high: rules.high,
		eligible: x.current(rules.eligible).bits,
	}
	if q.Own != nil {
		p.alone = q.overlay.alone
	}
	if len(q.Closed) > 0 {
		p.eligible = x.open(p.eligible, q.Closed)
	}
	p.need = x.need(p.asks)
	for _, a := range p.asks {
		p.nowhere = p.nowhere || a.dim < 0
	}
	x.preparePorts(p)
	if p.strategy == placement.LeastFragmentation && !x.fragmentation.mixed {
		p.strategy = placement.Affinity // the same order without gradients
	}
	x.prepareHard(p)
	return p
}

// open returns a set of nodes without those that are thought closed, in scratch.
func (x *Index) open(eligible bitset, closed []Row) bitset {
	x.scratchOpen = append(x.scratchOpen[:0], eligible...)
	for _, row := range closed {
		x.scratchOpen.remove(row)
	}
	return x.scratchOpen
}

// spared returns the scarce dimensions, GPUs and custom ones, that are not
// asked for: Spread leaves them alone.
func (x *Index) spared(asks []ask) dimensionSet {
	spared := dimensionSet(0)
	for d := range x.dims {
		if name := x.dims[d].name; name == placement.NameGPU || name != "" && named(name) < 0 {
			spared |= 1 << d
		}
	}
	for _, a := range asks {
		if a.dim >= 0 {
			spared &^= 1 << a.dim
		}
	}
	return spared
}

// prepareHard turns the hard rules into tests, in filter order.
func (x *Index) prepareHard(p *probe) {
	symmetric := false
	for i := range p.compiled.hard {
		rule := &p.compiled.hard[i]
		if !symmetric && rule.kind != placement.ReasonAffinity {
			symmetric = true
			p.addRepellers()
		}
		p.tests = append(p.tests, x.domainTest(p, rule))
	}
	if !symmetric {
		p.addRepellers()
	}
}

func (p *probe) addRepellers() {
	for _, k := range p.compiled.repellers {
		if k.all > 0 {
			p.tests = append(p.tests, domainTest{counter: k, kind: placement.ReasonAntiAffinity, index: -1})
		}
	}
}

func (x *Index) domainTest(p *probe, rule *domainRule) domainTest {
	test := domainTest{counter: rule.counter, high: noLimit, kind: rule.kind, index: rule.index, self: rule.self, spread: rule.spread}
	switch {
	case rule.spread == nil && rule.repel:
		test.high = 0
	case rule.spread == nil:
		test.keyed = true
		// The first of its group needs no match, for there is none.
		if rule.counter.all > 0 || rule.self == 0 {
			test.low = 1
		}
	case rule.spread.MaxPerDomain > 0:
		test.keyed = true
		test.high = atMost(int64(rule.spread.MaxPerDomain) - int64(rule.self))
	default:
		test.keyed = true
		least, domains := x.leastCount(rule.counter, p.compiled.eligible)
		if domains == 0 {
			least = noLimit // a node that came to be open would be in the only domain
		}
		if rule.spread.MinDomains > 0 && x.domainsFor(p, rule.counter.topology) < rule.spread.MinDomains {
			least = 0
		}
		test.high = atMost(int64(least) + int64(rule.spread.MaxSkew) - int64(rule.self))
	}
	return test
}

// domainsFor returns how many domains count for MinDomains: also those of which no
// node takes work just now, so that an outage does not keep what is left from taking
// over.
func (x *Index) domainsFor(p *probe, t *topology) int {
	set := x.current(p.compiled.described)
	if t.key == "" {
		return set.n
	}
	return x.existing(set, t).n
}

func atMost(limit int64) int32 { return int32(min(limit, noLimit)) }

// leastCount returns the smallest count among the domains that exist for the
// nodes of an up-to-date set, and how many those are. It takes time in
// proportion to the domains with a count.
func (x *Index) leastCount(k *counter, set *nodeSet) (least int32, domains int) {
	var nodes []int32
	if domains = set.n; k.topology.key != "" {
		e := x.existing(set, k.topology)
		nodes, domains = e.nodes, e.n
	}
	if k.domains.nonzero < domains {
		return 0, domains
	}
	counted := 0
	least = noLimit
	for domain, count := range k.domains.each {
		if nodes != nil && nodes[domain] > 0 || nodes == nil && set.bits.has(Row(domain)) {
			counted++
			least = min(least, count)
		}
	}
	if counted < domains || domains == 0 {
		return 0, domains
	}
	return least, domains
}

// Whether a node takes a query is asked in several ways, which differ in what they
// look at:
//
//	                  eligible  full  packed  amounts  ports, domains
//	fits                 x       x      x        x           x
//	hasRoom                      x      x        x
//	fitsExactly                                  x           x
//	holdsAmounts                                 x
//	admits                                                   x
//	meets, MeetsPorts    x                                   x
//	Evaluate             x       x            other holds    x
//	FitsWithout          x       x            other use      x
//
// Eligible nodes are ready, have tolerated taints and meet the constraints; the
// packed comparison says early of most nodes that the exact amounts do not fit.

// fits reports whether a node passes all filters.
func (x *Index) fits(p *probe, row Row) bool {
	return !p.nowhere && p.eligible.has(row) && x.hasRoom(p, row) && x.admits(p, row)
}

// hasRoom reports whether a node takes another instance and has the amounts,
// which must be of dimensions that exist.
func (x *Index) hasRoom(p *probe, row Row) bool {
	x, row = x.books(p, row)
	return !x.full.has(row) && misses(x.packed[row], p.need) == 0 && x.holdsAmounts(p, row)
}

// fitsExactly reports whether an eligible node that is not full passes the
// other filters: amounts, ports and domains.
func (x *Index) fitsExactly(p *probe, row Row) bool {
	return !p.nowhere && x.holdsAmounts(p, row) && x.admits(p, row)
}

// holdsAmounts reports whether a node has room for amounts of dimensions that
// exist.
func (x *Index) holdsAmounts(p *probe, row Row) bool {
	gpu := int(x.named[gpuName])
	for i := range p.asks {
		a := &p.asks[i]
		if a.dim == gpu {
			if gpuMissing(a.amount, int64(x.most[row]), int64(x.whole[row])) > 0 {
				return false
			}
		} else if x.free[a.dim][row] < a.amount {
			return false
		}
	}
	return true
}

// admits reports whether a node passes the rules on ports and domains.
func (x *Index) admits(p *probe, row Row) bool {
	if !x.givesPorts(p, row) {
		return false
	}
	for i := range p.tests {
		if !p.tests[i].passes(row) {
			return false
		}
	}
	return true
}

// Fits reports whether the query fits on the node.
func (x *Index) Fits(q *Query, row Row) bool { return x.fits(x.prepareFilters(q), row) }

// MeetsPorts reports whether a node passes all rules of the query but those on amounts
// and on the number of instances.
func (x *Index) MeetsPorts(q *Query, row Row) bool { return x.meets(x.prepareFilters(q), row) }

// Evaluate reports whether the query fits on the node and how it scores there,
// with other held amounts in place of the node's own; nil means its own.
func (x *Index) Evaluate(q *Query, row Row, held *Hold) (placement.Terms, bool) {
	p := x.prepare(q)
	terms := x.terms(p, row)
	if held == nil {
		return terms, x.fits(p, row)
	}
	ok := p.eligible.has(row) && !p.nowhere && x.admits(p, row)
	x, row = x.books(p, row)
	ok = ok && !x.overused.has(row) && !x.nodes[row].fullBeside(held.Instances)
	for _, a := range p.asks {
		ok = ok && x.missing(row, a, held) <= 0
	}
	terms.Strategy = p.packed
	for d := range x.dims {
		free := satSub(x.spare(row, d), held.Resources.Amount(x.dims[d].name))
		if x.dims[d].name == placement.NameGPU {
			free = x.nodes[row].gpusFree(held.Devices)
		}
		weighted := x.weighted(d, free, x.total(row, d))
		if p.packs>>d&1 == 1 {
			weighted = -weighted
		}
		terms.Strategy += weighted
	}
	return terms, ok
}

// missing returns by how much an amount fails on a node beside given holds,
// not above zero if it fits.
func (x *Index) missing(row Row, a ask, held *Hold) int64 {
	if a.name == placement.NameGPU {
		most, whole := x.nodes[row].gpusLeft(held.Devices)
		return gpuMissing(a.amount, most, whole)
	}
	if a.dim < 0 {
		return a.amount
	}
	return shortfall(a.amount, satSub(x.spare(row, a.dim), held.Resources.Amount(a.name)))
}

// shortfall returns asked − left, or the nearest int64.
func shortfall(asked, left int64) int64 {
	if left < 0 && asked > 1<<63-1+left {
		return 1<<63 - 1
	}
	return asked - left
}
