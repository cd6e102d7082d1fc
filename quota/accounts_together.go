package quota

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// CheckAll returns the error of the first of several charges that Add would
// refuse if it entered them one after another, and nil if it would refuse none.
// Each comes with the namespace that it is for, and is taken to count from now on,
// forever. Nothing changes. It takes the time of as many checks.
func (a *Accounts) CheckAll(now time.Time, charges iter.Seq2[string, Timed]) error {
	t := together{accounts: a, now: now, used: map[string]*vector{}}
	for ns, charge := range charges {
		if err := t.add(ns, &charge.Amounts); err != nil {
			return err
		}
	}
	return nil
}

// together is what namespaces would use with some charges more.
type together struct {
	accounts *Accounts
	now      time.Time
	used     map[string]*vector // by namespace
	taken    dimensionSet       // custom dimensions of the charges so far
}

func (t *together) add(ns string, amounts *placement.Amounts) error {
	acc := t.accounts.find(ns)
	delta, err := t.tally(amounts)
	if err != nil {
		return err
	}
	var violations []Violation
	for ; acc != nil; acc = acc.parent {
		name := cmp.Or(acc.name, ns) // vacant has no name
		used := t.used[name]
		if used == nil {
			all := acc.total()
			used = &all
			t.used[name] = used
		}
		for d, growth := range delta {
			if growth <= math.MaxInt64-used[d] {
				used[d] += growth
				continue
			}
			m := acc.meter(d)
			m.used = used[d]
			violation := m.violation(growth, growth, forced, false)
			violation.Namespace, violation.Resource = name, t.accounts.names[d]
			violations = append(violations, violation)
		}
	}
	if len(violations) > 0 {
		slices.SortStableFunc(violations, func(x, y Violation) int { return compareNames(x.Resource, y.Resource) })
		return &ExceededError{Namespace: ns, Verdict: Verdict{Violations: violations}}
	}
	return nil
}

// tally returns amounts as a vector, in which no custom dimension has the index of
// one that only the charges before have.
func (t *together) tally(amounts *placement.Amounts) (vector, error) {
	var v vector
	named := *amounts
	named.Resources.Custom = nil
	if err := amounts.Validate(); err != nil {
		return v, err
	}
	_ = t.accounts.tally(&v, &named, 1) // it is valid
	for _, name := range slices.Sorted(maps.Keys(amounts.Resources.Custom)) {
		if amounts.Resources.Custom[name] == 0 {
			continue
		}
		d, err := t.accounts.dimension(placement.ResourceName(name), t.taken)
		if err != nil {
			return v, err
		}
		t.taken |= 1 << d
		v[d] = amounts.Resources.Custom[name]
	}
	return v, nil
}
