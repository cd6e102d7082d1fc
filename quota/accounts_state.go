package quota

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/rads-project/constellation/placement"
)

// AccountsSnapshot is a copy of Accounts as plain data. The same charges and specs
// give the same snapshot, and the same JSON. What is ahead is not in it: Restore
// gets that from the charges.
type AccountsSnapshot struct {
	// Specs by namespace.
	Specs []Spec `json:"specs,omitempty"`
	// Accounts by namespace: those that are charged and those above Soft.
	Accounts []AccountState `json:"accounts,omitempty"`
}

// AccountState is what a namespace uses.
type AccountState struct {
	// Namespace that uses it.
	Namespace string `json:"namespace"`
	// Charges counts the charges to the namespace itself, those to come included.
	Charges int `json:"charges,omitempty"`
	// Used is the sum of those of them that count already.
	Used placement.Amounts `json:"used,omitzero"`
	// Since is when usage, descendants included, rose above Soft, for each
	// dimension in which it is above.
	Since map[placement.ResourceName]time.Time `json:"since,omitempty"`
}

// Snapshot returns a snapshot that shares nothing with the accounts. RequireQuota is
// configuration and not part of it. It takes time and memory in proportion to
// the namespaces and their limits, and not to charges.
func (a *Accounts) Snapshot() AccountsSnapshot {
	state := AccountsSnapshot{Specs: slices.Collect(a.Specs())}
	for ns := range a.Namespaces() {
		if one := a.Account(ns); one.Charges > 0 || one.Since != nil {
			state.Accounts = append(state.Accounts, one)
		}
	}
	return state
}

// own returns the sum of the charges to acc itself.
func (a *Accounts) own(acc *account) placement.Amounts {
	var sum placement.Amounts
	for d, name := range a.names {
		own := acc.own[d]
		switch {
		case name == placement.NameInstances:
			sum.Instances = own
		case own > 0:
			sum.Resources = sum.Resources.With(name, own)
		}
	}
	return sum
}

// since returns since when acc is above Soft, as wall clock time in UTC.
func (a *Accounts) since(acc *account) map[placement.ResourceName]time.Time {
	var since map[placement.ResourceName]time.Time
	for d, name := range a.names {
		if acc.above.has(d) {
			if since == nil {
				since = map[placement.ResourceName]time.Time{}
			}
			since[name] = acc.since[d].Round(0).UTC()
		}
	}
	return since
}

// Restore replaces the specs and the usage by those of a snapshot, and enters what
// is ahead: of the charges, each by its namespace, those that begin or end at a
// known time or are Reserved; nil is none. It fails with ErrInvalid, and changes
// nothing, if the state contradicts itself. It takes time in proportion to the
// state and the charges.
func (a *Accounts) Restore(state AccountsSnapshot, charges iter.Seq2[string, Timed]) error {
	restored := Accounts{RequireQuota: a.RequireQuota}
	restored.init()
	if err := restored.createAll(time.Time{}, state.Specs); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var errs []error
	for i, one := range state.Accounts {
		if i > 0 && one.Namespace <= state.Accounts[i-1].Namespace {
			errs = append(errs, invalid("accounts", one.Namespace, "not in the order of namespaces"))
			continue
		}
		errs = append(errs, restored.restore(one))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := restored.restoreSince(state.Accounts); err != nil {
		return err
	}
	if charges != nil {
		for ns, t := range charges {
			if err := restored.restoreAhead(ns, &t); err != nil {
				return invalid("accounts."+ns, t.Amounts.String(), err.Error())
			}
		}
	}
	*a = restored
	return nil
}

// restoreAhead enters what is ahead of a charge that is counted already.
func (a *Accounts) restoreAhead(ns string, t *Timed) error {
	if !t.bounded() { // so that nothing of it is ahead
		return t.Amounts.Validate()
	}
	acc, g := a.find(ns), timedGrowth{growth: growth{ns: ns}}
	s, err := a.timed(t)
	if err != nil || !s.bounded() {
		return err
	}
	if acc == a.vacant || s.inForce() && !acc.covers(s.amounts[:], false) {
		return &NotChargedError{Namespace: ns}
	}
	if !s.inForce() {
		g.parts = []part{{s, acc, 1}}
		if verdict := a.checkLevels(time.Time{}, acc, &g, forced); !verdict.Allowed() {
			return &ExceededError{Namespace: ns, Verdict: verdict}
		}
	}
	a.look(acc, &s, 1)
	return nil
}

func (a *Accounts) restore(one AccountState) error {
	if one.Charges < 0 || one.Charges == 0 && !one.Used.IsZero() {
		return invalid("accounts."+one.Namespace+".charges", strconv.Itoa(one.Charges), "used amounts come from charges")
	}
	if one.Charges == 0 {
		return nil
	}
	if _, err := a.Add(time.Time{}, one.Namespace, one.Used); err != nil {
		return invalid("accounts."+one.Namespace+".used", one.Used.String(), err.Error())
	}
	a.byName[one.Namespace].charges = one.Charges
	return nil
}

// restoreSince sets since when accounts are above Soft, which has to be given
// for exactly those dimensions in which they are.
func (a *Accounts) restoreSince(states []AccountState) error {
	var errs []error
	given := map[string]map[placement.ResourceName]time.Time{}
	for _, one := range states {
		given[one.Namespace] = one.Since
		if a.byName[one.Namespace] == nil {
			errs = append(errs, invalid("accounts", one.Namespace, "neither spec nor charge"))
		}
	}
	for ns := range a.Namespaces() {
		acc := a.byName[ns]
		times, known := given[ns], 0
		for d, name := range a.names {
			at, ok := times[name]
			if ok {
				known++
			}
			if acc.above.has(d) != ok {
				errs = append(errs, invalid("accounts."+ns+".since", string(name), "want the time for each dimension above Soft, and no other"))
				continue
			}
			acc.since[d] = at
		}
		a.timeBursts(acc)
		if known < len(times) {
			errs = append(errs, invalid("accounts."+ns+".since", strconv.Itoa(len(times)), "times for dimensions that are not used"))
		}
	}
	return errors.Join(errs...)
}

// createAll creates specs given in any order, parents first. On failure some
// are created.
func (a *Accounts) createAll(now time.Time, specs []Spec) error {
	parents := map[string]string{}
	for _, spec := range specs {
		parents[spec.Namespace] = spec.Parent
	}
	// How many of the given specs are above; those on a cycle have more than
	// there are.
	depth := func(spec Spec) int {
		depth := 0
		for p, ok := parents[spec.Namespace]; ok && depth <= len(specs); p, ok = parents[p] {
			depth++
		}
		return depth
	}
	depths := make(map[string]int, len(specs))
	for _, spec := range specs {
		depths[spec.Namespace] = depth(spec)
	}
	var errs []error
	for _, spec := range slices.SortedFunc(slices.Values(specs), func(x, y Spec) int {
		return cmp.Or(cmp.Compare(depths[x.Namespace], depths[y.Namespace]), cmp.Compare(x.Namespace, y.Namespace))
	}) {
		if depths[spec.Namespace] > len(specs) {
			errs = append(errs, invalid("parent", spec.Parent, "parents form a cycle above "+strconv.Quote(spec.Namespace)))
			continue
		}
		_, err := a.Create(now, spec)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
