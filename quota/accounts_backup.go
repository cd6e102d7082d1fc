package quota

import (
	"iter"
	"maps"
	"slices"

	"github.com/rads-project/constellation/internal/deadline"
)

// Backup is how Accounts were when Backup was called, as far as Keep was told of what
// changes. It costs nothing of what does not change.
type Backup struct {
	accounts Accounts // but for what is in byName
	vacant   account
	kept     map[string]keptAccount
}

// keptAccount is an account as it was; of is nil if there was none of the name.
type keptAccount struct {
	of  *account
	was account
}

// Backup begins a backup of the present. O(1).
func (a *Accounts) Backup() *Backup {
	if a.vacant == nil {
		a.init()
	}
	b := &Backup{accounts: *a, vacant: *a.vacant, kept: make(map[string]keptAccount)}
	b.accounts.names = slices.Clone(a.names)
	return b
}

// Keep keeps the account of a namespace and those above it, which a charge is about to
// change. O(levels).
func (a *Accounts) Keep(b *Backup, ns string) {
	acc := a.find(ns)
	if acc == a.vacant {
		b.keep(ns, nil)
	}
	for ; acc != nil; acc = acc.parent {
		if acc != a.vacant {
			b.keep(acc.name, acc)
		}
	}
}

// KeepAll keeps every account, since a spec is about to change, and of the namespace of
// the spec that it may have none. O(namespaces).
func (a *Accounts) KeepAll(b *Backup, ns string) {
	a.Keep(b, ns)
	for name, acc := range a.byName {
		b.keep(name, acc)
	}
}

// Namespaces yields those that were kept, in no order.
func (b *Backup) Namespaces() iter.Seq[string] { return maps.Keys(b.kept) }

// Absorb makes what changed since a later backup part of b, so that Revert brings back
// what b began with. The later one is then used up.
func (b *Backup) Absorb(later *Backup) {
	for ns, one := range later.kept {
		if _, kept := b.kept[ns]; !kept {
			b.kept[ns] = one
		}
	}
	later.kept = nil
}

func (b *Backup) keep(ns string, acc *account) {
	if _, kept := b.kept[ns]; kept {
		return
	}
	one := keptAccount{of: acc}
	if acc != nil {
		one.was = *acc
		one.was.ahead = acc.ahead.clone()
	}
	b.kept[ns] = one
}

func (h *ahead) clone() *ahead {
	if h == nil {
		return nil
	}
	copied := *h
	for d := range h.lines {
		copied.lines[d], copied.reserved[d] = h.lines[d].Clone(), h.reserved[d].Clone()
	}
	return &copied
}

// Revert brings the accounts back to what they were when the backup began, provided
// that everything that changed was kept before. The backup is then used up. It takes
// time in proportion to what was kept.
func (a *Accounts) Revert(b *Backup) {
	for ns := range b.kept {
		if acc := a.byName[ns]; acc != nil {
			a.bursting.Remove(acc)
			delete(a.byName, ns)
		}
	}
	byName, bursting := a.byName, a.bursting
	walked, visited := a.walked, a.visited
	*a = b.accounts
	a.byName, a.bursting, a.spare = byName, bursting, nil
	a.walked, a.visited = walked, visited
	*a.vacant = b.vacant
	clear(a.sets)
	for ns, one := range b.kept {
		if one.of == nil {
			continue
		}
		*one.of = one.was
		one.of.Place = deadline.Place{}
		a.byName[ns] = one.of
	}
	for _, one := range b.kept {
		if one.of != nil {
			a.timeBursts(one.of)
		}
	}
	b.kept = nil
}
