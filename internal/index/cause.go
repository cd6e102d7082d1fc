package index

import "github.com/rads-project/constellation/placement"

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
