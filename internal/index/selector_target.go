package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// selectorTarget says which instances a counter counts.
type selectorTarget struct {
	kind       targetKind
	namespaces []string // sorted; placement.AllNamespaces alone for all
	group      string
	selector   placement.Constraint
}

type targetKind uint8

const (
	// ofGroup counts the instances of a group of one namespace.
	ofGroup targetKind = iota
	// ofSelector counts the instances of the namespaces that it selects.
	ofSelector
	// ofRepelled counts the instances that a required anti-affinity keeps away
	// from: those that it selects, also while they leave.
	ofRepelled
	// ofHolders counts the instances that have the selector as a required
	// anti-affinity: they keep out what it selects.
	ofHolders
)

// covers reports whether instances of the class are counted, or for holders
// whether they are kept out.
func (s selectorTarget) covers(c *Class) bool {
	if s.kind == ofGroup {
		return c.request.Namespace == s.namespaces[0] && c.request.Group == s.group
	}
	if s.namespaces[0] != placement.AllNamespaces && !slices.Contains(s.namespaces, c.request.Namespace) {
		return false
	}
	return s.selector.Match(c.request.Labels)
}

// countsLeaving reports whether instances that are being stopped are counted: they
// are still there for required anti-affinity, of theirs and of others, and for
// nothing else.
func (s selectorTarget) countsLeaving() bool { return s.kind == ofRepelled || s.kind == ofHolders }

// pair is a label or a group of a namespace.
type pair [2]string

// pair returns the group that is counted.
func (s selectorTarget) pair() pair { return pair{s.namespaces[0], s.group} }

// affinityTarget returns what an affinity term of the class looks at.
func (c *Class) affinityTarget(term placement.AffinityTerm, kind targetKind) selectorTarget {
	namespaces := slices.Sorted(slices.Values(term.Namespaces))
	if len(namespaces) == 0 {
		namespaces = []string{c.request.Namespace}
	}
	return selectorTarget{kind: kind, namespaces: slices.Compact(namespaces), selector: term.Selector}
}

// spreadTarget returns what a spread rule of the class counts.
func (c *Class) spreadTarget(selector placement.Constraint) selectorTarget {
	if selector.IsZero() {
		return selectorTarget{kind: ofGroup, namespaces: []string{c.request.Namespace}, group: c.request.Group}
	}
	return selectorTarget{kind: ofSelector, namespaces: []string{c.request.Namespace}, selector: selector}
}
