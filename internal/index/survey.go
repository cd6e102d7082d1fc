package index

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Survey is what the rules of a query do to all nodes together.
type Survey struct {
	// Fit is on how many nodes the query fits.
	Fit int
	// First and Failed count, in filter order, the nodes that fail a rule
	// first, and all that fail it.
	First, Failed []ReasonCount
	// Examples are, for each of First, the node that joined first of those counted.
	Examples []Row
	// Lacks says, for each resource and hold in Failed, which node lacks least:
	// of those that fail it first, or if none does of all; of several the one
	// that joined first.
	Lacks []Lack
	// Nearest is the node that fails the fewest rules, among those the one
	// whose largest shortfall in relation to what is asked is the smallest, then
	// the one that joined first. It is meaningless if no node fails.
	Nearest Row
	// Cordoned and Tainted are the nodes that joined first of those that fail
	// nothing but that they are cordoned, and nothing but taints; -1 for none.
	Cordoned, Tainted Row
	// waits and twins are the nodes whose failures might all go away when what
	// is on them goes, or on a new node like them.
	waits, twins bitset
	probe        *probe
}

// Lack is the node that lacks least of one dimension.
type Lack struct {
	Reason    placement.Reason
	Row       Row
	Shortfall int64
}

// Survey looks at all rules on all nodes but those left out. It goes rule by rule
// over words of 64 nodes, and takes time in proportion to the nodes over 64 times
// the rules and distinct taints, to the nodes that lack some amount, and to what
// is counted by rules on domains. Its memory is some bits per node and what it
// returns. Its result is good for Waiting and Twin until the index is used again.
func (x *Index) Survey(q *Query, without []Row) Survey {
	p := x.prepareFilters(q)
	filters := x.filters(p)
	among := slices.Clone(x.present)
	for _, row := range without {
		among.remove(row)
	}
	s := surveyor{
		index: x, left: slices.Clone(among), fail: make(bitset, len(among)),
		Survey: Survey{waits: slices.Clone(among), twins: slices.Clone(among), probe: p},
	}
	for kind := range s.but {
		s.but[kind] = make(bitset, len(among))
	}
	for i := range filters {
		s.pass(&filters[i], among)
	}
	s.Fit = len(without) + s.left.count()
	s.Cordoned, s.Tainted = s.onlyFailing(among, butCordoned), s.onlyFailing(among, butTaints)
	s.nearest(among)
	return s.Survey
}

type surveyor struct {
	Survey
	index *Index
	left  bitset // nodes that fail nothing so far
	fail  bitset // nodes that fail the filter at hand
	// planes count the failures of every node in binary: bit i of its number
	// is in plane i.
	planes  []bitset
	but     [butKinds]bitset // nodes that fail something but what is named
	amounts []amountFilter   // those that some node fails
	least   fraction         // the largest shortfall of the nearest node so far
}

// What nodes may fail alone so that they are worth naming.
const (
	butCordoned = iota
	butTaints
	butKinds
)

// onlyFailing returns the node that joined first of those that fail only what is
// named, -1 if there is none.
func (s *surveyor) onlyFailing(among bitset, what int) Row {
	best := Row(-1)
	for w := range s.left {
		for word := among[w] &^ s.left[w] &^ s.but[what][w]; word != 0; word &= word - 1 {
			best = s.earlier(best, Row(w<<6+bits.TrailingZeros64(word)))
		}
	}
	return best
}

// earlier returns the one of two nodes that joined first; a may be -1, none.
func (s *surveyor) earlier(a, b Row) Row {
	if a < 0 || s.index.nodes[b].join < s.index.nodes[a].join {
		return b
	}
	return a
}

// example returns the node that joined first of those that fail the filter at hand,
// and it first.
func (s *surveyor) example(from, to int) Row {
	first := Row(-1)
	for w := from; w < to; w++ {
		for word := s.fail[w] & s.left[w]; word != 0; word &= word - 1 {
			first = s.earlier(first, Row(w<<6+bits.TrailingZeros64(word)))
		}
	}
	return first
}

// pass sends the nodes through one filter.
func (s *surveyor) pass(f *filter, among bitset) {
	from, to := f.mark(s.index, among, s.fail)
	first, failed := 0, 0
	waits, twins := curable(f.reason.Kind)
	cordoned := f.reason == placement.Reason{Kind: placement.ReasonState, Detail: Cordoned.String()}
	taint := f.reason.Kind == placement.ReasonTaint
	for w := from; w < to; w++ {
		s.fail[w] &= among[w]
		word := s.fail[w]
		first += bits.OnesCount64(word & s.left[w])
		failed += bits.OnesCount64(word)
		s.countFailures(w, word)
		if !cordoned {
			s.but[butCordoned][w] |= word
		}
		if !taint {
			s.but[butTaints][w] |= word
		}
		if !waits {
			s.waits[w] &^= word
		}
		if !twins {
			s.twins[w] &^= word
		}
	}
	if first > 0 {
		s.First = append(s.First, ReasonCount{f.reason, first})
		s.Examples = append(s.Examples, s.example(from, to))
	}
	if failed > 0 {
		s.Failed = append(s.Failed, ReasonCount{f.reason, failed})
		if f.reason.Name != "" {
			s.lack(f, first > 0, from, to)
		}
	}
	for w := from; w < to; w++ {
		s.left[w] &^= s.fail[w]
		s.fail[w] = 0
	}
}

// curable reports whether a failure may go away when instances and holds go, and
// whether a new, empty node of the same description may be without it. Rules on
// domains are then looked at more closely.
func curable(kind placement.ReasonKind) (byWaiting, byTwin bool) {
	switch kind {
	case placement.ReasonInstances, placement.ReasonPort, placement.ReasonResource, placement.ReasonHold,
		placement.ReasonAntiAffinity, placement.ReasonSpread:
		return true, true
	case placement.ReasonState:
		return false, true
	case placement.ReasonTaint, placement.ReasonConstraint, placement.ReasonAffinity:
	}
	return false, false
}

// countFailures counts one more failure of each node of a word.
func (s *surveyor) countFailures(w int, word uint64) {
	for i := 0; word != 0; i++ {
		if i == len(s.planes) {
			s.planes = append(s.planes, make(bitset, len(s.left)))
		}
		s.planes[i][w], word = s.planes[i][w]^word, s.planes[i][w]&word
	}
}

// Waits yields, as they joined, the nodes on which the query would fit without the
// instances and holds that are on the node itself. Not those in whose way only
// others of a domain stand.
func (x *Index) Waits(s *Survey, yield func(Row) bool) {
	if x.unheardOf(s.probe) {
		return
	}
	x.inJoinOrder(s.waits, func(row Row) bool {
		return !x.emptied(s.probe, row) || yield(row)
	})
}

// Twins yields, as they joined, the nodes another of which would take the query,
// if it were new, empty and ready.
func (x *Index) Twins(s *Survey, yield func(Row) bool) {
	if x.unheardOf(s.probe) {
		return
	}
	x.inJoinOrder(s.twins, func(row Row) bool {
		return !x.twin(s.probe, row) || yield(row)
	})
}

// Larger yields, as they joined, the nodes another of which would take the query,
// if it were new, empty, ready and had more to give.
func (x *Index) Larger(s *Survey, yield func(Row) bool) {
	unheardOf := x.unheardOf(s.probe)
	x.inJoinOrder(s.twins, func(row Row) bool {
		return !unheardOf && x.wholeFits(s.probe, row) || !x.twinAdmitted(s.probe, row) || yield(row)
	})
}

// inJoinOrder visits the members of a set in the order of joining.
func (x *Index) inJoinOrder(set bitset, visit func(Row) bool) {
	for _, row := range x.byJoin {
		if set.has(row) && !visit(row) {
			return
		}
	}
}

// unheardOf reports whether a dimension is asked that no node has, so that none
// needs a look.
func (x *Index) unheardOf(p *probe) bool {
	return slices.ContainsFunc(p.asks, func(a ask) bool { return a.dim < 0 || x.dims[a.dim].nodes == 0 })
}

// wholeFits reports whether the amounts asked fit on a node with nothing on it.
func (x *Index) wholeFits(p *probe, row Row) bool {
	n := &x.nodes[row]
	for i := range p.asks {
		a := &p.asks[i]
		if x.spare(row, a.dim) >= a.amount {
			continue // it fits beside what is used
		}
		if n.instances == 0 {
			return false // nothing is used
		}
		if x.total(row, a.dim) < a.amount {
			return false
		}
	}
	return true
}

// emptied reports whether a node would pass the rules on domains, and has the
// amounts, once nothing runs there any more.
func (x *Index) emptied(p *probe, row Row) bool {
	if !x.wholeFits(p, row) || !x.givesPortsEmpty(p, row) {
		return false
	}
	return p.passesWithout(row, func(k *counter) int32 {
		on := int32(0)
		for _, class := range x.running[row] {
			if c := x.stateOf(class); c.counts(k) {
				on += c.countedOn(k, row)
			}
		}
		if k.original != nil {
			on += p.query.joinedOn(k, row)
		}
		return on
	})
}

// twin reports whether another node of the same description would pass the rules
// on domains, and has the amounts.
func (x *Index) twin(p *probe, row Row) bool {
	return x.wholeFits(p, row) && x.twinAdmitted(p, row)
}

// twinAdmitted reports whether another node of the same description would pass the
// rules on ports and domains.
func (x *Index) twinAdmitted(p *probe, row Row) bool {
	if !x.givesPortsEmpty(p, row) {
		return false
	}
	for i := range p.tests {
		test := &p.tests[i]
		t := test.counter.topology
		switch {
		case t.key == "":
			if test.low > 0 { // it would have no match
				return false
			}
		case !test.passes(row) && !x.settles(p, test, row):
			return false
		}
	}
	return true
}

// settles reports whether a spread rule that a node fails would pass if the domain
// of the node, which does not exist for the rule, did.
func (x *Index) settles(p *probe, test *domainTest, row Row) bool {
	t := test.counter.topology
	domain := t.of(row)
	if test.spread == nil || test.spread.MaxSkew == 0 || domain == noDomain {
		return false
	}
	set := x.current(p.compiled.eligible)
	if x.existing(set, t).nodes[domain] > 0 {
		return false
	}
	count := test.counter.domains.at(domain)
	least, domains := x.leastCount(test.counter, set)
	if domains == 0 || count < least {
		least = count
	}
	if test.spread.MinDomains > 0 {
		all := x.domainsFor(p, t)
		if x.existing(p.compiled.described, t).nodes[domain] == 0 {
			all++
		}
		if all < test.spread.MinDomains {
			least = 0
		}
	}
	return int64(count) <= int64(least)+int64(test.spread.MaxSkew)-int64(test.self)
}

// RuleCounts are what a rule on domains compares for one node.
type RuleCounts struct {
	// Domain of the node and how many count there; the node has none if not Has.
	Domain string
	Has    bool
	Count  int64
	// Least is the smallest count of the domains that exist, or what stands in for
	// it, and Domains how many exist; of a spread rule with MaxSkew alone.
	Least   int64
	Domains int
}

// Counts returns what the rule of a reason that was surveyed compares for a node. It
// takes time in proportion to the domains with a count.
func (x *Index) Counts(s *Survey, reason placement.Reason, row Row) (RuleCounts, bool) {
	p := s.probe
	for i := range p.tests {
		test := &p.tests[i]
		if test.reason() != reason || test.passes(row) {
			continue
		}
		k := test.counter
		domain := k.topology.of(row)
		c := RuleCounts{Has: domain != noDomain}
		if c.Has {
			c.Count = int64(k.domains.at(domain))
			if k.topology.key != "" {
				c.Domain = k.topology.names[domain]
			}
		}
		if test.spread != nil && test.spread.MaxSkew > 0 {
			least, domains := x.leastCount(k, p.compiled.eligible)
			if c.Least, c.Domains = int64(least), domains; domains < test.spread.MinDomains {
				c.Least = 0
			}
		}
		return c, true
	}
	return RuleCounts{}, false
}

// Largest returns the node that gives most of a dimension, whatever is used there,
// and how much that is; of several the one that joined first, and false if none
// gives any. It looks at every node.
func (x *Index) Largest(name placement.ResourceName) (best Row, most int64, ok bool) {
	for _, row := range x.byJoin {
		if amount := x.nodes[row].spec.AllocatableOf(name); amount > most {
			best, most = row, amount
		}
	}
	return best, most, most > 0
}

// InDomain yields, as they joined, the nodes in the domain of a node by a label key,
// or the node itself where the key is empty.
func (x *Index) InDomain(row Row, key string, yield func(Row) bool) {
	if key == "" {
		yield(row)
		return
	}
	value, _ := x.nodes[row].spec.Label(key)
	for _, other := range x.byJoin {
		if label, _ := x.nodes[other].spec.Label(key); label == value && !yield(other) {
			return
		}
	}
}

// HasLabel reports whether a node has a label of that key. It looks at every node
// until one has.
func (x *Index) HasLabel(key string) bool {
	for _, row := range x.byJoin {
		if _, ok := x.nodes[row].spec.Label(key); ok {
			return true
		}
	}
	return false
}

// ByJoin returns the nodes in the order in which they joined. The list is shared and
// must not be changed.
func (x *Index) ByJoin() []Row { return x.byJoin }
