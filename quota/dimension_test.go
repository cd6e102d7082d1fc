package quota_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// TestUsageNeverOverflows: without a limit the sum still has to fit an int64,
// at every level and wherever a namespace is moved.
func TestUsageNeverOverflows(t *testing.T) {
	l := organisation(t, nil, nil, nil)
	_, err := l.Charge("a", "1", milli(math.MaxInt64-1))
	require.NoError(t, err)
	_, err = l.Charge("b", "1", milli(2))
	violation := requireRefused(t, err, placement.NameCPU, quota.Hard)
	require.Equal(t, "org", violation.Namespace)
	require.EqualValues(t, 1, violation.Shortfall)
	_, err = l.Charge("b", "1", milli(1))
	require.NoError(t, err)

	_, err = l.Charge("alone", "1", milli(core))
	require.NoError(t, err, "it shares no level with the others")
	_, err = l.Create(quota.Spec{Namespace: "alone", Parent: "org"})
	require.ErrorIs(t, err, quota.ErrInvalid)
	_, err = l.Create(quota.Spec{Namespace: "default", Parent: "org", Default: true})
	require.ErrorIs(t, err, quota.ErrInvalid)

	l = organisation(t, nil, nil, nil)
	for _, ns := range []string{"x", "y"} {
		_, err = l.Charge(ns, "1", milli(math.MaxInt64))
		require.NoError(t, err)
	}
	_, err = l.Create(quota.Spec{Namespace: "default", Parent: "org", Default: true})
	require.ErrorIs(t, err, quota.ErrInvalid, "together they are too much for a parent")
}

// TestMoveNeedsRoomOnItsWayOnly: a namespace may move to where its usage can be
// counted, whatever others use elsewhere; what an ancestor of both places counts
// already is not in the way.
func TestMoveNeedsRoomOnItsWayOnly(t *testing.T) {
	l := organisation(t, nil, nil, nil)
	for ns, amount := range map[string]int64{"full": math.MaxInt64, "undeclared": 3, "a": math.MaxInt64 - 5, "moves": 5} {
		_, err := l.Charge(ns, "1", milli(amount))
		require.NoError(t, err)
	}
	declare := func(as func(quota.Spec) ([]quota.Usage, error), spec quota.Spec, fits bool) {
		t.Helper()
		before := l.Snapshot()
		_, err := as(spec)
		require.NoError(t, l.Verify())
		if fits {
			require.NoError(t, err)
			return
		}
		var invalid *placement.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "usage would not fit an int64", invalid.Reason)
		require.Equal(t, before, l.Snapshot())
	}
	declare(l.Create, quota.Spec{Namespace: "full", Parent: "org"}, false)
	declare(l.Create, quota.Spec{Namespace: "moves", Parent: "org"}, true)
	declare(l.Update, quota.Spec{Namespace: "moves", Parent: "b"}, true)
	declare(l.Update, quota.Spec{Namespace: "moves", Parent: "a"}, true)
	declare(l.Create, quota.Spec{Namespace: "top"}, true)
	declare(l.Create, quota.Spec{Namespace: "default", Parent: "org", Default: true}, false)
	_, err := l.Release("full", "1")
	require.NoError(t, err)
	declare(l.Create, quota.Spec{Namespace: "default", Parent: "top", Default: true}, true)
	declare(l.Update, quota.Spec{Namespace: "default", Parent: "b", Default: true}, false)
	declare(l.Update, quota.Spec{Namespace: "b", Parent: "top"}, true)
	declare(l.Update, quota.Spec{Namespace: "default", Parent: "b", Default: true}, true)
	declare(l.Update, quota.Spec{Namespace: "b", Parent: "org"}, false)
	_, err = l.Charge("other", "1", milli(math.MaxInt64-3))
	require.NoError(t, err)
	_, err = l.Charge("another", "1", milli(1))
	require.ErrorIs(t, err, quota.ErrExceeded)
	declare(l.Update, quota.Spec{Namespace: "default", Parent: "top", Default: true}, true)

	other := organisation(t, nil, nil, nil)
	_, err = other.Charge("becomes-default", "1", milli(math.MaxInt64-1))
	require.NoError(t, err)
	_, err = other.Charge("undeclared", "1", milli(1))
	require.NoError(t, err)
	declare(other.Create, quota.Spec{Namespace: "becomes-default", Parent: "org", Default: true}, true)
}

func TestCustomDimensions(t *testing.T) {
	l, _ := newLedger(t, limits{"kept": {Soft: 5}})
	with := func(name string) placement.Amounts {
		return placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{name: 1}}}
	}
	for i := range placement.MaxDimensions - 6 {
		charge(t, l, fmt.Sprint(i), with(fmt.Sprintf("d%d", i)))
	}
	_, err := l.Charge("ns", "more", with("e"))
	require.ErrorIs(t, err, quota.ErrInvalid)
	_, err = l.Create(quota.Spec{Namespace: "other", Limits: limits{"e": {}}})
	require.ErrorIs(t, err, quota.ErrInvalid)

	// A name that is used and limited no longer makes room for another.
	_, err = l.Release("ns", "4")
	require.NoError(t, err)
	charge(t, l, "more", with("e"))
	require.EqualValues(t, 1, used(l, "ns", "e"))
	require.Zero(t, used(l, "ns", "d4"))
	_, err = l.Charge("ns", "4", with("d4"))
	require.ErrorIs(t, err, quota.ErrInvalid)
	_, err = l.Update(quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	charge(t, l, "4", with("d4"))
	var names []placement.ResourceName
	for _, usage := range l.Usage("ns") {
		names = append(names, usage.Resource)
	}
	require.True(t, slices.IsSorted(names))
	require.Len(t, names, placement.MaxDimensions-5)
}

// TestZeroAmountsTakeNoPlace: an amount of zero is none, however many custom
// names have one.
func TestZeroAmountsTakeNoPlace(t *testing.T) {
	l, _ := newLedger(t, nil)
	custom := map[string]int64{"used": 1}
	for i := range 50 {
		custom[fmt.Sprint("zero-", i)] = 0
	}
	charge(t, l, "a", placement.Amounts{Resources: placement.Resources{Custom: custom}})
	require.Len(t, l.Usage("ns"), 1)
}

// TestRefusedNameIsTheSame: of several new names for which there is no place
// the error names the first, whatever the order of the map.
func TestRefusedNameIsTheSame(t *testing.T) {
	l, _ := newLedger(t, nil)
	custom := map[string]int64{}
	for i := range placement.MaxDimensions - 5 {
		custom[fmt.Sprint("used-", i)] = 1
	}
	charge(t, l, "a", placement.Amounts{Resources: placement.Resources{Custom: custom}})
	for range 20 {
		_, err := l.Check("ns", placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"c": 1, "a": 1, "b": 1, "d": 1}}})
		require.EqualError(t, err, `placement: invalid custom "a": there are 32 other custom dimensions`)
	}
}

// TestLimitOfDefaultKeepsItsPlace: a spec for a namespace that the default was
// for does not make the limits of the default forgotten.
func TestLimitOfDefaultKeepsItsPlace(t *testing.T) {
	var l quota.Ledger
	_, err := l.Create(quota.Spec{Namespace: "default", Default: true, Limits: limits{"limited": {}}})
	require.NoError(t, err)
	_, err = l.Charge("ns", "a", milli(1))
	require.NoError(t, err)
	_, err = l.Create(quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	for i := range placement.MaxDimensions - 6 {
		charge(t, &l, fmt.Sprint(i), placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{fmt.Sprint(i): 1}}})
	}
	_, err = l.Charge("ns", "more", placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"more": 1}}})
	require.ErrorIs(t, err, quota.ErrInvalid)
	_, err = l.Charge("other", "a", placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"limited": 1}}})
	requireRefused(t, err, "limited", quota.NeverFits)
}

// TestNewNamesTakeDifferentPlaces: several new names in one call, when all
// places are taken by names that are not used any more.
func TestNewNamesTakeDifferentPlaces(t *testing.T) {
	l, _ := newLedger(t, nil)
	fill := func(prefix string) placement.Amounts {
		custom := map[string]int64{}
		for i := range int64(placement.MaxDimensions - 5) {
			custom[prefix+fmt.Sprint(i)] = i + 1
		}
		return placement.Amounts{Resources: placement.Resources{Custom: custom}}
	}
	for _, prefix := range []string{"a", "b"} {
		charge(t, l, "x", fill(prefix))
		for name, amount := range fill(prefix).Resources.All() {
			require.Equal(t, amount, used(l, "ns", name), name)
		}
		_, err := l.Release("ns", "x")
		require.NoError(t, err)
	}
	spec := quota.Spec{Namespace: "ns", Limits: limits{}}
	for name, amount := range fill("c").Resources.Custom {
		spec.Limits[placement.ResourceName(name)] = quota.Limit{Soft: amount, BurstPercent: 200}
	}
	_, err := l.Update(spec)
	require.NoError(t, err)
	charge(t, l, "x", fill("c"))
	verdict := charge(t, l, "y", fill("c"))
	require.Len(t, verdict.Bursting(), placement.MaxDimensions-5)
}

// TestBurstingNamesOutliveDimensions: a verdict keeps its names when a name
// that it does not mention is replaced.
func TestBurstingNamesOutliveDimensions(t *testing.T) {
	l, _ := newLedger(t, limits{"b": {Soft: 1, BurstPercent: 200}, "a": {Soft: 1, BurstPercent: 200}})
	amounts := placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"a": 2, "b": 2}}}
	verdict := charge(t, l, "1", amounts)
	_, err := l.Release("ns", "1")
	require.NoError(t, err)
	_, err = l.Update(quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	for i := range 11 {
		charge(t, l, fmt.Sprint(i), placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{fmt.Sprint(i): 1}}})
	}
	require.Equal(t, []placement.ResourceName{"a", "b"}, verdict.Bursting())

	// Another name in the place of one of them bursts under its own name.
	for _, id := range []string{"9", "10"} { // the two that took these places
		_, err = l.Release("ns", id)
		require.NoError(t, err)
	}
	_, err = l.Update(quota.Spec{Namespace: "ns", Limits: limits{"c": {Soft: 1, BurstPercent: 200}, "d": {Soft: 1, BurstPercent: 200}}})
	require.NoError(t, err)
	verdict = charge(t, l, "new", placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"c": 2, "d": 2}}})
	require.Equal(t, []placement.ResourceName{"c", "d"}, verdict.Bursting())
}
