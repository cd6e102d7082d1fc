package quota_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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

func TestZeroValue(t *testing.T) {
	var l quota.Ledger
	require.NoError(t, l.Verify())
	require.Zero(t, l.Version())
	require.Empty(t, l.Usage("ns"))
	require.ErrorIs(t, l.Delete("ns"), quota.ErrNotFound)
	_, err := l.Release("ns", "a")
	require.ErrorIs(t, err, quota.ErrNotCharged)
	_, err = l.Charge("ns", "a", quota.Instance(placement.Resources{Custom: map[string]int64{"x": 2}}))
	require.NoError(t, err)
	require.EqualValues(t, 2, used(&l, "ns", "x"))
	_, err = l.Release("ns", "a")
	require.NoError(t, err)
	require.Empty(t, slices.Collect(l.Namespaces()), "a namespace without spec and charges is forgotten")
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

func TestSameIDInOtherNamespace(t *testing.T) {
	l := organisation(t, cpuLimit(10*core), nil, nil)
	_, err := l.Charge("a", "x", milli(1))
	require.NoError(t, err)
	_, err = l.Charge("b", "x", milli(2))
	require.NoError(t, err)
	_, err = l.Release("a/web", "x")
	require.ErrorIs(t, err, quota.ErrNotCharged)
	amounts, err := l.Release("b", "x")
	require.NoError(t, err)
	require.Equal(t, milli(2), amounts)
	require.EqualValues(t, 1, used(l, "org", placement.NameCPU))
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
		_, err := l.Charge(ns, "1", milli(core))
		require.NoError(t, err)
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

func TestRequireQuotaAsksTheLeafOnly(t *testing.T) {
	l, err := quota.New(quota.Config{RequireQuota: true, Specs: []quota.Spec{{Namespace: "ns"}}})
	require.NoError(t, err)
	_, err = l.Charge("ns", "a", milli(core))
	require.NoError(t, err)
	verdict, err := l.Charge("other", "a", milli(core))
	requireRefused(t, err, "", quota.Undeclared)
	require.False(t, verdict.WaitingHelps())
	require.EqualError(t, err, `quota: "other" can not be charged: other has no quota, and one is required`)
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
	require.EqualError(t, err, `quota: "ns" has another spec already`)
}

func TestSpecsAreCopies(t *testing.T) {
	own := cpuLimit(core)
	l, _ := newLedger(t, own)
	own[placement.NameCPU] = quota.Limit{Soft: 99}
	spec, ok := l.Spec("ns")
	require.True(t, ok)
	require.EqualValues(t, core, spec.Limits[placement.NameCPU].Soft)
	spec.Limits[placement.NameCPU] = quota.Limit{Soft: 99}
	for spec := range l.Specs() {
		require.EqualValues(t, core, spec.Limits[placement.NameCPU].Soft)
	}

	custom := map[string]int64{"x": 1}
	charge(t, l, "a", quota.Instance(placement.Resources{Custom: custom}))
	custom["x"] = 99
	held, _ := l.Charged("ns", "a")
	held.Resources.Custom["x"] = 99
	for c := range l.Charges() {
		c.Amounts.Resources.Custom["x"] = 99
	}
	for _, c := range l.Snapshot().Charges {
		c.Amounts.Resources.Custom["x"] = 99
	}
	amounts, err := l.Release("ns", "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, amounts.Resources.Custom["x"])
}

func TestLevels(t *testing.T) {
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

func TestBadInput(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(core))
	before := l.Snapshot()
	only := func(_ any, err error) error { return err }
	tests := []struct {
		name string
		call func() error
		want error
	}{
		{"empty id", func() error { return only(l.Charge("ns", "", milli(1))) }, quota.ErrInvalid},
		{"empty namespace", func() error { return only(l.Charge("", "x", milli(1))) }, quota.ErrInvalid},
		{"release of an empty id", func() error { return only(l.Release("ns", "")) }, quota.ErrInvalid},
		{"resize of an empty id", func() error { return only(l.Resize("ns", "", milli(1))) }, quota.ErrInvalid},
		{"negative resize", func() error { return only(l.Resize("ns", "a", milli(-1))) }, quota.ErrInvalid},
		{"negative repetition", func() error { return only(l.Charge("ns", "a", milli(-1))) }, quota.ErrInvalid},
		{"resize of nothing", func() error { return only(l.Resize("ns", "x", milli(1))) }, quota.ErrNotCharged},
		{"import of an empty id", func() error {
			return only(l.Import(slices.Values([]quota.Charge{{Namespace: "ns", ID: "b"}, {Namespace: "ns"}})))
		}, quota.ErrInvalid},
		{"import of a negative amount", func() error {
			return only(l.Import(slices.Values([]quota.Charge{{Namespace: "ns", ID: "b"}, {Namespace: "ns", ID: "c", Amounts: milli(-1)}})))
		}, quota.ErrInvalid},
		{"import beyond counting", func() error {
			return only(l.Import(slices.Values([]quota.Charge{{Namespace: "ns", ID: "b"}, {Namespace: "ns", ID: "c", Amounts: milli(math.MaxInt64)}})))
		}, quota.ErrExceeded},
		{"update of an unknown namespace", func() error { return only(l.Update(quota.Spec{Namespace: "x"})) }, quota.ErrNotFound},
		{"unknown parent", func() error { return only(l.Update(quota.Spec{Namespace: "ns", Parent: "x"})) }, quota.ErrNotFound},
		{"spec without a namespace", func() error { return only(l.Create(quota.Spec{})) }, quota.ErrInvalid},
		{"limit on a bad name", func() error {
			return only(l.Create(quota.Spec{Namespace: "x", Limits: limits{"not a name": {}}}))
		}, quota.ErrInvalid},
		{"delete of an unknown namespace", func() error { return l.Delete("x") }, quota.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			require.ErrorIs(t, err, tt.want)
			require.Regexp(t, "^quota: ", err.Error())
			require.Equal(t, before, l.Snapshot())
		})
	}
}

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
}

func TestCustomDimensions(t *testing.T) {
	l, _ := newLedger(t, limits{"kept": {Soft: 5}})
	with := func(name string) quota.Amounts {
		return quota.Amounts{Resources: placement.Resources{Custom: map[string]int64{name: 1}}}
	}
	for i := range 10 {
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
	require.Len(t, names, 11)
}

// TestNewNamesTakeDifferentPlaces: several new names in one call, when all
// places are taken by names that are not used any more.
func TestNewNamesTakeDifferentPlaces(t *testing.T) {
	l, _ := newLedger(t, nil)
	fill := func(prefix string) quota.Amounts {
		custom := map[string]int64{}
		for i := range int64(11) {
			custom[prefix+fmt.Sprint(i)] = i + 1
		}
		return quota.Amounts{Resources: placement.Resources{Custom: custom}}
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
	require.Len(t, verdict.Bursting(), 11)
}

// TestBurstingNamesOutliveDimensions: a verdict keeps its names when a name
// that it does not mention is replaced.
func TestBurstingNamesOutliveDimensions(t *testing.T) {
	l, _ := newLedger(t, limits{"b": {Soft: 1, BurstPercent: 200}, "a": {Soft: 1, BurstPercent: 200}})
	amounts := quota.Amounts{Resources: placement.Resources{Custom: map[string]int64{"a": 2, "b": 2}}}
	verdict := charge(t, l, "1", amounts)
	_, err := l.Release("ns", "1")
	require.NoError(t, err)
	_, err = l.Update(quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	for i := range 11 {
		charge(t, l, fmt.Sprint(i), quota.Amounts{Resources: placement.Resources{Custom: map[string]int64{fmt.Sprint(i): 1}}})
	}
	require.Equal(t, []placement.ResourceName{"a", "b"}, verdict.Bursting())

	// Another name in the place of one of them bursts under its own name.
	for _, id := range []string{"9", "10"} { // the two that took these places
		_, err = l.Release("ns", id)
		require.NoError(t, err)
	}
	_, err = l.Update(quota.Spec{Namespace: "ns", Limits: limits{"c": {Soft: 1, BurstPercent: 200}, "d": {Soft: 1, BurstPercent: 200}}})
	require.NoError(t, err)
	verdict = charge(t, l, "new", quota.Amounts{Resources: placement.Resources{Custom: map[string]int64{"c": 2, "d": 2}}})
	require.Equal(t, []placement.ResourceName{"c", "d"}, verdict.Bursting())
}

func TestOrderDoesNotMatter(t *testing.T) {
	var charges []quota.Charge
	for i := range int64(60) {
		charges = append(charges, quota.Charge{
			Namespace: []string{"a/web", "a/db", "b", "org", "free"}[i%5], ID: fmt.Sprint(i),
			Amounts: quota.Instance(placement.Resources{CPU: i, Memory: i % 7, Custom: map[string]int64{fmt.Sprint(i % 3): i}}),
		})
	}
	burst := limits{placement.NameCPU: {Soft: 1000, BurstPercent: 1000, BurstFor: time.Minute}}
	var first quota.Snapshot
	for seed := range uint64(20) {
		l := organisation(t, burst, burst, nil)
		random := rand.New(rand.NewPCG(seed, 0))
		random.Shuffle(len(charges), func(i, j int) { charges[i], charges[j] = charges[j], charges[i] })
		for _, c := range charges {
			_, err := l.Charge(c.Namespace, c.ID, c.Amounts)
			require.NoError(t, err)
		}
		random.Shuffle(len(charges), func(i, j int) { charges[i], charges[j] = charges[j], charges[i] })
		for _, c := range charges {
			if len(c.ID) == 1 { // the same ten in every round
				_, err := l.Release(c.Namespace, c.ID)
				require.NoError(t, err)
			}
		}
		if seed == 0 {
			first = l.Snapshot()
		}
		require.Equal(t, first, l.Snapshot())
	}
}

// TestConcurrentTree: 64 goroutines charge and release under three levels of
// limits. Every snapshot on the way, and the end, keeps every limit.
func TestConcurrentTree(t *testing.T) {
	l := organisation(t,
		limits{placement.NameInstances: {Soft: 20}},
		limits{placement.NameInstances: {Soft: 12}},
		limits{placement.NameInstances: {Soft: 12}})
	ceilings := map[string]int64{"a": 12, "b": 12, "org": 20}
	done := make(chan struct{})
	var watching, all sync.WaitGroup
	watching.Go(func() {
		for {
			counts := map[string]int64{}
			for _, c := range l.Snapshot().Charges {
				counts["org"]++
				counts[c.Namespace[:1]]++
			}
			for ns, count := range counts {
				if count > ceilings[ns] {
					t.Errorf("%d of %d in %s", count, ceilings[ns], ns)
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	namespaces := []string{"a/web", "a/db", "b"}
	for g := range 64 {
		all.Go(func() {
			ns := namespaces[g%3]
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", g, i)
				if _, err := l.Charge(ns, id, milli(0)); err != nil {
					continue
				}
				if _, err := l.Release(ns, id); err != nil {
					t.Error(err)
				}
			}
			_, _ = l.Charge(ns, "last-"+fmt.Sprint(g), milli(0)) // at most 20 succeed
		})
	}
	all.Wait()
	close(done)
	watching.Wait()
	require.EqualValues(t, 20, used(l, "org", placement.NameInstances), "64 wanted to stay")
}

func TestWait(t *testing.T) {
	changes := []struct {
		name string
		call func(*quota.Ledger) error
	}{
		{"release", func(l *quota.Ledger) error { _, err := l.Release("ns", "a"); return err }},
		{"shrink", func(l *quota.Ledger) error { _, err := l.Resize("ns", "a", milli(0)); return err }},
		{"charge", func(l *quota.Ledger) error { _, err := l.Charge("free", "a", milli(1)); return err }},
		{"update", func(l *quota.Ledger) error { _, err := l.Update(quota.Spec{Namespace: "ns"}); return err }},
		{"create", func(l *quota.Ledger) error { _, err := l.Create(quota.Spec{Namespace: "new"}); return err }},
		{"import", func(l *quota.Ledger) error {
			_, err := l.Import(slices.Values([]quota.Charge{{Namespace: "x", ID: "y"}}))
			return err
		}},
		{"restore", func(l *quota.Ledger) error { return l.Restore(quota.Snapshot{}) }},
	}
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := newLedger(t, cpuLimit(core))
				charge(t, l, "a", milli(core))
				_, err := l.Charge("ns", "b", milli(core))
				var exceeded *quota.ExceededError
				require.ErrorAs(t, err, &exceeded)
				require.Equal(t, l.Version(), exceeded.Version)

				told := make(chan error, 3)
				for range 3 {
					go func() { told <- l.Wait(t.Context(), exceeded.Version) }()
				}
				synctest.Wait()
				_, err = l.Check("ns", milli(1))
				require.NoError(t, err)
				_, err = l.Charge("ns", "b", milli(core))
				require.Error(t, err)
				synctest.Wait()
				require.Empty(t, told, "nothing has changed yet")

				require.NoError(t, tt.call(l))
				for range 3 {
					require.NoError(t, <-told)
				}
				require.NoError(t, l.Wait(t.Context(), exceeded.Version), "a change before the call counts")

				go func() { told <- l.Wait(t.Context(), l.Version()) }()
				synctest.Wait()
				_, err = l.Charge("free", "b", milli(1))
				require.NoError(t, err)
				require.NoError(t, <-told)
				_, err = l.Charge("free", "c", milli(1))
				require.NoError(t, err, "with nobody waiting")
			})
		})
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l quota.Ledger
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.Wait(ctx, l.Version()), context.DeadlineExceeded)
		require.ErrorIs(t, l.Wait(ctx, math.MaxUint64), context.DeadlineExceeded)
	})
}

// TestNoLostWakeUp: many wait for one place, and each gets it.
func TestNoLostWakeUp(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameInstances: {Soft: 1}})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("%d-%d", g, i)
				for {
					_, err := l.Charge("ns", id, milli(0))
					if err == nil {
						break
					}
					var exceeded *quota.ExceededError
					if !errors.As(err, &exceeded) {
						t.Error(err)
						return
					}
					if err := l.Wait(t.Context(), exceeded.Version); err != nil {
						t.Error(err)
						return
					}
				}
				if _, err := l.Release("ns", id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// TestClockIsReadBeforeTheLock: a Now that uses the ledger does not deadlock,
// also when the first burst is declared.
func TestClockIsReadBeforeTheLock(t *testing.T) {
	var l *quota.Ledger
	l, err := quota.New(quota.Config{Now: func() time.Time {
		if l != nil {
			l.Version()
		}
		return newClock().Now()
	}})
	require.NoError(t, err)
	_, err = l.Create(quota.Spec{Namespace: "ns", Limits: limits{placement.NameCPU: {Soft: 1, BurstPercent: 300, BurstFor: time.Second}}})
	require.NoError(t, err)
	charge(t, l, "a", milli(2))
	require.Equal(t, newClock().Now(), l.Usage("ns")[1].Since)
}

// TestClockIsReadOnlyAboveSoft: a charge that bursts reads the clock once, one
// that does not never.
func TestClockIsReadOnlyAboveSoft(t *testing.T) {
	readings := 0
	l, err := quota.New(quota.Config{Now: func() time.Time { readings++; return newClock().Now() }})
	require.NoError(t, err)
	_, err = l.Create(quota.Spec{Namespace: "ns", Limits: limits{placement.NameCPU: {Soft: 10, BurstPercent: 150, BurstFor: time.Minute}}})
	require.NoError(t, err)
	tests := []struct {
		name string
		call func() error
		want int
	}{
		{"within soft", func() error { _, err := l.Charge("ns", "a", milli(10)); return err }, 0},
		{"again", func() error { _, err := l.Charge("ns", "a", milli(10)); return err }, 0},
		{"another amount", func() error { _, err := l.Charge("ns", "a", milli(11)); return err }, 0},
		{"another namespace", func() error { _, err := l.Charge("free", "a", milli(99)); return err }, 0},
		{"check", func() error { _, err := l.Check("ns", milli(1)); return err }, 1},
		{"above soft", func() error { _, err := l.Charge("ns", "b", milli(5)); return err }, 1},
		{"refused", func() error { _, err := l.Charge("ns", "c", milli(1)); return err }, 1},
		{"down", func() error { _, err := l.Resize("ns", "b", milli(4)); return err }, 1},
		{"up", func() error { _, err := l.Resize("ns", "b", milli(5)); return err }, 1},
		{"release", func() error { _, err := l.Release("ns", "b"); return err }, 0},
		{"down within soft", func() error { _, err := l.Resize("ns", "a", milli(5)); return err }, 0},
	}
	for _, tt := range tests {
		readings = 0
		_ = tt.call()
		require.Equal(t, tt.want, readings, tt.name)
	}
}

func TestNewReportsAllMistakes(t *testing.T) {
	_, err := quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "a", Limits: cpuLimit(-1)},
		{Namespace: "b", Parent: "nowhere"},
		{Namespace: "c"},
		{Namespace: "c", Limits: cpuLimit(1)},
	}})
	require.ErrorIs(t, err, quota.ErrInvalid)
	require.ErrorIs(t, err, quota.ErrNotFound)
	require.ErrorIs(t, err, quota.ErrConflict)
}

func TestErrorsAreSentences(t *testing.T) {
	c := newClock()
	l, err := quota.New(quota.Config{Now: c.Now, Specs: []quota.Spec{
		{Namespace: "org", Limits: limits{placement.NameMemory: {Soft: 4 * placement.GiB}, placement.NameInstances: {Soft: 2}}},
		{Namespace: "team", Parent: "org", Limits: limits{placement.NameCPU: {Soft: 2 * core, BurstPercent: 200, BurstFor: time.Minute}}},
	}})
	require.NoError(t, err)
	_, err = l.Charge("team", "a", quota.Instance(placement.Resources{CPU: 3 * core}))
	require.NoError(t, err)
	_, err = l.Charge("team", "b", quota.Instance(placement.Resources{}))
	require.NoError(t, err)
	c.advance(time.Minute)
	_, err = l.Charge("team", "c", quota.Instance(placement.Resources{CPU: 500, Memory: 5 * placement.GiB}))
	require.EqualError(t, err, `quota: "team" can not be charged: `+
		`instances: 1 requested, but org uses 2 of 2 and lacks 1; `+
		`cpu: 500m requested, but team uses 3, has been above its soft limit of 2 for too long and must first give back 1; `+
		`memory: 5GiB requested, but org allows at most 4GiB in all`)
	_, err = l.Charge("team", "a", quota.Amounts{})
	require.EqualError(t, err, `quota: "team" is charged cpu=3 instances=1 for "a" already`)
	_, err = l.Release("team", "x")
	require.EqualError(t, err, `quota: "team" is not charged for "x"`)
	require.EqualError(t, l.Delete("team"), `quota: namespace "team" still has charges, 2 in all: "a", "b"`)
	require.EqualError(t, l.Delete("org"), `quota: namespace "org" still has children, 1 in all: "team"`)
	require.EqualError(t, l.Delete("x"), `quota: namespace "x" has no spec`)
	_, err = l.Update(quota.Spec{Namespace: "org", Parent: "team"})
	require.EqualError(t, err, `quota: invalid parent "team": it is below "org": parents form a cycle`)
	_, err = l.Create(quota.Spec{Namespace: "y", Limits: limits{placement.NameCPU: {BurstPercent: 99}}})
	require.EqualError(t, err, `quota: invalid limits.cpu.burstPercent "99": want 0 or 100 to 10000`)
}

func TestRestoreRefusesContradictions(t *testing.T) {
	l := organisation(t, limits{placement.NameCPU: {Soft: core, BurstPercent: 300, BurstFor: time.Minute}}, nil, nil)
	_, err := l.Charge("a/web", "1", quota.Instance(placement.Resources{CPU: 2 * core, Custom: map[string]int64{"x": 1}}))
	require.NoError(t, err)
	good, err := json.Marshal(l.Snapshot())
	require.NoError(t, err)
	tests := []struct {
		name  string
		spoil func(*quota.Snapshot)
	}{
		{"charge missing", func(s *quota.Snapshot) { s.Charges = nil }},
		{"charge twice", func(s *quota.Snapshot) { s.Charges = append(s.Charges, s.Charges...) }},
		{"charge without a namespace", func(s *quota.Snapshot) { s.Charges[0].Namespace = "" }},
		{"charge of another namespace", func(s *quota.Snapshot) { s.Charges[0].Namespace = "b" }},
		{"charge to nobody", func(s *quota.Snapshot) { s.Charges[0].Namespace = "nobody" }},
		{"other amounts", func(s *quota.Snapshot) { s.Charges[0].Amounts.Resources.CPU++ }},
		{"negative amounts", func(s *quota.Snapshot) { s.Charges[0].Amounts.Resources.CPU = -1 }},
		{"negative usage", func(s *quota.Snapshot) { s.State.Accounts[0].Used.Instances = -1 }},
		{"negative count", func(s *quota.Snapshot) { s.State.Accounts[0].Charges = -1 }},
		{"usage without charges", func(s *quota.Snapshot) { s.State.Accounts[0].Charges = 0 }},
		{"accounts out of order", func(s *quota.Snapshot) { slices.Reverse(s.State.Accounts) }},
		{"account of nobody", func(s *quota.Snapshot) {
			s.State.Accounts = append(s.State.Accounts, quota.AccountState{Namespace: "z"})
		}},
		{"burst without beginning", func(s *quota.Snapshot) { s.State.Accounts[1].Since = nil }},
		{"beginning without burst", func(s *quota.Snapshot) { s.State.Accounts[1].Since[placement.NameMemory] = time.Time{} }},
		{"beginning of nothing", func(s *quota.Snapshot) { s.State.Accounts[1].Since["y"] = time.Time{} }},
		{"spec twice", func(s *quota.Snapshot) {
			s.State.Specs = append(s.State.Specs, quota.Spec{Namespace: "org"})
		}},
		{"parent missing", func(s *quota.Snapshot) { s.State.Specs = s.State.Specs[:len(s.State.Specs)-1] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var broken quota.Snapshot
			require.NoError(t, json.Unmarshal(good, &broken))
			require.NoError(t, new(quota.Ledger).Restore(broken), "it is good so far")
			tt.spoil(&broken)
			before := l.Snapshot()
			require.ErrorIs(t, l.Restore(broken), quota.ErrInvalid)
			require.Equal(t, before, l.Snapshot())
		})
	}
}

// FuzzRestore reads any JSON: it is refused, or comes out as it went in.
func FuzzRestore(f *testing.F) {
	var l quota.Ledger
	_, err := l.Create(quota.Spec{Namespace: "org", Limits: limits{placement.NameCPU: {Soft: 1, BurstPercent: 300, BurstFor: 1}}})
	require.NoError(f, err)
	_, err = l.Create(quota.Spec{Namespace: "ns", Parent: "org", Default: true})
	require.NoError(f, err)
	_, err = l.Charge("x", "y", quota.Instance(placement.Resources{CPU: 2, Custom: map[string]int64{"z": 1}}))
	require.NoError(f, err)
	data, err := json.Marshal(l.Snapshot())
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var snapshot quota.Snapshot
		if json.Unmarshal(data, &snapshot) != nil {
			return
		}
		var l quota.Ledger
		if err := l.Restore(snapshot); err != nil {
			require.Empty(t, l.Snapshot())
			return
		}
		require.NoError(t, l.Verify())
		first := l.Snapshot()
		var again quota.Ledger
		require.NoError(t, again.Restore(first))
		second := again.Snapshot()
		second.Version = first.Version
		require.Equal(t, first, second)
		for c := range l.Charges() {
			_, err := l.Release(c.Namespace, c.ID)
			require.NoError(t, err)
		}
		require.Empty(t, l.Snapshot().State.Accounts)
	})
}

func TestReasonText(t *testing.T) {
	texts := map[quota.Reason]string{
		quota.Hard: "hard", quota.NeverFits: "never fits", quota.BurstExpired: "burst expired", quota.Undeclared: "undeclared", 9: "Reason(9)",
	}
	for _, reason := range slices.Sorted(maps.Keys(texts)) {
		require.Equal(t, texts[reason], reason.String())
		var same quota.Reason
		if err := same.UnmarshalText([]byte(reason.String())); reason == 9 {
			require.EqualError(t, err, `quota: unknown reason "Reason(9)"`)
		} else {
			require.NoError(t, err)
			require.Equal(t, reason, same)
		}
	}
	data, err := json.Marshal(quota.Violation{Namespace: "ns", Reason: quota.Undeclared})
	require.NoError(t, err)
	require.JSONEq(t, `{"namespace":"ns","reason":"undeclared","requested":0,"used":0,"soft":0,"ceiling":0,"shortfall":0}`, string(data))
}
