package placement

import (
	"maps"
	"math"
	"slices"
)

// SpreadRule says how a set of instances is divided over the domains of a
// topology. Exactly one of MaxSkew, Targets and MaxPerDomain is set. Build it
// with EvenlyOver, ShareOver or AtMostPer, or as a literal.
type SpreadRule struct {
	// Topology is the node label whose values are the domains; empty makes
	// each node a domain of its own.
	Topology string `json:"topology,omitempty"`
	// Selector chooses the instances counted, by their labels, in the
	// request's namespace; zero counts those of the request's group, and is
	// invalid where that is empty.
	Selector Constraint `json:"selector,omitzero"`
	// MaxSkew is the largest difference allowed between the count of the
	// chosen domain, the new instance included, and the smallest count.
	MaxSkew int `json:"maxSkew,omitempty"`
	// MinDomains goes with a hard MaxSkew: while fewer domains exist the
	// smallest count is taken as 0. For this number alone a domain counts as well
	// of which no node is ready and uncordoned just now, so that an outage does not
	// keep the others from taking over; its count is no minimum.
	MinDomains int `json:"minDomains,omitempty"`
	// Targets is the percentage of the instances wanted in each domain. What
	// is missing to 100 is the target of each domain not named; "*" is no
	// name. Targets are always soft.
	Targets map[string]int `json:"targets,omitempty"`
	// MaxPerDomain is the largest number of the instances in one domain. It
	// is always hard.
	MaxPerDomain int `json:"maxPerDomain,omitempty"`
	// Weight 0 makes MaxSkew and MaxPerDomain hard: nodes that break them are
	// refused, and so are nodes without the label. From 1 to 100 it is the
	// weight of a soft term.
	Weight int `json:"weight,omitempty"`
}

// EvenlyOver keeps the request's group balanced over a topology: a hard rule.
func EvenlyOver(topology string, maxSkew int) SpreadRule {
	return SpreadRule{Topology: topology, MaxSkew: maxSkew}
}

// AtMostPer allows at most n instances of the request's group in a domain.
func AtMostPer(topology string, n int) SpreadRule {
	return SpreadRule{Topology: topology, MaxPerDomain: n}
}

// ShareOver wants the request's group divided by percentages: a soft rule.
func ShareOver(topology string, percent map[string]int, weight int) SpreadRule {
	return SpreadRule{Topology: topology, Targets: maps.Clone(percent), Weight: weight}
}

// Weighing returns the rule as a soft one of this weight.
func (r SpreadRule) Weighing(weight int) SpreadRule {
	r.Weight = weight
	return r
}

// Needing returns the rule with a least number of domains.
func (r SpreadRule) Needing(minDomains int) SpreadRule {
	r.MinDomains = minDomains
	return r
}

// Counting returns the rule over the instances that match the selector, in
// the request's namespace, instead of its group.
func (r SpreadRule) Counting(selector Constraint) SpreadRule {
	r.Selector = selector
	return r
}

// Hard reports whether the rule refuses nodes.
func (r SpreadRule) Hard() bool { return r.Weight == 0 }

// Target returns the percentage wanted in a domain: its own, or what the
// named ones leave to 100.
func (r SpreadRule) Target(domain string) int {
	if percent, ok := r.Targets[domain]; ok {
		return percent
	}
	rest := 100
	for _, percent := range r.Targets {
		rest -= percent
	}
	return rest
}

// Equal reports whether both rules are the same.
func (r SpreadRule) Equal(other SpreadRule) bool {
	return r.Topology == other.Topology && r.MaxSkew == other.MaxSkew && r.MinDomains == other.MinDomains &&
		r.MaxPerDomain == other.MaxPerDomain && r.Weight == other.Weight &&
		r.Selector.Equal(other.Selector) && maps.Equal(r.Targets, other.Targets)
}

// maxCount keeps sums of counts and bounds far from the end of an int64.
const maxCount = math.MaxInt32

// Validate reports every mistake in the rule.
func (r SpreadRule) Validate() error {
	var found mistakes
	if !r.Selector.IsZero() {
		found.addWithin("selector", r.Selector.Validate())
	}
	found.checkID("topology", r.Topology)
	even, shares, capped := r.MaxSkew != 0, len(r.Targets) > 0, r.MaxPerDomain != 0
	if even && (shares || capped) || shares && capped || !even && !shares && !capped {
		found.addAmount("maxSkew", int64(r.MaxSkew), "want exactly one of maxSkew, targets and maxPerDomain")
	}
	if r.MaxSkew < 0 || r.MaxSkew > maxCount {
		found.addAmount("maxSkew", int64(r.MaxSkew), "want 1 to 2147483647")
	}
	if r.MaxPerDomain < 0 || r.MaxPerDomain > maxCount {
		found.addAmount("maxPerDomain", int64(r.MaxPerDomain), "want 1 to 2147483647")
	}
	if r.MinDomains < 0 || r.MinDomains > maxCount || r.MinDomains > 0 && (!even || r.Weight != 0) {
		found.addAmount("minDomains", int64(r.MinDomains), "want 1 to 2147483647, with a hard maxSkew")
	}
	if reason := r.badWeight(); reason != "" {
		found.addAmount("weight", int64(r.Weight), reason)
	}
	if shares {
		r.checkTargets(&found)
	}
	return found.join()
}

func (r *SpreadRule) badWeight() string {
	switch {
	case r.Weight < 0 || r.Weight > MaxWeight:
		return "want 1 to 100, or 0 for a hard rule"
	case len(r.Targets) > 0 && r.Weight == 0:
		return "targets are soft and want a weight of 1 to 100"
	case r.MaxPerDomain > 0 && r.Weight != 0:
		return "maxPerDomain is hard and takes no weight"
	default:
		return ""
	}
}

// restOfDomains is how Nomad's users may write what Target does by itself. It
// would otherwise be taken for a domain and get what they meant for others.
const restOfDomains = "*"

func (r *SpreadRule) checkTargets(found *mistakes) {
	sum, valid := int64(0), true
	for domain, percent := range r.Targets {
		if percent < 0 || percent > 100 || domain == restOfDomains || badText(domain, MaxValueBytes) != "" {
			valid = false
			continue
		}
		sum += int64(percent)
	}
	if sum > 100 {
		found.addAmount("targets", sum, "more than 100 per cent in sum")
	}
	if valid {
		return
	}
	for _, domain := range slices.Sorted(maps.Keys(r.Targets)) {
		field, percent := keyed("targets", domain), r.Targets[domain]
		if percent < 0 || percent > 100 {
			found.addAmount(field, int64(percent), "want 0 to 100")
		}
		if domain == restOfDomains {
			found.addAmount(field, int64(percent), "leave it out: what is missing to 100 is for the other domains")
		}
		found.checkValue(field, domain)
	}
}
