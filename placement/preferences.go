package placement

import "slices"

// MaxWeight is the largest weight of a soft rule.
const MaxWeight = 100

// MaxSoftTerms is how many soft rules a request may have: preferred
// constraints, scaled labels, weighted affinity terms and soft spread rules
// together, and one place kept for PreferNoSchedule taints.
const MaxSoftTerms = 64

// Preferences are the rules of a request. The zero value allows every node and
// uses BinPack.
// Build them with Use and its methods, each of which returns a new value and
// leaves its receiver alone, or as a literal.
type Preferences struct {
	// Strategy orders the nodes that fit; zero is BinPack.
	Strategy Strategy `json:"strategy,omitempty"`
	// Required constraints on node labels, checked in this order.
	Required []Constraint `json:"required,omitempty"`
	// Preferred constraints on node labels, with weights.
	Preferred []Preference `json:"preferred,omitempty"`
	// Scaled are node labels that hold numbers, with weights.
	Scaled []ScaledLabel `json:"scaled,omitempty"`
	// Tolerations of node taints.
	Tolerations []Toleration `json:"tolerations,omitempty"`
	// Affinity to other instances, checked in this order.
	Affinity []AffinityTerm `json:"affinity,omitempty"`
	// Spread over topology domains, checked in this order.
	Spread []SpreadRule `json:"spread,omitempty"`
}

// Preference is a constraint that raises the score of a node, or lowers it with a
// negative weight. It never refuses a node.
type Preference struct {
	Constraint Constraint `json:"constraint"`
	// Weight from 1 to 100, or from -1 to -100 to avoid. A weight of w
	// outweighs w per cent of the whole scale of the strategy.
	Weight int `json:"weight"`
}

// Use begins preferences with a strategy.
func Use(strategy Strategy) Preferences { return Preferences{Strategy: strategy} }

// Require adds required constraints.
func (p Preferences) Require(constraints ...Constraint) Preferences {
	p.Required = appended(p.Required, constraints)
	return p
}

// Prefer adds a preferred constraint; a negative weight avoids.
func (p Preferences) Prefer(constraint Constraint, weight int) Preferences {
	p.Preferred = appended(p.Preferred, []Preference{{constraint, weight}})
	return p
}

// PreferScaled adds a scaled label: the nodes are preferred by the number from 0 to
// MaxScaled that their label holds; a negative weight prefers small numbers.
func (p Preferences) PreferScaled(label string, weight int) Preferences {
	p.Scaled = appended(p.Scaled, []ScaledLabel{{label, weight}})
	return p
}

// Tolerate adds tolerations.
func (p Preferences) Tolerate(tolerations ...Toleration) Preferences {
	p.Tolerations = appended(p.Tolerations, tolerations)
	return p
}

// TolerateEqual adds a toleration of taints of this key and value.
func (p Preferences) TolerateEqual(key, value string) Preferences {
	return p.Tolerate(TolerateEqual(key, value))
}

// TolerateExists adds a toleration of taints of this key; an empty key
// tolerates all taints.
func (p Preferences) TolerateExists(key string) Preferences {
	return p.Tolerate(TolerateExists(key))
}

// Near adds affinity terms, attracting or repelling.
func (p Preferences) Near(terms ...AffinityTerm) Preferences {
	p.Affinity = appended(p.Affinity, terms)
	return p
}

// Across adds spread rules.
func (p Preferences) Across(rules ...SpreadRule) Preferences {
	p.Spread = appended(p.Spread, rules)
	return p
}

// appended never writes into the array of list, which other values may share.
func appended[T any](list, more []T) []T {
	return append(slices.Clip(list), more...)
}

// Equal reports whether both hold the same rules in the same order.
func (p Preferences) Equal(other Preferences) bool {
	return p.Strategy == other.Strategy &&
		slices.EqualFunc(p.Required, other.Required, Constraint.Equal) &&
		slices.EqualFunc(p.Preferred, other.Preferred, Preference.equal) &&
		slices.Equal(p.Scaled, other.Scaled) &&
		slices.Equal(p.Tolerations, other.Tolerations) &&
		slices.EqualFunc(p.Affinity, other.Affinity, AffinityTerm.Equal) &&
		slices.EqualFunc(p.Spread, other.Spread, SpreadRule.Equal)
}

func (p Preference) equal(other Preference) bool {
	return p.Weight == other.Weight && p.Constraint.Equal(other.Constraint)
}

// Clone returns a copy that shares no slice or map with p. Empty collections
// become nil.
func (p Preferences) Clone() Preferences {
	p.Required = cloneSlice(p.Required)
	p.Preferred = cloneSlice(p.Preferred)
	p.Scaled = cloneSlice(p.Scaled)
	p.Tolerations = cloneSlice(p.Tolerations)
	p.Affinity = cloneSlice(p.Affinity)
	for i := range p.Affinity {
		p.Affinity[i].Namespaces = cloneSlice(p.Affinity[i].Namespaces)
	}
	p.Spread = cloneSlice(p.Spread)
	for i := range p.Spread {
		p.Spread[i].Targets = cloneMap(p.Spread[i].Targets)
	}
	return p
}

// Validate reports every mistake in every rule at once, and more than MaxRules
// rules or MaxEncodedBytes of JSON. It takes time in proportion to what the
// rules hold.
func (p Preferences) Validate() error {
	var found mistakes
	found.addPart(p.validateRules())
	found.checkPreferencesSize(&p)
	return found.join()
}

// validateRules is Validate without the bound of the JSON, which a request has
// as a whole.
func (p *Preferences) validateRules() error {
	var found mistakes
	found.addPart(p.Strategy.Validate())
	if rules := p.rules(); rules > MaxRules {
		found.addAmount("rules", int64(rules), tooMany(MaxRules, "rules"))
		return found.join()
	}
	for i := range p.Required {
		found.addAt("required", i, p.Required[i].Validate())
	}
	for i := range p.Preferred {
		found.addAt("preferred", i, p.Preferred[i].validate())
	}
	for i := range p.Scaled {
		found.addAt("scaled", i, p.Scaled[i].validate())
	}
	for i := range p.Tolerations {
		found.addAt("tolerations", i, p.Tolerations[i].Validate())
	}
	for i := range p.Affinity {
		found.addAt("affinity", i, p.Affinity[i].Validate())
	}
	for i := range p.Spread {
		found.addAt("spread", i, p.Spread[i].Validate())
	}
	if soft := p.softRules(); soft > MaxSoftTerms-1 {
		found.addAmount("soft", int64(soft), "more than 63 soft rules")
	}
	return found.join()
}

// listed returns how many elements the lists of rules have.
func (p *Preferences) listed() int {
	return len(p.Required) + len(p.Preferred) + len(p.Scaled) + len(p.Tolerations) + len(p.Affinity) + len(p.Spread)
}

// rules returns the number that MaxRules bounds, or some number above MaxRules.
func (p *Preferences) rules() int {
	rules := p.listed()
	if rules > MaxRules {
		return rules
	}
	for i := range p.Required {
		rules += p.Required[i].conditions() - 1
	}
	for i := range p.Preferred {
		rules += p.Preferred[i].Constraint.conditions() - 1
	}
	for i := range p.Affinity {
		rules += p.Affinity[i].Selector.selecting()
	}
	for i := range p.Spread {
		rules += p.Spread[i].Selector.selecting()
	}
	return rules
}

func (p *Preferences) softRules() int {
	soft := len(p.Preferred) + len(p.Scaled)
	for i := range p.Affinity {
		if !p.Affinity[i].Required() {
			soft++
		}
	}
	for i := range p.Spread {
		if !p.Spread[i].Hard() {
			soft++
		}
	}
	return soft
}

func (p Preference) validate() error {
	var found mistakes
	found.addWithin("constraint", p.Constraint.Validate())
	found.checkSignedWeight(p.Weight)
	return found.join()
}

// checkSignedWeight reports what cannot be the weight of a rule that may avoid.
func (m *mistakes) checkSignedWeight(weight int) {
	if weight == 0 || weight > MaxWeight || weight < -MaxWeight {
		m.addAmount("weight", int64(weight), "want 1 to 100, or -1 to -100 to avoid")
	}
}
