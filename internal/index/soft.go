package index

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// softTest is a soft term: a set of nodes, or a rule on domains.
type softTest struct {
	weight int64
	set    *nodeSet    // nil for a rule on domains
	rule   *domainRule // nil for a set
	least  int32       // of a soft MaxSkew: the smallest count
	others int64       // of targets: how many are wanted in a domain without one of its own
	part   PartKind
	index  int
	folded bool // counted in the key of the order that is searched
}

// prepareSoft looks up what the soft terms need.
func (x *Index) prepareSoft(p *probe) {
	for i, term := range p.compiled.preferred {
		set := x.current(term.set)
		p.soft = append(p.soft, softTest{weight: term.weight, set: set, part: PartPreferred, index: i})
	}
	for i, term := range p.compiled.scaled {
		set := x.current(term.set)
		p.soft = append(p.soft, softTest{weight: term.weight, set: set, part: PartScaled, index: i})
	}
	if x.taints.soft > 0 {
		if set := x.current(p.compiled.unpreferred); set.n > 0 {
			p.soft = append(p.soft, softTest{weight: unpreferredWeight, set: set, part: PartTaint})
			p.low += unpreferredWeight * placement.Unit
		}
	}
	for i := range p.compiled.soft {
		rule := &p.compiled.soft[i]
		test := softTest{weight: rule.weight, rule: rule, part: PartAffinity, index: rule.index}
		if rule.spread != nil {
			test.part = PartSpread
			if rule.spread.MaxSkew > 0 {
				test.least, _ = x.leastCount(rule.counter, p.compiled.eligible)
			} else {
				x.locateTargets(rule)
				test.others = test.wanted(rule.others)
			}
		}
		p.soft = append(p.soft, test)
	}
}

// unpreferredWeight is the weight of an untolerated PreferNoSchedule taint.
const unpreferredWeight = -100

// target is a percentage of the instances that a domain is to have.
type target struct {
	domain  int32
	percent int64
}

// locateTargets finds the domains that a rule with targets names.
func (x *Index) locateTargets(rule *domainRule) {
	t := rule.counter.topology
	if t.key == "" {
		x.locateNodes(rule)
		return
	}
	rule.targets = rule.targets[:0]
	for name, percent := range rule.spread.Targets {
		if domain, ok := t.numbers.Get(name); ok {
			rule.targets = append(rule.targets, target{domain, int64(percent)})
		}
	}
}

// locateNodes is locateTargets where every node is a domain, by its ID. It
// looks at every node after any of them changed.
func (x *Index) locateNodes(rule *domainRule) {
	if rule.located == x.nodeLog.end()+1 {
		return
	}
	rule.located = x.nodeLog.end() + 1
	rule.targets = rule.targets[:0]
	for _, row := range x.byJoin {
		if percent, ok := rule.spread.Targets[x.nodes[row].spec.ID]; ok {
			rule.targets = append(rule.targets, target{int32(row), int64(percent)})
		}
	}
}

// wanted returns how many instances a rule wants in a domain with so many per
// cent: ⌈percent × (total + new) / 100⌉.
func (t *softTest) wanted(percent int64) int64 {
	total := t.rule.counter.domains.total + int64(t.rule.self)
	return (percent*total + 99) / 100
}

// value returns t of a soft term on a node, from 0 to placement.Unit.
func (t *softTest) value(row Row) int64 {
	if t.rule == nil {
		return t.set.value(row)
	}
	domain := t.rule.counter.topology.of(row)
	if domain == noDomain {
		return 0
	}
	return t.domainValue(domain)
}

// domainValue returns t of a rule on domains for one domain.
func (t *softTest) domainValue(domain int32) int64 {
	wanted := t.others
	for _, target := range t.rule.targets {
		if target.domain == domain {
			wanted = t.wanted(target.percent)
		}
	}
	return t.countValue(t.rule.counter.domains.at(domain), wanted)
}

// countValue returns t of a rule on domains for a domain's count; wanted is
// how many instances a rule with targets wants there.
func (t *softTest) countValue(count int32, wanted int64) int64 {
	switch {
	case t.rule.spread == nil:
		return placement.Unit * int64(min(count, 1))
	case t.rule.spread.MaxSkew > 0:
		return placement.Unit / (1 + int64(max(0, count-t.least)))
	default:
		return placement.Unit / (1 + max(0, int64(count+t.rule.self)-wanted))
	}
}

// softScore returns G of a node.
func (p *probe) softScore(row Row) int64 {
	sum := int64(0)
	for i := range p.soft {
		sum += p.soft[i].weight * p.soft[i].value(row)
	}
	return sum
}

// unfolded returns the part of G that the order searched does not hold.
func (p *probe) unfolded(row Row) int64 {
	sum := int64(0)
	for i := range p.soft {
		if !p.soft[i].folded {
			sum += p.soft[i].weight * p.soft[i].value(row)
		}
	}
	return sum
}

// maxSoftSets bounds the soft terms whose combinations are tried one by one.
const maxSoftSets = 6

// softSets reports whether the soft terms are few and each holds for a node or not.
func (p *probe) softSets() bool {
	return len(p.soft) <= maxSoftSets &&
		!slices.ContainsFunc(p.soft, func(t softTest) bool { return t.rule != nil || t.set.kind == scaled })
}

// setLevel is a combination of soft terms, by their places, and its score.
type setLevel struct {
	in    int
	score int64
}

// setLevels returns every combination of the soft terms, greatest score first.
// The result is scratch.
func (x *Index) setLevels(p *probe) []setLevel {
	levels := x.scratchLevels[:0]
	for in := range 1 << len(p.soft) {
		level := setLevel{in: in}
		for i := range p.soft {
			level.score += int64(in>>i&1) * p.soft[i].weight
		}
		levels = append(levels, level)
	}
	x.scratchLevels = levels
	slices.SortStableFunc(levels, func(a, b setLevel) int { return cmp.Compare(b.score, a.score) })
	return levels
}

// levelNodes returns those of the eligible nodes for which just this combination of
// the soft terms holds. The result is scratch.
func (x *Index) levelNodes(p *probe, eligible bitset, level setLevel) bitset {
	x.left = append(x.left[:0], eligible...)
	for i := range p.soft {
		set := p.soft[i].set.bits
		for w := range x.left {
			if level.in>>i&1 == 1 {
				x.left[w] &= set[w]
			} else {
				x.left[w] &^= set[w]
			}
		}
	}
	return x.left
}
