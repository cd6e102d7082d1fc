package quota_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// TestCheckAllIsAddOfEach compares the check of several charges with entering them,
// which a copy does.
func TestCheckAllIsAddOfEach(t *testing.T) {
	now := newClock().Now()
	rapid.Check(t, func(t *rapid.T) {
		var a quota.Accounts
		for range rapid.IntRange(0, 4).Draw(t, "specs") {
			_, _ = a.Create(now, drawSpec(t))
		}
		for range rapid.IntRange(0, 4).Draw(t, "charged") {
			_, _ = a.Add(now, drawNamespace(t), drawAmounts(t))
		}
		var charges []quota.Charge
		for range rapid.IntRange(0, 6).Draw(t, "charges") {
			charges = append(charges, quota.Charge{Namespace: drawNamespace(t), Amounts: drawAmounts(t)})
		}
		var entered quota.Accounts
		require.NoError(t, entered.Restore(a.Snapshot(), nil))
		before := a.Snapshot()
		got := a.CheckAll(now, list(charges...))
		require.Equal(t, before, a.Snapshot(), "a check changes nothing")
		var want error
		for _, c := range charges {
			if _, want = entered.Add(now, c.Namespace, c.Amounts); want != nil {
				break
			}
		}
		require.Equal(t, want, got)
	})
}

// TestCheckAllCountsDimensions of all charges together.
func TestCheckAllCountsDimensions(t *testing.T) {
	now := newClock().Now()
	one := func(name string, amount int64) quota.Charge {
		return quota.Charge{Namespace: "ns", Amounts: placement.Amounts{
			Resources: placement.Resources{Custom: map[string]int64{name: amount}},
		}}
	}
	var charges []quota.Charge
	for i := range placement.MaxDimensions - 5 {
		charges = append(charges, one(fmt.Sprint("a", i), 1))
	}
	var a quota.Accounts
	_, err := a.Add(now, "ns", one("z", 1).Amounts)
	require.NoError(t, err)
	require.NoError(t, a.Remove("ns", one("z", 1).Amounts), "its place is free")
	require.NoError(t, a.CheckAll(now, list(charges...)))
	require.NoError(t, a.CheckAll(now, list(append(charges, one("b", 0))...)))
	require.ErrorIs(t, a.CheckAll(now, list(append(charges, one("b", 1))...)), quota.ErrInvalid)

	require.NoError(t, a.CheckAll(now, list(one("x", math.MaxInt64), one("y", 1))))
	requireRefused(t, a.CheckAll(now, list(one("x", math.MaxInt64), one("y", 1), one("x", 1))), "x", quota.Hard)
}
