package quota

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// A call of Accounts goes through these methods in this order:
//
//	find            the account of a namespace, or vacant
//	tally, step     amounts as a vector: of one charge, of a change
//	simple          no limit is near: nothing more to ask
//	checkLevels     asks the account and its ancestors, checkLevel each
//	open            makes an account of vacant
//	apply           changes own sums, and usage by shift at every level
//	compare         what is above Soft since when, and the bursts with it
//	close           drops an account that nothing needs
//
// A spec goes through admit, which checks, declare, which puts it in force, and
// attach, which moves an account to its limits and parent.

// Accounts are a tree of specs and the usage of each namespace, without a lock
// and a clock. They keep sums and not single charges: the caller keeps the
// namespace and the amounts of each charge, and gives back exactly these.
// Ledger does that by ID.
//
// The zero value has no specs and is ready to use. Accounts are not safe for
// concurrent use and must not be copied. Every method that charges takes the
// time; a time that runs backwards only makes bursts end later.
//
// Charging, checking and giving back take time in proportion to levels times
// dimensions in use, at most 8 × 38, however many namespaces there are. They
// allocate only for a refusal, a new namespace and a new custom dimension.
type Accounts struct {
	// RequireQuota refuses charges to a namespace that has no spec while there
	// is no default. It is asked of the charged namespace, not of ancestors.
	RequireQuota bool

	// byName has every namespace with a spec or a charge.
	byName map[string]*account
	// vacant is the shared placeholder for a namespace without spec or charges.
	// It has no name, is charged nothing, and changes only with the default.
	vacant *account
	// fallback is the account whose spec is the default, or nil.
	fallback *account
	// names of the dimensions by index.
	names []placement.ResourceName
	// users counts, for each custom dimension, the specs that limit it and the
	// accounts that are charged some of it.
	users [maxDimensions]int
	// sets are the names in those sets of dimensions that ever burst together.
	sets map[dimensionSet]*detail
	// bursting are the accounts with a burst whose end has not been reported,
	// each once, by the earliest end of its dimensions.
	bursting deadline.Heap[*account]
	// bursts counts the limits, in all specs, that admit a burst.
	bursts int
	// spare is an account to reuse, so that a namespace without a spec whose
	// only charge comes and goes costs no garbage.
	spare *account
	// walked counts the accounts that walk has yielded, for tests, and visited, if
	// not nil, the steps of what is ahead that were looked at.
	walked  int
	visited *int
}

// init makes the zero value usable.
func (a *Accounts) init() {
	a.byName = map[string]*account{}
	a.vacant = &account{limits: unlimited(), room: unlimited().soft}
	a.names = namedDimensions()
	a.sets = map[dimensionSet]*detail{}
}

// find returns the account of a namespace, or vacant if it has none.
func (a *Accounts) find(ns string) *account {
	if acc := a.byName[ns]; acc != nil {
		return acc
	}
	if a.vacant == nil {
		a.init()
	}
	return a.vacant
}

// open returns acc, which find has found for a namespace, or a new account of
// the namespace if that is vacant.
func (a *Accounts) open(ns string, acc *account) *account {
	if acc != a.vacant {
		return acc
	}
	if acc, a.spare = a.spare, nil; acc == nil {
		acc = &account{}
	}
	*acc = *a.vacant
	acc.name = ns
	a.byName[ns] = acc
	return acc
}

// close drops an account that nothing needs.
func (a *Accounts) close(acc *account) {
	if acc.spec == nil && acc.charges == 0 {
		delete(a.byName, acc.name)
		acc.held, acc.timed = nil, nil // may have been large
		a.spare = acc
	}
}

// walk yields every account, in no order. What a charge needs must not walk:
// there may be very many namespaces.
func (a *Accounts) walk() iter.Seq[*account] {
	return func(yield func(*account) bool) {
		for _, acc := range a.byName {
			a.walked++
			if !yield(acc) {
				return
			}
		}
	}
}

// Check returns the verdict that Charge would, and changes nothing. An error is
// invalid input (ErrInvalid); a refusal is in the verdict.
func (a *Accounts) Check(now time.Time, ns string, amounts placement.Amounts, mode Mode) (Verdict, error) {
	acc, g := a.find(ns), growth{ns: ns}
	if err := a.tally(&g.delta, &amounts, 1); err != nil {
		return Verdict{}, err
	}
	return a.check(now, acc, &g, &amounts, mode), nil
}

// CheckResize returns whether a charge may change from one amount to another,
// and changes nothing. Only dimensions that grow have to fit; shrinking is always
// allowed. An error is invalid input (ErrInvalid); a refusal is in the verdict.
func (a *Accounts) CheckResize(now time.Time, ns string, from, to placement.Amounts, mode Mode) (Verdict, error) {
	acc, g := a.find(ns), growth{ns: ns}
	if err := a.step(&g.delta, &from, &to); err != nil {
		return Verdict{}, err
	}
	return a.check(now, acc, &g, &to, mode), nil
}

// Charge checks and charges in one step: in all dimensions and at all levels, or
// not at all. A refusal is an ExceededError, with the verdict returned as well.
func (a *Accounts) Charge(now time.Time, ns string, amounts placement.Amounts, mode Mode) (Verdict, error) {
	acc, g := a.find(ns), growth{ns: ns}
	if err := a.tally(&g.delta, &amounts, 1); err != nil {
		return Verdict{}, err
	}
	verdict := a.check(now, acc, &g, &amounts, mode)
	if !verdict.Allowed() {
		return verdict, &ExceededError{Namespace: ns, Verdict: verdict}
	}
	acc = a.open(ns, acc)
	a.apply(now, acc, &g.delta)
	acc.charges++
	return verdict, nil
}

// Add charges without checking limits and returns every dimension of the
// namespace and its ancestors that is now over its limit. It is for a charge that
// exists already: it was checked before, or comes from elsewhere. It fails for
// invalid input (ErrInvalid), and if usage would not fit an int64 (ErrExceeded).
func (a *Accounts) Add(now time.Time, ns string, amounts placement.Amounts) ([]Usage, error) {
	return a.force(now, ns, &placement.Amounts{}, &amounts, 1)
}

// Replace changes a charge from one amount to another without checking limits,
// and returns what is now over its limit. It fails as Add and Remove do.
func (a *Accounts) Replace(now time.Time, ns string, from, to placement.Amounts) ([]Usage, error) {
	return a.force(now, ns, &from, &to, 0)
}

// Remove gives back a charge. It fails with ErrNotCharged, and changes
// nothing, if the namespace is not charged that much.
func (a *Accounts) Remove(ns string, amounts placement.Amounts) error {
	// Giving back starts no burst, so that the time does not matter.
	_, err := a.force(time.Time{}, ns, &amounts, &placement.Amounts{}, -1)
	return err
}

func (a *Accounts) force(now time.Time, ns string, from, to *placement.Amounts, charges int) ([]Usage, error) {
	acc, g := a.find(ns), growth{ns: ns}
	if err := a.step(&g.delta, from, to); err != nil {
		return nil, err
	}
	if charges <= 0 && !a.covered(acc, from, charges < 0) {
		return nil, &NotChargedError{Namespace: ns}
	}
	if charges >= 0 { // else nothing grows
		if verdict := a.check(now, acc, &g, to, forced); !verdict.Allowed() {
			return nil, &ExceededError{Namespace: ns, Verdict: verdict}
		}
	}
	acc = a.open(ns, acc)
	a.apply(now, acc, &g.delta)
	acc.charges += charges
	over := a.overAbove(now, acc)
	a.close(acc)
	return over, nil
}

// covered reports whether acc holds what is given back, which was tallied before.
func (a *Accounts) covered(acc *account, from *placement.Amounts, goes bool) bool {
	var was vector
	_ = a.tally(&was, from, 1)
	return acc.covers(was[:len(a.names)], goes)
}

// check asks acc, which find has found, and all above it. g is the growth on
// the way to the amounts in to.
func (a *Accounts) check(now time.Time, acc *account, g *growth, to *placement.Amounts, mode Mode) Verdict {
	if a.simple(acc, &g.delta) {
		return Verdict{}
	}
	c := timedGrowth{growth: *g}
	_ = a.tally(&c.target, to, 1) // it was for the growth
	return a.checkLevels(now, acc, &c, mode)
}

// checkLevels is the one place where limits decide.
func (a *Accounts) checkLevels(now time.Time, acc *account, g *timedGrowth, mode Mode) Verdict {
	if a.RequireQuota && mode != forced && acc.spec == nil && a.fallback == nil && g.grows() {
		return Verdict{Violations: []Violation{{Namespace: g.ns, Reason: Undeclared}}}
	}
	var violations []Violation
	var bursting dimensionSet
	for acc := acc; acc != nil; acc = acc.parent {
		refused, above := a.checkLevel(now, acc, g, mode)
		violations = append(violations, refused...)
		bursting |= above
	}
	if len(violations) > 0 {
		slices.SortStableFunc(violations, func(x, y Violation) int {
			return compareNames(x.Resource, y.Resource)
		})
		return refused(violations, a.earliest(now, acc, g, violations, mode))
	}
	if bursting == 0 {
		return Verdict{}
	}
	return Verdict{detail: a.burstingIn(bursting)}
}

// apply changes what is charged to acc, and with it the usage of all above.
func (a *Accounts) apply(now time.Time, acc *account, delta *vector) {
	a.countCharged(acc, -1)
	for d, growth := range delta[:len(a.names)] {
		acc.own[d] += growth
	}
	a.countCharged(acc, 1)
	for ; acc != nil; acc = acc.parent {
		a.shift(now, acc, delta, len(a.names))
	}
}

// Usage returns what a namespace uses at that time: a row for each dimension that
// is used or limited, in the order of placement.Amounts.All. The limits of a namespace
// without a spec are those of the default. It takes time in proportion to the
// dimensions in use.
func (a *Accounts) Usage(now time.Time, ns string) []Usage {
	acc := a.find(ns)
	var rows []Usage
	for d := range a.names {
		if m := acc.meter(d); m.used > 0 || m.limited() {
			row := a.usage(now, acc, d)
			row.Namespace = ns // vacant has no name
			rows = append(rows, row)
		}
	}
	sortUsage(rows)
	return rows
}

func (a *Accounts) usage(now time.Time, acc *account, d int) Usage {
	m := acc.meter(d)
	row := Usage{
		Namespace: acc.name,
		Resource:  a.names[d],
		Used:      m.used,
		Soft:      m.soft,
		Ceiling:   m.ceiling,
		Since:     m.since,
		Expired:   m.expired(now),
	}
	if m.timed() {
		row.BurstEnd = m.end()
	}
	return row
}

// over appends what acc uses too much of.
func (a *Accounts) over(rows []Usage, now time.Time, acc *account) []Usage {
	if acc.above == 0 {
		return rows
	}
	for d := range a.names {
		if m := acc.meter(d); m.over(now) {
			rows = append(rows, a.usage(now, acc, d))
		}
	}
	return rows
}

// overAbove returns what acc and its ancestors use too much of.
func (a *Accounts) overAbove(now time.Time, acc *account) []Usage {
	var rows []Usage
	for ; acc != nil; acc = acc.parent {
		rows = a.over(rows, now, acc)
	}
	if len(rows) > 0 {
		sortUsage(rows)
	}
	return rows
}

func sortUsage(rows []Usage) {
	slices.SortFunc(rows, func(x, y Usage) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), compareNames(x.Resource, y.Resource))
	})
}

// Namespaces yields the name of every namespace with a spec or a charge, in
// order. It sorts all of them before it yields the first.
func (a *Accounts) Namespaces() iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(a.byName)))
}
