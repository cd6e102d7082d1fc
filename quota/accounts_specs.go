package quota

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Create declares the quota of a namespace. What the namespace was charged before
// counts against it from now on; Create returns what is now over its limit. It is
// idempotent: the same spec again changes nothing.
//
// It fails with ErrInvalid for a spec that is wrong in itself, a second default,
// a parent cycle, too many levels, or usage of the parent that would not fit an
// int64; with ErrNotFound for a parent without a spec; and with ErrConflict if
// the namespace has another spec. Failure changes nothing.
//
// It takes time in proportion to the limits of the spec and to levels times
// dimensions. A default concerns all namespaces without a spec, and takes time in
// proportion to the number of namespaces as well.
func (a *Accounts) Create(now time.Time, spec Spec) ([]Usage, error) {
	acc, l, err := a.creates(&spec)
	if err != nil || l == nil {
		return nil, err
	}
	return a.declare(now, a.open(spec.Namespace, acc), &spec, l), nil
}

// CheckCreate returns the error that Create would, and changes nothing.
func (a *Accounts) CheckCreate(spec Spec) error {
	_, _, err := a.creates(&spec)
	return err
}

// creates returns what find finds, and the limits; nil if the spec is the one
// that is in force.
func (a *Accounts) creates(spec *Spec) (*account, *limits, error) {
	if err := spec.Validate(); err != nil {
		return nil, nil, err
	}
	acc := a.find(spec.Namespace)
	if acc.spec == nil {
		return a.admit(acc, spec)
	}
	if acc.spec.Equal(*spec) {
		return acc, nil, nil
	}
	return nil, nil, placement.Conflict(placement.KindQuota, spec.Namespace, "exists with another spec")
}

// Update replaces the spec of a namespace. It returns what is now over its limit
// in the namespace, in its ancestors and, for a default, in the namespaces that
// the default is for. A limit may be lowered below usage: nothing is evicted, and
// usage cannot grow in that dimension until it fits. A change of parent moves the
// usage along.
//
// It fails as Create does, and with ErrNotFound for a namespace without a spec.
// Failure changes nothing.
//
// It takes the time of Create. A change of the parent of a namespace that has
// children itself takes time in proportion to the number of namespaces, to count
// the levels below it.
func (a *Accounts) Update(now time.Time, spec Spec) ([]Usage, error) {
	acc, l, err := a.updates(&spec)
	if err != nil {
		return nil, err
	}
	return a.declare(now, acc, &spec, l), nil
}

// CheckUpdate returns the error that Update would, and changes nothing.
func (a *Accounts) CheckUpdate(spec Spec) error {
	_, _, err := a.updates(&spec)
	return err
}

func (a *Accounts) updates(spec *Spec) (*account, *limits, error) {
	if err := spec.Validate(); err != nil {
		return nil, nil, err
	}
	acc := a.find(spec.Namespace)
	if acc.spec == nil {
		return nil, nil, placement.NotFound(placement.KindQuota, spec.Namespace)
	}
	return a.admit(acc, spec)
}

// Delete withdraws the spec of a namespace. It fails with ErrNotFound if there is
// no spec, and with ErrInUse in three cases: the namespace is charged; other specs
// name it as their parent; or it is the default, and a namespace without a spec
// is charged. Failure changes nothing.
//
// It takes time in proportion to the number of namespaces for a default and for a
// parent in use. Otherwise it takes constant time.
func (a *Accounts) Delete(ns string) error {
	if err := a.CheckDelete(ns); err != nil {
		return err
	}
	acc := a.byName[ns]
	if acc == a.fallback {
		a.fallback = nil
		free := unlimited()
		a.attach(time.Time{}, a.vacant, &free, nil)
	}
	a.bursts -= acc.spec.bursts()
	a.countLimited(&acc.limits, -1)
	if acc.parent != nil {
		acc.parent.children--
	}
	acc.spec = nil
	a.close(acc)
	return nil
}

// CheckDelete returns the error that Delete would, and changes nothing.
func (a *Accounts) CheckDelete(ns string) error {
	acc := a.find(ns)
	if acc.spec == nil {
		return placement.NotFound(placement.KindQuota, ns)
	}
	return a.inUse(acc)
}

func (a *Accounts) inUse(acc *account) error {
	fault := &InUseError{Namespace: acc.name}
	switch {
	case acc.charges > 0:
		fault.By, fault.Count = ByCharges, acc.charges
		return fault
	case acc.children > 0:
		fault.By = ByChildren
		fault.name(a.where(func(other *account) bool { return other.spec != nil && other.parent == acc }))
		return fault
	case acc == a.fallback:
		fault.By = ByDefaulted
		fault.name(a.where(func(other *account) bool { return other.spec == nil }))
		if fault.Count > 0 {
			return fault
		}
	}
	return nil
}

// where returns the names of the accounts that pred holds for, in order.
func (a *Accounts) where(pred func(*account) bool) []string {
	var names []string
	for acc := range a.walk() {
		if pred(acc) {
			names = append(names, acc.name)
		}
	}
	slices.Sort(names)
	return names
}

// name counts users and keeps the first three.
func (e *InUseError) name(users []string) {
	e.Count, e.IDs = len(users), users[:min(3, len(users))]
}

// Spec returns a copy of the spec of a namespace, and false if it has none.
func (a *Accounts) Spec(ns string) (Spec, bool) {
	acc := a.find(ns)
	if acc.spec == nil {
		return Spec{}, false
	}
	return acc.spec.Clone(), true
}

// Specs yields copies of all specs in the order of their namespaces. It sorts
// all namespaces before it yields the first.
func (a *Accounts) Specs() iter.Seq[Spec] {
	return func(yield func(Spec) bool) {
		for _, ns := range slices.Sorted(maps.Keys(a.byName)) {
			if spec, ok := a.Spec(ns); ok && !yield(spec) {
				return
			}
		}
	}
}

// admit checks a valid spec for acc against the others, makes it independent of
// the caller and returns acc with the limits.
func (a *Accounts) admit(acc *account, spec *Spec) (*account, *limits, error) {
	*spec = spec.Clone()
	if err := a.admitParent(acc, spec); err != nil {
		return nil, nil, err
	}
	if other := a.fallback; spec.Default && other != nil && other.name != spec.Namespace {
		return nil, nil, invalid("default", "true", "namespace "+strconv.Quote(other.name)+" is the default already")
	}
	l := unlimited()
	l.reservable = spec.Reservations
	var taken dimensionSet
	for _, name := range slices.Sorted(maps.Keys(spec.Limits)) {
		d, err := a.dimension(name, taken)
		if err != nil {
			return nil, nil, err
		}
		taken |= 1 << d
		l.set(d, spec.Limits[name])
	}
	return acc, &l, nil
}

// admitParent checks that the tree stays one, not too deep, and that its sums
// stay countable.
func (a *Accounts) admitParent(acc *account, spec *Spec) error {
	if spec.Parent == "" {
		return nil
	}
	parent := a.byName[spec.Parent]
	if parent == nil || parent.spec == nil {
		return placement.NotFound(placement.KindQuota, spec.Parent)
	}
	switch {
	case parent.within(acc):
		return invalid("parent", spec.Parent, "it is below "+strconv.Quote(spec.Namespace)+": parents form a cycle")
	case acc.parent != parent && parent.depth()+a.height(acc) > MaxLevels:
		return invalid("parent", spec.Parent, "more than "+strconv.Itoa(MaxLevels)+" levels")
	case !a.countable(acc, parent, spec.Default):
		return invalid("parent", spec.Parent, "usage would not fit an int64")
	}
	return nil
}

// height counts the levels from acc down to its deepest descendant.
func (a *Accounts) height(acc *account) int {
	height := 1
	if acc.children == 0 {
		return height
	}
	for other := range a.walk() {
		if other.within(acc) {
			height = max(height, other.depth()-acc.depth()+1)
		}
	}
	return height
}

// countable reports whether usage still fits an int64 at every level once acc
// counts for parent, and for a default all namespaces without a spec do. What
// an ancestor counts already moves within it.
func (a *Accounts) countable(acc, parent *account, fallback bool) bool {
	var undeclared vector
	if fallback {
		for other := range a.walk() {
			if other.spec == nil && other != acc && !undeclared.grow(other.total()) {
				return false
			}
		}
	}
	for ; parent != nil; parent = parent.parent {
		sum := parent.total()
		if !acc.parent.within(parent) && !sum.grow(acc.total()) ||
			!a.vacant.parent.within(parent) && !sum.grow(undeclared) {
			return false
		}
	}
	return true
}

// declare puts an admitted spec in force and returns what is over.
func (a *Accounts) declare(now time.Time, acc *account, spec *Spec, l *limits) []Usage {
	var parent *account
	if spec.Parent != "" {
		parent = a.byName[spec.Parent]
		parent.children++
	}
	if acc.spec != nil && acc.parent != nil {
		acc.parent.children--
	}
	a.bursts += spec.bursts() - acc.spec.bursts()
	if acc.spec != nil {
		a.countLimited(&acc.limits, -1)
	}
	a.countLimited(l, 1)
	acc.spec = spec
	a.attach(now, acc, l, parent)
	if !spec.Default && acc != a.fallback {
		return a.overAbove(now, acc)
	}
	a.declareDefault(now, acc, l)
	rows := a.overAbove(now, acc)
	for other := range a.walk() {
		if other.spec == nil {
			rows = a.over(rows, now, other)
		}
	}
	sortUsage(rows)
	return rows
}

// declareDefault gives every namespace without a spec the limits and the
// parent of acc, or none if acc is the default no longer.
func (a *Accounts) declareDefault(now time.Time, acc *account, l *limits) {
	parent := acc.parent
	a.fallback = acc
	if !acc.spec.Default {
		free := unlimited()
		a.fallback, l, parent = nil, &free, nil
	}
	a.attach(now, a.vacant, l, parent)
	for other := range a.walk() {
		if other.spec == nil {
			a.attach(now, other, l, parent)
		}
	}
}
