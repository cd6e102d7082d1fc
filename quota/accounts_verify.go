package quota

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Verify compares usage with the charges that exist: each by the namespace that
// is charged and its amounts, in any order. It returns a DriftError for each
// difference, joined. It takes time in proportion to charges and namespaces.
func (a *Accounts) Verify(charges iter.Seq2[string, placement.Amounts]) error {
	type tally struct {
		charges   int
		own, used vector
	}
	tallies := map[string]*tally{}
	for ns := range a.byName {
		tallies[ns] = &tally{}
	}
	var errs []error
	for ns, amounts := range charges {
		sum := tallies[ns]
		if sum == nil {
			errs = append(errs, &DriftError{Namespace: ns, Charged: 1})
			continue
		}
		var delta vector
		if err := a.tally(&delta, &amounts, 1); err != nil {
			return err
		}
		sum.charges++
		sum.own.add(&delta)
		for acc := a.byName[ns]; acc != nil; acc = acc.parent {
			tallies[acc.name].used.add(&delta)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(a.byName)) {
		acc, sum := a.byName[ns], tallies[ns]
		if acc.charges != sum.charges {
			errs = append(errs, &DriftError{Namespace: ns, Used: int64(acc.charges), Charged: int64(sum.charges)})
		}
		for d, name := range a.names {
			if acc.used(d) != sum.used[d] || acc.own[d] != sum.own[d] {
				errs = append(errs, &DriftError{Namespace: ns, Resource: name, Used: acc.used(d), Charged: sum.used[d]})
			}
		}
	}
	return errors.Join(errs...)
}
