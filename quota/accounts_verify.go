package quota

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/rads-project/constellation/internal/skyline"
)

// Verify compares usage, and what is ahead, with the charges that exist: each by
// the namespace that is charged, in any order. It returns a DriftError for each
// difference, joined. It takes time in proportion to charges and namespaces.
func (a *Accounts) Verify(charges iter.Seq2[string, Timed]) error {
	type tally struct {
		charges   int
		own, used vector
		ahead     ahead
	}
	tallies := map[string]*tally{}
	for ns := range a.byName {
		tallies[ns] = &tally{}
	}
	var errs []error
	for ns, t := range charges {
		sum := tallies[ns]
		if sum == nil {
			errs = append(errs, &DriftError{Namespace: ns, Charged: 1})
			continue
		}
		s, err := a.timed(&t)
		if err != nil {
			return err
		}
		sum.charges++
		amounts := s.amounts[:len(a.names)]
		if s.inForce() {
			sum.own.add(amounts)
		}
		for acc := a.byName[ns]; acc != nil; acc = acc.parent {
			above := tallies[acc.name]
			if s.inForce() {
				above.used.add(amounts)
			}
			if s.bounded() {
				above.ahead.change(&s, 1)
			}
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
			if drift := acc.ahead.drift(&sum.ahead, d); drift != nil {
				drift.Namespace, drift.Resource = ns, name
				errs = append(errs, drift)
			}
		}
	}
	return errors.Join(errs...)
}

// drift compares what is ahead in one dimension with what should be.
func (h *ahead) drift(should *ahead, d int) *DriftError {
	if h == nil {
		h = &ahead{}
	}
	if h.held[d] != should.held[d] {
		return &DriftError{Used: h.held[d], Charged: should.held[d]}
	}
	for _, lines := range [][2]*skyline.Skyline{{&h.lines[d], &should.lines[d]}, {&h.reserved[d], &should.reserved[d]}} {
		if at, differs := lines[0].FirstDifference(lines[1]); differs {
			return &DriftError{At: skyline.Time(at), Used: lines[0].Peak(at, at+1), Charged: lines[1].Peak(at, at+1)}
		}
	}
	return nil
}
