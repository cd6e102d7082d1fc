package quota

import (
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// crowd returns accounts with so many namespaces that have a spec and a charge,
// below one of three levels, and as many that have a charge alone.
func crowd(t *testing.T, namespaces int) *Accounts {
	t.Helper()
	a := new(Accounts)
	for _, spec := range []Spec{{Namespace: "org"}, {Namespace: "team", Parent: "org"}, {Namespace: "other"}} {
		_, err := a.Create(time.Time{}, spec)
		require.NoError(t, err)
	}
	for i := range namespaces {
		declared, undeclared := fmt.Sprint("declared-", i), fmt.Sprint("undeclared-", i)
		_, err := a.Create(time.Time{}, Spec{Namespace: declared, Parent: "team", Limits: map[placement.ResourceName]Limit{
			placement.NameCPU: {Soft: 1, BurstPercent: 300, BurstFor: time.Hour},
		}})
		require.NoError(t, err)
		for _, ns := range []string{declared, undeclared} {
			_, err = a.Charge(time.Time{}, ns, placement.OneInstance(placement.Resources{CPU: 2}), MayBurst)
			require.NoError(t, err)
		}
	}
	return a
}

func custom(names ...string) placement.Amounts {
	amounts := placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{}}}
	for _, name := range names {
		amounts.Resources.Custom[name] = 1
	}
	return amounts
}

// TestCostDoesNotGrowWithNamespaces: how many accounts a call looks at beside
// its own and its ancestors is the same at two sizes, if it is none of those
// that say otherwise.
func TestCostDoesNotGrowWithNamespaces(t *testing.T) {
	now := time.Time{}
	one := placement.OneInstance(placement.Resources{CPU: 1})
	burst := Spec{Namespace: "declared-0", Parent: "team", Limits: map[placement.ResourceName]Limit{
		placement.NameCPU: {Soft: 5, BurstPercent: 300, BurstFor: time.Hour}, "license": {Soft: 1},
	}}
	moved := burst
	moved.Parent = "other"
	tests := []struct {
		name string
		call func(a *Accounts) error
	}{
		{"Check", func(a *Accounts) error { _, err := a.Check(now, "declared-0", one, MayBurst); return err }},
		{"Check of an unknown namespace", func(a *Accounts) error { _, err := a.Check(now, "nobody", one, MayBurst); return err }},
		{"Charge", func(a *Accounts) error { _, err := a.Charge(now, "declared-1", one, MayBurst); return err }},
		{"Charge of an unknown namespace", func(a *Accounts) error { _, err := a.Charge(now, "new", one, MayBurst); return err }},
		{"Add", func(a *Accounts) error { _, err := a.Add(now, "declared-2", one); return err }},
		{"Replace", func(a *Accounts) error { _, err := a.Replace(now, "declared-2", one, custom("a")); return err }},
		{"Remove", func(a *Accounts) error { return a.Remove("declared-2", custom("a")) }},
		{"Usage", func(a *Accounts) error { a.Usage(now, "team"); return nil }},
		{"Advance", func(a *Accounts) error { a.Advance(now); return nil }},
		{"NextDeadline", func(a *Accounts) error { a.NextDeadline(); return nil }},
		{"Create", func(a *Accounts) error { _, err := a.Create(now, Spec{Namespace: "x", Parent: "team"}); return err }},
		{"Update", func(a *Accounts) error { _, err := a.Update(now, burst); return err }},
		{"Update with another parent", func(a *Accounts) error { _, err := a.Update(now, moved); return err }},
		{"Update below others", func(a *Accounts) error { _, err := a.Update(now, Spec{Namespace: "team", Parent: "org"}); return err }},
		{"Delete", func(a *Accounts) error { return a.Delete("x") }},
	}
	small, large := crowd(t, 10), crowd(t, 1000)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, a := range []*Accounts{small, large} {
				a.walked = 0
				require.NoError(t, tt.call(a))
				require.Zero(t, a.walked)
			}
		})
	}
}

// TestVerifyFindsDriftInEachSum: what is kept of a namespace itself and of all
// below it is compared each on its own.
func TestVerifyFindsDriftInEachSum(t *testing.T) {
	for name, spoil := range map[string]func(*account){
		"own sum":    func(acc *account) { acc.own[1]++ },
		"whole sum":  func(acc *account) { acc.room[1]-- },
		"of charges": func(acc *account) { acc.charges++ },
	} {
		a := crowd(t, 0)
		require.NoError(t, a.Verify(func(func(string, Timed) bool) {}), name)
		spoil(a.byName["team"])
		require.ErrorIs(t, a.Verify(func(func(string, Timed) bool) {}), ErrDrift, name)
	}
}

// TestRefusalWakesNobody: who waits is woken by changes alone.
func TestRefusalWakesNobody(t *testing.T) {
	var l Ledger
	waiting := make(chan struct{})
	l.changed = waiting
	_, err := l.Release("ns", "a")
	require.ErrorIs(t, err, ErrNotCharged)
	require.Equal(t, waiting, l.changed)
}

// TestForgottenAccountsHoldNothing: what a namespace that is forgotten held is
// not kept for the next one.
func TestForgottenAccountsHoldNothing(t *testing.T) {
	var l Ledger
	_, err := l.Create(Spec{Namespace: "default", Default: true, Limits: map[placement.ResourceName]Limit{
		placement.NameCPU: {Soft: 1, BurstPercent: 300, BurstFor: time.Hour},
	}})
	require.NoError(t, err)
	_, err = l.Charge("ns", "a", placement.OneInstance(placement.Resources{CPU: 2}))
	require.NoError(t, err)
	_, err = l.Release("ns", "a")
	require.NoError(t, err)
	require.Nil(t, l.book.spare.held)
}

// TestUnknownNamesWalkNothing: a custom name that is not known, of which a
// tenant can make up any number, takes the place of one that nobody uses or is
// refused, and for that no namespace is looked at.
func TestUnknownNamesWalkNothing(t *testing.T) {
	for _, namespaces := range []int{10, 1000} {
		a := crowd(t, namespaces)
		for i := range 3 * maxDimensions {
			_, err := a.Check(time.Time{}, "declared-0", custom(fmt.Sprint("made-up-", i)), MayBurst)
			require.NoError(t, err)
		}
		for i := firstCustom; i < maxDimensions-1; i++ {
			_, err := a.Charge(time.Time{}, "declared-0", custom(fmt.Sprint("used-", i)), MayBurst)
			require.NoError(t, err)
		}
		_, err := a.Create(time.Time{}, Spec{Namespace: "limits", Limits: map[placement.ResourceName]Limit{"limited": {}}})
		require.NoError(t, err)
		a.walked = 0
		for i := range maxDimensions {
			_, err := a.Check(time.Time{}, "declared-0", custom(fmt.Sprint("refused-", i)), MayBurst)
			require.ErrorIs(t, err, ErrInvalid)
			_, err = a.Charge(time.Time{}, "declared-0", custom(fmt.Sprint("refused-", i)), MayBurst)
			require.ErrorIs(t, err, ErrInvalid)
		}
		require.NoError(t, a.Delete("limits"))
		_, err = a.Check(time.Time{}, "declared-0", custom("in-its-place"), MayBurst)
		require.NoError(t, err)
		require.Zero(t, a.walked)
	}
}

// TestBurstTakesLogarithmicTime counts the comparisons by which a burst that
// begins, moves or ends finds its place among those of other namespaces.
func TestBurstTakesLogarithmicTime(t *testing.T) {
	now := time.Time{}
	cores := func(n int64) placement.Amounts { return placement.OneInstance(placement.Resources{CPU: n}) }
	longer := func(ns string) Spec {
		return Spec{Namespace: ns, Parent: "team", Limits: map[placement.ResourceName]Limit{
			placement.NameCPU: {Soft: 1, BurstPercent: 300, BurstFor: 3 * time.Hour},
		}}
	}
	tests := []struct {
		name string
		call func(a *Accounts, ns string) error
	}{
		{"a burst ends", func(a *Accounts, ns string) error { return a.Remove(ns, cores(2)) }},
		{"a burst begins", func(a *Accounts, ns string) error {
			_, err := a.Charge(now.Add(-time.Second), ns, cores(2), MayBurst)
			return err
		}},
		{"usage changes in a burst", func(a *Accounts, ns string) error { _, err := a.Add(now, ns, cores(1)); return err }},
		{"a burst gets more time", func(a *Accounts, ns string) error { _, err := a.Update(now, longer(ns)); return err }},
		{"an end is reported", func(a *Accounts, _ string) error { due, _ := a.NextDeadline(); a.Advance(due); return nil }},
	}
	for _, namespaces := range []int{16, 1024} {
		a := crowd(t, namespaces)
		for i := range namespaces {
			_, err := a.Replace(now, fmt.Sprint("declared-", i), cores(2), cores(2))
			require.NoError(t, err)
		}
		most := 4 * bits.Len(uint(namespaces))
		for _, tt := range tests {
			a.bursting.Compared = 0
			require.NoError(t, tt.call(a, fmt.Sprint("declared-", namespaces/3)))
			if tt.name == "usage changes in a burst" {
				require.Zero(t, a.bursting.Compared, tt.name)
				continue
			}
			if tt.name == "an end is reported" { // all end at once: as often as there are ends
				most *= namespaces
			}
			require.LessOrEqual(t, a.bursting.Compared, most, tt.name)
			require.NotZero(t, a.bursting.Compared, tt.name)
		}
	}
}
