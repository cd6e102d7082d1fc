package placement

import "slices"

// AllNamespaces in AffinityTerm.Namespaces stands for every namespace.
const AllNamespaces = "*"

// AffinityTerm wants an instance near other instances, or away from them: in
// the topology domains in which matching instances run, or in those in which none
// run. Build it with Attract or Repel, or as a literal.
type AffinityTerm struct {
	// Selector chooses instances by their labels; zero chooses all.
	Selector Constraint `json:"selector,omitzero"`
	// Namespaces of the instances that the selector chooses from. None is the
	// request's own namespace; AllNamespaces alone is every one.
	Namespaces []string `json:"namespaces,omitempty"`
	// Topology is the node label whose values are the domains; empty makes
	// each node a domain of its own.
	Topology string `json:"topology,omitempty"`
	// Repel makes the term an anti-affinity: the domain must hold no match. A
	// required anti-affinity is symmetric: no match joins the domain later.
	Repel bool `json:"repel,omitempty"`
	// Weight 0 makes the term required. From 1 to 100 it is the weight of a
	// soft term; with Repel, domains with a match are avoided by that weight.
	Weight int `json:"weight,omitempty"`
}

// Attract is affinity: it wants the instance where instances that match the
// selector run.
func Attract(selector Constraint) AffinityTerm { return AffinityTerm{Selector: selector} }

// Repel is anti-affinity: it wants the instance where no instance that matches
// the selector runs.
func Repel(selector Constraint) AffinityTerm {
	return AffinityTerm{Selector: selector, Repel: true}
}

// Within returns the term over the domains of a node label.
func (t AffinityTerm) Within(topology string) AffinityTerm {
	t.Topology = topology
	return t
}

// Among returns the term over the instances of these namespaces.
func (t AffinityTerm) Among(namespaces ...string) AffinityTerm {
	t.Namespaces = slices.Clone(namespaces)
	return t
}

// Weighing returns the term as a soft one of this weight.
func (t AffinityTerm) Weighing(weight int) AffinityTerm {
	t.Weight = weight
	return t
}

// Required reports whether the term refuses nodes; otherwise it is a soft term.
func (t AffinityTerm) Required() bool { return t.Weight == 0 }

// Matches reports whether the term of a request in the namespace own selects
// an instance of the given namespace and labels.
func (t AffinityTerm) Matches(own, namespace string, labels map[string]string) bool {
	switch {
	case len(t.Namespaces) == 0:
		if namespace != own {
			return false
		}
	case !slices.Contains(t.Namespaces, namespace) && !slices.Contains(t.Namespaces, AllNamespaces):
		return false
	}
	return t.Selector.Match(labels)
}

// Equal reports whether both terms are the same.
func (t AffinityTerm) Equal(other AffinityTerm) bool {
	return t.Topology == other.Topology && t.Repel == other.Repel && t.Weight == other.Weight &&
		t.Selector.Equal(other.Selector) && slices.Equal(t.Namespaces, other.Namespaces)
}

// Validate reports every mistake in the term.
func (t AffinityTerm) Validate() error {
	var found mistakes
	if !t.Selector.IsZero() {
		found.addWithin("selector", t.Selector.Validate())
	}
	for i, namespace := range t.Namespaces {
		reason := badText(namespace, MaxIDBytes)
		if namespace == AllNamespaces && len(t.Namespaces) > 1 {
			reason = "stands alone"
		}
		if reason != "" {
			found.addAt("namespaces", i, invalid("", namespace, reason))
		}
	}
	found.checkID("topology", t.Topology)
	if t.Weight < 0 || t.Weight > MaxWeight {
		found.addAmount("weight", int64(t.Weight), "want 1 to 100, or 0 for a required term")
	}
	return found.join()
}
