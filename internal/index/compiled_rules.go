package index

import "github.com/rads-project/constellation/placement"

// compiledRules is what a class's rules compile to, once: sets of nodes and counters
// that it shares with other classes. It lives as long as the class is known.
type compiledRules struct {
	eligible    *nodeSet
	unpreferred *nodeSet
	described   *nodeSet     // for MinDomains; nil if no rule has any
	hard        []domainRule // affinity, then anti-affinity, then spread rules
	soft        []domainRule
	preferred   []labelTerm
	scaled      []labelTerm
	group       *counter // of strategy Spread, for a request with a group
	low         int64    // bounds of G, PreferNoSchedule apart
	high        int64

	repellers []*counter // holders that keep the class out
	edit      uint64     // of counterTable that repellers are of

	// For searches, see bar.go: tops is nil for none, barred counts nodes looked at
	// while there are none, and rules of an overlay are thought.
	tops    *barredTops
	barred  int
	thought bool
}

// domainRule is a rule on the instances in a node's domain.
type domainRule struct {
	kind    placement.ReasonKind
	index   int // its place in Preferences.Affinity or Spread
	counter *counter
	self    int32 // 1 if the request's own instance will be counted
	weight  int64 // of a soft rule, negative to avoid
	repel   bool
	spread  *placement.SpreadRule // nil for affinity
	targets []target              // of spread with targets, as last located
	located uint64                // position in Index.nodeLog of targets, plus one
	others  int64                 // percentage of domains without a target
}

// labelTerm is a preferred constraint or a scaled label.
type labelTerm struct {
	set    *nodeSet
	weight int64
}

// compiledOf returns the compiled rules of a class.
func (x *Index) compiledOf(class *Class) *compiledRules {
	c := x.stateOf(class)
	if c.compiled == nil {
		c.compiled = x.compileRules(class)
	}
	if c.compiled.edit != x.counters.edit {
		c.compiled.repellers = x.counters.repelling(class)
		c.compiled.edit = x.counters.edit
	}
	return c.compiled
}

func (x *Index) compileRules(c *Class) *compiledRules {
	preferences := &c.request.Preferences
	p := &compiledRules{
		eligible: x.sets.acquire(setRules{
			kind: eligible, required: preferences.Required, tolerations: preferences.Tolerations,
		}),
		unpreferred: x.sets.acquire(setRules{kind: unpreferred, tolerations: preferences.Tolerations}),
	}
	for i, preference := range preferences.Preferred {
		set := x.sets.acquire(setRules{kind: preferred, required: []placement.Constraint{preferences.Preferred[i].Constraint}})
		p.preferred = append(p.preferred, labelTerm{set, int64(preference.Weight)})
		p.bound(int64(preference.Weight))
	}
	for _, label := range preferences.Scaled {
		set := x.sets.acquire(setRules{kind: scaled, label: label.Label})
		p.scaled = append(p.scaled, labelTerm{set, int64(label.Weight)})
		p.bound(int64(label.Weight))
	}
	for _, repel := range []bool{false, true} {
		for i, term := range preferences.Affinity {
			if term.Repel == repel {
				p.add(x.affinityRule(c, i, term), term.Required())
			}
		}
	}
	for i := range preferences.Spread {
		rule := &preferences.Spread[i]
		if rule.MinDomains > 0 && p.described == nil {
			p.described = x.sets.acquire(setRules{
				kind: described, required: preferences.Required, tolerations: preferences.Tolerations,
			})
		}
		p.add(x.spreadRule(c, i, rule), rule.Hard())
	}
	if preferences.Strategy == placement.Spread && c.request.Group != "" {
		p.group = x.acquire(c.spreadTarget(placement.Constraint{}), "")
	}
	return p
}

func (x *Index) affinityRule(c *Class, i int, term placement.AffinityTerm) domainRule {
	kind := ofSelector
	if term.Repel && term.Required() {
		kind = ofRepelled
	}
	k := x.acquire(c.affinityTarget(term, kind), term.Topology)
	rule := domainRule{kind: placement.ReasonAffinity, index: i, counter: k, repel: term.Repel, weight: int64(term.Weight)}
	if term.Repel {
		rule.kind, rule.weight = placement.ReasonAntiAffinity, -rule.weight
	}
	if k.of.covers(c) {
		rule.self = 1
	}
	return rule
}

func (x *Index) spreadRule(c *Class, i int, spread *placement.SpreadRule) domainRule {
	k := x.acquire(c.spreadTarget(spread.Selector), spread.Topology)
	rule := domainRule{kind: placement.ReasonSpread, index: i, counter: k, spread: spread, weight: int64(spread.Weight)}
	if k.of.covers(c) {
		rule.self = 1
	}
	rule.others = 100
	for _, percent := range spread.Targets {
		rule.others -= int64(percent)
	}
	return rule
}

func (p *compiledRules) add(rule domainRule, hard bool) {
	if hard {
		p.hard = append(p.hard, rule)
		return
	}
	p.soft = append(p.soft, rule)
	p.bound(rule.weight)
}

func (p *compiledRules) bound(weight int64) {
	p.low += min(weight, 0) * placement.Unit
	p.high += max(weight, 0) * placement.Unit
}

// discard gives back what the compiled rules of a class use.
func (x *Index) discard(c *classState) {
	p := c.compiled
	if p == nil {
		return
	}
	c.compiled = nil
	if p.tops != nil {
		x.dropTops(p.tops)
	}
	x.sets.resign(p.eligible)
	x.sets.resign(p.unpreferred)
	if p.described != nil {
		x.sets.resign(p.described)
	}
	for _, terms := range [][]labelTerm{p.preferred, p.scaled} {
		for _, term := range terms {
			x.sets.resign(term.set)
		}
	}
	for _, rules := range [][]domainRule{p.hard, p.soft} {
		for _, rule := range rules {
			x.resign(rule.counter)
		}
	}
	if p.group != nil {
		x.resign(p.group)
	}
}
