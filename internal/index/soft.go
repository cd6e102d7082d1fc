package index

import "github.com/rads-project/constellation/placement"

// softTest is a soft term: a set of nodes, or a rule on domains.
type softTest struct {
	weight  int64
	set     *nodeSet    // nil for a rule on domains
	rule    *domainRule // nil for a set
	least   int32       // of a soft MaxSkew: the smallest count
	targets []int64     // of targets: by domain, how many are wanted
	part    PartKind
	index   int
	folded  bool // counted in the key of the order that is searched
}

// prepareSoft looks up what the soft terms need.
func (x *Index) prepareSoft(p *probe) {
	for i, term := range p.plan.labels {
		set := x.current(term.set)
		p.soft = append(p.soft, softTest{weight: term.weight, set: set, part: PartPreferred, index: i})
	}
	if x.taints.soft > 0 {
		if set := x.current(p.plan.dreaded); set.n > 0 {
			p.soft = append(p.soft, softTest{weight: dreadedWeight, set: set, part: PartTaint})
			p.low += dreadedWeight * placement.Unit
		}
	}
	for i := range p.plan.soft {
		rule := &p.plan.soft[i]
		test := softTest{weight: rule.weight, rule: rule, part: PartAffinity, index: rule.index}
		if rule.spread != nil {
			test.part = PartSpread
			if rule.spread.MaxSkew > 0 {
				test.least, _ = x.leastCount(rule.counter, p.plan.eligible)
			} else {
				test.targets = x.wanted(rule)
			}
		}
		p.soft = append(p.soft, test)
	}
}

// dreadedWeight is the weight of an untolerated PreferNoSchedule taint.
const dreadedWeight = -100

// wanted returns how many instances a rule with targets wants per domain:
// ⌈percent × (total + new) / 100⌉.
func (x *Index) wanted(rule *domainRule) []int64 {
	t := rule.counter.topology
	total := rule.counter.domains.total + int64(rule.self)
	share := func(name string) int64 { return (int64(rule.spread.Target(name))*total + 99) / 100 }
	if t.key == "" {
		// Every node is a domain, by its ID.
		wanted := make([]int64, len(x.nodes))
		for slot := range x.nodes {
			if spec := x.nodes[slot].spec; spec != nil {
				wanted[slot] = share(spec.ID)
			}
		}
		return wanted
	}
	wanted := make([]int64, len(t.names))
	for domain, name := range t.names {
		wanted[domain] = share(name)
	}
	return wanted
}

// value returns t of a soft term on a node, from 0 to placement.Unit.
func (t *softTest) value(slot Slot) int64 {
	if t.rule == nil {
		if t.set.bits.has(slot) {
			return placement.Unit
		}
		return 0
	}
	domain := t.rule.counter.topology.of(slot)
	if domain == noDomain {
		return 0
	}
	return t.domainValue(domain)
}

// domainValue returns t of a rule on domains for one domain.
func (t *softTest) domainValue(domain int32) int64 {
	count := t.rule.counter.domains.at(domain)
	if t.targets != nil {
		excess := max(0, int64(count+t.rule.self)-t.targets[domain])
		return placement.Unit / (1 + excess)
	}
	return t.countValue(count)
}

// countValue returns t of a rule without targets for a domain's count.
func (t *softTest) countValue(count int32) int64 {
	if t.rule.spread != nil {
		return placement.Unit / (1 + int64(max(0, count-t.least)))
	}
	return placement.Unit * int64(min(count, 1))
}

// softScore returns G of a node.
func (p *probe) softScore(slot Slot) int64 {
	sum := int64(0)
	for i := range p.soft {
		sum += p.soft[i].weight * p.soft[i].value(slot)
	}
	return sum
}

// unfolded returns the part of G that the order searched does not hold.
func (p *probe) unfolded(slot Slot) int64 {
	sum := int64(0)
	for i := range p.soft {
		if !p.soft[i].folded {
			sum += p.soft[i].weight * p.soft[i].value(slot)
		}
	}
	return sum
}
