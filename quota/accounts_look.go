package quota

import (
	"iter"
	"maps"
)

// Account returns what Snapshot says of one namespace: no charges and nothing used
// where it has none. It takes time in proportion to the dimensions in use.
func (a *Accounts) Account(ns string) AccountState {
	acc := a.find(ns)
	return AccountState{Namespace: ns, Charges: acc.charges, Used: a.own(acc), Since: a.since(acc)}
}

// Names yields every namespace with a spec or a charge, in no order. Accounts
// may change between two of them: one that goes before its turn is then left
// out, and of those that come some are yielded.
func (a *Accounts) Names() iter.Seq[string] { return maps.Keys(a.byName) }

// Line yields a namespace and those above it, the nearest first: whatever a
// charge to it changes.
func (a *Accounts) Line(ns string) iter.Seq[string] {
	return func(yield func(string) bool) {
		above := a.find(ns).parent
		if !yield(ns) {
			return
		}
		for ; above != nil && yield(above.name); above = above.parent {
			continue
		}
	}
}
