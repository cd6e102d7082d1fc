package quota_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// organisation has two teams; team a has two services.
func organisation(t *testing.T, org, teamA, teamB limits) *quota.Ledger {
	t.Helper()
	c := newClock()
	l, err := quota.New(quota.Config{Now: c.Now, Specs: []quota.Spec{
		{Namespace: "a/web", Parent: "a"},
		{Namespace: "a/db", Parent: "a"},
		{Namespace: "b", Parent: "org", Limits: teamB},
		{Namespace: "a", Parent: "org", Limits: teamA},
		{Namespace: "org", Limits: org},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Verify()) })
	return l
}

func TestEveryLevelMustFit(t *testing.T) {
	l := organisation(t, cpuLimit(10*core), cpuLimit(8*core), cpuLimit(8*core))
	_, err := l.Charge("a/web", "1", milli(6*core))
	require.NoError(t, err)
	verdict, err := l.Charge("a/db", "1", milli(5*core))
	require.ErrorIs(t, err, quota.ErrExceeded)
	require.Equal(t, []string{"a", "org"}, []string{verdict.Violations[0].Namespace, verdict.Violations[1].Namespace})
	require.Len(t, verdict.Violations, 2)
	_, err = l.Charge("b", "1", milli(5*core))
	require.Equal(t, "org", requireRefused(t, err, placement.NameCPU, quota.Hard).Namespace)
	_, err = l.Charge("b", "1", milli(4*core))
	require.NoError(t, err)
	for ns, want := range map[string]int64{"a/web": 6, "a/db": 0, "a": 6, "b": 4, "org": 10} {
		require.Equal(t, want*core, used(l, ns, placement.NameCPU), ns)
	}
	_, err = l.Charge("org", "direct", milli(1))
	require.Equal(t, "org", requireRefused(t, err, placement.NameCPU, quota.Hard).Namespace)
}

func TestNeverFitsNamesTheSmallestCeiling(t *testing.T) {
	l := organisation(t, cpuLimit(10*core), cpuLimit(20*core), nil)
	verdict, err := l.Check("a/web", milli(11*core))
	require.NoError(t, err)
	require.Len(t, verdict.Violations, 1)
	require.Equal(t, "org", verdict.Violations[0].Namespace)
	require.Equal(t, quota.NeverFits, verdict.Violations[0].Reason)
}

func TestParentChangeMovesUsage(t *testing.T) {
	l := organisation(t, cpuLimit(10*core), cpuLimit(8*core), cpuLimit(4*core))
	for _, id := range []string{"1", "2"} {
		_, err := l.Charge("a/web", id, milli(3*core))
		require.NoError(t, err)
	}
	over, err := l.Update(quota.Spec{Namespace: "a/web", Parent: "b"})
	require.NoError(t, err)
	require.Len(t, over, 1)
	require.Equal(t, "b", over[0].Namespace)
	for ns, want := range map[string]int64{"a/web": 6, "a": 0, "b": 6, "org": 6} {
		require.Equal(t, want*core, used(l, ns, placement.NameCPU), ns)
	}
	_, err = l.Release("a/web", "1")
	require.NoError(t, err)
	require.EqualValues(t, 3*core, used(l, "b", placement.NameCPU), "what is released is released where it counts now")
}

func TestFormerParentCanBeDeleted(t *testing.T) {
	l := organisation(t, nil, nil, nil)
	require.ErrorIs(t, l.Delete("a"), quota.ErrInUse)
	for _, ns := range []string{"a/web", "a/db"} {
		_, err := l.Update(quota.Spec{Namespace: ns, Parent: "b"})
		require.NoError(t, err)
	}
	require.NoError(t, l.Delete("a"))
	require.ErrorIs(t, l.Delete("b"), quota.ErrInUse)
	require.NoError(t, l.Delete("a/web"))
	require.NoError(t, l.Delete("a/db"))
	require.NoError(t, l.Delete("b"))
}

// TestParentChangeKeepsBurst: an ancestor that a move leaves above Soft has
// been there all the time.
func TestParentChangeKeepsBurst(t *testing.T) {
	c := newClock()
	burst := limits{placement.NameCPU: {Soft: core, BurstPercent: 500, BurstFor: time.Minute}}
	l, err := quota.New(quota.Config{Now: c.Now, Specs: []quota.Spec{
		{Namespace: "org", Limits: burst},
		{Namespace: "a", Parent: "org"},
		{Namespace: "b", Parent: "org", Limits: burst},
		{Namespace: "web", Parent: "a"},
	}})
	require.NoError(t, err)
	began := c.Now()
	_, err = l.Charge("web", "1", milli(2*core))
	require.NoError(t, err)
	c.advance(time.Second)
	_, err = l.Update(quota.Spec{Namespace: "web", Parent: "b"})
	require.NoError(t, err)
	require.Equal(t, began, l.Usage("org")[1].Since)
	require.Equal(t, began.Add(time.Second), l.Usage("b")[1].Since)
}

func TestDefault(t *testing.T) {
	c := newClock()
	l, err := quota.New(quota.Config{Now: c.Now, RequireQuota: true, Specs: []quota.Spec{
		{Namespace: "org", Limits: cpuLimit(5 * core)},
		{Namespace: "tenant", Parent: "org", Default: true, Limits: cpuLimit(2 * core)},
	}})
	require.NoError(t, err)
	for _, ns := range []string{"x", "y", "tenant"} {
		verdict, err := l.Charge(ns, "1", milli(core))
		require.NoError(t, err)
		require.Zero(t, verdict, "nothing bursts")
	}
	_, err = l.Charge("x", "2", milli(2*core))
	require.Equal(t, "x", requireRefused(t, err, placement.NameCPU, quota.Hard).Namespace, "each has usage of its own")
	require.EqualValues(t, 3*core, used(l, "org", placement.NameCPU))
	require.EqualValues(t, 2*core, l.Usage("nobody yet")[0].Soft)
	require.True(t, l.Usage("nobody yet")[0].Limited())
	require.False(t, l.Usage("x")[0].Limited(), "instances")

	var inUse *quota.InUseError
	_, err = l.Release("tenant", "1")
	require.NoError(t, err)
	require.ErrorAs(t, l.Delete("tenant"), &inUse)
	require.Equal(t, &quota.InUseError{Namespace: "tenant", By: quota.ByDefaulted, Count: 2, IDs: []string{"x", "y"}}, inUse)
	require.ErrorAs(t, l.Delete("org"), &inUse)
	require.Equal(t, &quota.InUseError{Namespace: "org", By: quota.ByChildren, Count: 1, IDs: []string{"tenant"}}, inUse)

	_, err = l.Create(quota.Spec{Namespace: "other", Default: true})
	require.ErrorIs(t, err, quota.ErrInvalid, "one default is enough")

	// A spec of its own takes a namespace out of the default.
	_, err = l.Create(quota.Spec{Namespace: "x", Limits: cpuLimit(3 * core)})
	require.NoError(t, err)
	require.EqualValues(t, core, used(l, "org", placement.NameCPU))
	// A lower default shows in every namespace that it is for.
	over, err := l.Update(quota.Spec{Namespace: "tenant", Parent: "org", Default: true, Limits: cpuLimit(100)})
	require.NoError(t, err)
	require.Len(t, over, 1)
	require.Equal(t, "y", over[0].Namespace)
	// No default any more: what is charged stays, new namespaces are refused.
	_, err = l.Update(quota.Spec{Namespace: "tenant", Parent: "org"})
	require.NoError(t, err)
	require.Zero(t, used(l, "org", placement.NameCPU))
	require.EqualValues(t, core, used(l, "y", placement.NameCPU))
	_, err = l.Charge("z", "1", milli(1))
	requireRefused(t, err, "", quota.Undeclared)
	require.NoError(t, l.Delete("tenant"))
}

// TestDeletedDefaultLimitsNobody: after a default that nobody uses is deleted,
// a namespace without a spec has no limit, and another default may come.
func TestDeletedDefaultLimitsNobody(t *testing.T) {
	var l quota.Ledger
	_, err := l.Create(quota.Spec{Namespace: "default", Default: true, Limits: cpuLimit(core)})
	require.NoError(t, err)
	require.NoError(t, l.Delete("default"))
	_, err = l.Charge("ns", "a", milli(2*core))
	require.NoError(t, err)
	over, err := l.Create(quota.Spec{Namespace: "another", Default: true, Limits: cpuLimit(core)})
	require.NoError(t, err)
	require.Len(t, over, 1)
}

func TestRequireQuotaAsksTheLeafOnly(t *testing.T) {
	l, err := quota.New(quota.Config{RequireQuota: true, Specs: []quota.Spec{{Namespace: "ns"}}})
	require.NoError(t, err)
	_, err = l.Charge("ns", "a", milli(core))
	require.NoError(t, err)
	verdict, err := l.Charge("other", "a", milli(core))
	requireRefused(t, err, "", quota.Undeclared)
	require.False(t, verdict.WaitingHelps())
	require.EqualError(t, err, `quota: "other" cannot be charged: other has no quota, and one is required`)
	require.Equal(t, `"" has no quota, and one is required`, quota.Violation{Reason: quota.Undeclared}.String())
}

func TestSpecForChargedNamespace(t *testing.T) {
	var l quota.Ledger
	_, err := l.Charge("ns", "a", milli(3*core))
	require.NoError(t, err)
	over, err := l.Create(quota.Spec{Namespace: "ns", Limits: cpuLimit(2 * core)})
	require.NoError(t, err)
	require.Len(t, over, 1)
	require.EqualValues(t, 3*core, over[0].Used)
}

func TestCreateTwice(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(core))
	version := l.Version()
	_, err := l.Create(quota.Spec{Namespace: "ns", Limits: cpuLimit(core)})
	require.NoError(t, err)
	_, err = l.Update(quota.Spec{Namespace: "ns", Limits: cpuLimit(core)})
	require.NoError(t, err)
	require.Equal(t, version, l.Version(), "nothing has changed")
	_, err = l.Create(quota.Spec{Namespace: "ns", Limits: cpuLimit(2 * core)})
	require.ErrorIs(t, err, quota.ErrConflict)
	require.EqualError(t, err, `placement: quota "ns" exists with another spec`)
}

func TestAtMostSevenAncestors(t *testing.T) {
	var l quota.Ledger
	create := func(ns, parent string) error {
		_, err := l.Create(quota.Spec{Namespace: ns, Parent: parent})
		return err
	}
	require.NoError(t, create("1", ""))
	for i := range quota.MaxLevels - 1 {
		require.NoError(t, create(fmt.Sprint(i+2), fmt.Sprint(i+1)))
	}
	require.ErrorIs(t, create("9", "8"), quota.ErrInvalid)
	require.NoError(t, create("top", ""))
	_, err := l.Update(quota.Spec{Namespace: "1", Parent: "top"})
	require.ErrorIs(t, err, quota.ErrInvalid, "the levels below count too")
	require.ErrorIs(t, create("lost", "nowhere"), quota.ErrNotFound)
}

// TestLongNamesAreRefused hands a megabyte to every call that takes a name.
func TestLongNamesAreRefused(t *testing.T) {
	var l quota.Ledger
	long := strings.Repeat("x", 1<<20)
	calls := map[string]func() error{
		"Create":           func() error { _, err := l.Create(quota.Spec{Namespace: long}); return err },
		"a parent":         func() error { _, err := l.Create(quota.Spec{Namespace: "a", Parent: long}); return err },
		"Charge":           func() error { _, err := l.Charge(long, "a", placement.Amounts{}); return err },
		"a charge's ID":    func() error { _, err := l.Charge("a", long, placement.Amounts{}); return err },
		"Check":            func() error { _, err := l.Check(long, placement.Amounts{}); return err },
		"Release":          func() error { _, err := l.Release(long, long); return err },
		"Delete":           func() error { return l.Delete(long) },
		"the longest name": func() error { _, err := l.Charge(long[:placement.MaxIDBytes+1], "a", placement.Amounts{}); return err },
	}
	for name, call := range calls {
		err := call()
		require.Error(t, err, name)
		require.Less(t, len(err.Error()), 2000, name)
	}
	_, err := l.Charge(long[:placement.MaxIDBytes], long[:placement.MaxIDBytes], placement.Amounts{})
	require.NoError(t, err)
}
