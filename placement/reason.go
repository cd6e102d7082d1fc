package placement

import (
	"cmp"
	"slices"
)

// To add a kind of rule that refuses nodes:
//
//   - here, its ReasonKind in its place in the filter order, and its name;
//   - the field of Request or Preferences that asks for it, with Equal, Clone and
//     Validate, and limits.go, which bounds its length; internal/index/rules.go and
//     scheduler/wire_placement.go with FORMAT.md write the field. A test fails for each
//     of these that is forgotten;
//   - internal/index/filter.go: a rule with mark and fails, and its place in
//     Index.filters, from which refusals, verdicts and surveys come; curable in
//     survey.go says what would help;
//   - internal/index/probe.go: fits is the fast path, which asks the same of one node.
//     The table above it has every way to ask, each of which is to know the rule or
//     to leave it out on purpose; FitsWithout is in overlay.go, which also takes what
//     goes with an instance out of account. The random histories of the package hold
//     all of them to the oracle of its tests;
//   - scheduler/unschedulable.go: the words of predicate; explain_cause.go and
//     explain_text.go, if there is more to say of it on one node;
//   - reservation/book_nodes.go: meets, for books without a scheduler;
//   - TestEveryFilterFailsInItsOrder of package scheduler fails until the kind is
//     failed, counted, told and cured there.

// ReasonKind is the sort of rule that refuses a node. The kinds stand in
// filter order: a node is counted under the first rule that it fails.
type ReasonKind uint8

// The kinds of reasons.
const (
	// ReasonState is a node that takes no work at all: it is cordoned, lost, closed for
	// maintenance, or has not reported yet what runs on it.
	ReasonState ReasonKind = iota + 1
	// ReasonTaint is a taint that the request does not tolerate.
	ReasonTaint
	// ReasonConstraint is a required constraint on node labels.
	ReasonConstraint
	// ReasonInstances is Node.MaxInstances.
	ReasonInstances
	// ReasonPort is a port that an instance on the node has or that the node
	// reserves, or too few dynamic ones.
	ReasonPort
	// ReasonResource is a dimension of which too little is free.
	ReasonResource
	// ReasonAffinity is a required affinity without a match in the domain.
	ReasonAffinity
	// ReasonAntiAffinity is a required anti-affinity, of the request or of an
	// instance that runs in the domain.
	ReasonAntiAffinity
	// ReasonSpread is a hard spread rule.
	ReasonSpread
	// ReasonHold is capacity that is free but held by reservations.
	ReasonHold
)

func reasonNames() []string {
	return []string{
		"none", "state", "taint", "constraint", "instances", "port", "resource", "affinity", "anti-affinity",
		"spread", "hold",
	}
}

// String returns the kind's name in lower case.
func (k ReasonKind) String() string {
	names := reasonNames()
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// MarshalText returns the kind's name.
func (k ReasonKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the kind's name.
func (k *ReasonKind) UnmarshalText(text []byte) error {
	i := slices.Index(reasonNames(), string(text))
	if i < 0 {
		return invalid("kind", string(text), "unknown")
	}
	*k = ReasonKind(i)
	return nil
}

// Overused is the Detail of ReasonResource for a dimension that the request does
// not ask for: more of it is used on the node than there is, so that nothing new
// is placed there.
const Overused = "overused"

// Reason is one rule that refuses a node. It is comparable; two nodes that
// fail the same rule have equal reasons.
type Reason struct {
	Kind ReasonKind `json:"kind"`
	// Index is the rule's place in Preferences.Required, Affinity or Spread.
	// It is -1 for the anti-affinity of an instance that runs already, and for a
	// port that the node reserves.
	Index int `json:"index,omitempty"`
	// Name is the dimension of ReasonResource and ReasonHold.
	Name ResourceName `json:"name,omitempty"`
	// Detail is the rule as text: the node's state, the taint, the
	// constraint, the port or "dynamic", or the topology of the term or rule. Of
	// ReasonResource it is Overused or empty.
	Detail string `json:"detail,omitempty"`
	// Value of a label that the constraint cannot read, as Node.Unreadable says;
	// empty if it has read all.
	Value string `json:"value,omitempty"`
}

// CompareReasons orders reasons as the filters run: by kind, then by the
// rule's place or the dimension, then by detail and value.
func CompareReasons(a, b Reason) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Index, b.Index),
		CompareNames(a.Name, b.Name),
		cmp.Compare(a.Detail, b.Detail),
		cmp.Compare(a.Value, b.Value))
}
