package quota_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func TestEqualFits(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(10*core))
	_, err := l.Charge("ns", "b", milli(1))
	violation := requireRefused(t, err, placement.NameCPU, quota.Hard)
	require.Equal(t, quota.Violation{
		Namespace: "ns", Resource: placement.NameCPU, Reason: quota.Hard,
		Requested: 1, Used: 10_000, Soft: 10_000, Ceiling: 10_000, Shortfall: 1,
	}, violation)
	require.EqualValues(t, 10_000, used(l, "ns", placement.NameCPU))
}

func TestAllDimensionsOrNone(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 10 * core}, placement.NameMemory: {Soft: placement.GiB}})
	before := l.Snapshot()
	_, err := l.Charge("ns", "a", placement.OneInstance(placement.Resources{CPU: core, Memory: 2 * placement.GiB}))
	requireRefused(t, err, placement.NameMemory, quota.NeverFits)
	require.Equal(t, before, l.Snapshot())
}

func TestChecksChangeNothing(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(4*core))
	before := l.Snapshot()
	for i := range int64(1000) {
		verdict, err := l.Check("ns", milli(i*20))
		require.NoError(t, err)
		require.Equal(t, i*20 <= 6*core, verdict.Allowed())
	}
	require.Equal(t, before, l.Snapshot())
}

func TestLimitIsExactAtAnyConcurrency(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameInstances: {Soft: 10}})
	var admitted atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			if _, err := l.Charge("ns", fmt.Sprint(i), milli(0)); err == nil {
				admitted.Add(1)
			} else if !errors.Is(err, quota.ErrExceeded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 10, admitted.Load())
	require.EqualValues(t, 10, used(l, "ns", placement.NameInstances))
}

func TestChargeIsIdempotent(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(3*core))
	charge(t, l, "a", milli(2*core))
	version := l.Version()
	charge(t, l, "a", milli(2*core)) // a second 2 would not fit
	require.EqualValues(t, 2*core, used(l, "ns", placement.NameCPU))
	require.Equal(t, version, l.Version())
}

func TestOtherChargeConflicts(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(2*core))
	_, err := l.Charge("ns", "a", milli(3*core))
	require.ErrorIs(t, err, quota.ErrConflict)
	var conflict *quota.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, &quota.ConflictError{Namespace: "ns", ID: "a", Charged: milli(2 * core)}, conflict)
	require.EqualValues(t, 2*core, used(l, "ns", placement.NameCPU))

	_, err = l.Resize("ns", "a", milli(3*core))
	require.NoError(t, err)
	require.EqualValues(t, 3*core, used(l, "ns", placement.NameCPU))
	version := l.Version()
	_, err = l.Resize("ns", "a", milli(3*core))
	require.NoError(t, err)
	require.Equal(t, version, l.Version(), "the amounts are those charged")
}

func TestReleaseGivesBackOnce(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(2*core))
	charge(t, l, "b", milli(core))
	for c := range l.Charges() {
		require.Equal(t, "a", c.ID)
		break
	}
	var released, missing atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			amounts, err := l.Release("ns", "a")
			switch {
			case err == nil && amounts.Equal(milli(2*core)):
				released.Add(1)
			case errors.Is(err, quota.ErrNotCharged):
				missing.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, released.Load())
	require.EqualValues(t, 7, missing.Load())
	require.EqualValues(t, core, used(l, "ns", placement.NameCPU))
}

func TestCreationFails(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(2*core))
	before := l.Usage("ns")
	create := func() error { return errors.New("no such image") }

	charge(t, l, "b", milli(8*core))
	require.Error(t, create())
	_, err := l.Release("ns", "b")
	require.NoError(t, err)
	require.Equal(t, before, l.Usage("ns"))
}

func TestLoweredLimitEvictsNothing(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(3*core))
	charge(t, l, "b", milli(5*core))
	over, err := l.Update(quota.Spec{Namespace: "ns", Limits: cpuLimit(6 * core)})
	require.NoError(t, err)
	require.Len(t, over, 1)
	require.Equal(t, placement.NameCPU, over[0].Resource)
	require.EqualValues(t, 8*core, over[0].Used)
	require.EqualValues(t, 6*core, over[0].Ceiling)
	require.True(t, over[0].Over())
	require.False(t, over[0].Bursting())
	require.Len(t, slices.Collect(l.ChargesOf("ns")), 2, "nothing is evicted")

	_, err = l.Charge("ns", "c", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.Hard)
	charge(t, l, "d", placement.Amounts{Resources: placement.Resources{Memory: placement.GiB}})
	_, err = l.Release("ns", "a")
	require.NoError(t, err)
	charge(t, l, "e", milli(core))
}

func TestResizeAboveLoweredLimit(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	charge(t, l, "a", milli(4*core))
	charge(t, l, "b", milli(4*core))
	_, err := l.Update(quota.Spec{Namespace: "ns", Limits: cpuLimit(6 * core)})
	require.NoError(t, err)
	_, err = l.Resize("ns", "a", milli(5*core))
	violation := requireRefused(t, err, placement.NameCPU, quota.Hard)
	require.EqualValues(t, core, violation.Requested)
	require.EqualValues(t, 3*core, violation.Shortfall)
	amounts, _ := l.Charged("ns", "a")
	require.Equal(t, milli(4*core), amounts)

	_, err = l.Resize("ns", "a", milli(3*core))
	require.NoError(t, err, "shrinking is allowed while over")
	_, err = l.Resize("ns", "a", placement.OneInstance(placement.Resources{CPU: 3 * core, Memory: placement.GiB}))
	require.NoError(t, err, "another dimension grows while over")
}

func TestOverBlocksOneDimensionOnly(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 2 * core}, placement.NameMemory: {Soft: placement.GiB}})
	charge(t, l, "a", milli(2*core))
	_, err := l.Update(quota.Spec{Namespace: "ns", Limits: limits{
		placement.NameCPU: {Soft: core}, placement.NameMemory: {Soft: placement.GiB},
	}})
	require.NoError(t, err)
	charge(t, l, "b", placement.OneInstance(placement.Resources{Memory: placement.GiB}))
}

func TestAbsentAndZero(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameGPU: {}})
	charge(t, l, "a", placement.OneInstance(placement.Resources{CPU: 1 << 50, Memory: 1 << 60}))
	_, err := l.Charge("ns", "b", placement.OneInstance(placement.Resources{GPU: 1}))
	requireRefused(t, err, placement.NameGPU, quota.NeverFits)
}

func TestDeleteInUse(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	for _, id := range []string{"d", "b", "a", "c"} {
		charge(t, l, id, milli(core))
	}
	err := l.Delete("ns")
	require.ErrorIs(t, err, quota.ErrInUse)
	var inUse *quota.InUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, &quota.InUseError{Namespace: "ns", By: quota.ByCharges, Count: 4, IDs: []string{"a", "b", "c"}}, inUse)

	for _, id := range []string{"a", "b", "c", "d"} {
		_, err := l.Release("ns", id)
		require.NoError(t, err)
	}
	require.NoError(t, l.Delete("ns"))
	require.ErrorIs(t, l.Delete("ns"), quota.ErrNotFound)
}

func TestBurst(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 10 * core, BurstPercent: 150}})
	require.Empty(t, charge(t, l, "a", milli(10*core)).Bursting())
	verdict := charge(t, l, "b", milli(5*core))
	verdict.Bursting()[0] = "changed by the caller"
	require.Equal(t, []placement.ResourceName{placement.NameCPU}, verdict.Bursting())
	require.False(t, verdict.WaitingHelps(), "it is admitted")
	_, err := l.Charge("ns", "c", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.Hard)
}

func TestBurstOff(t *testing.T) {
	for _, percent := range []int{0, 100} {
		require.EqualValues(t, 10*core, quota.Limit{Soft: 10 * core, BurstPercent: percent}.Ceiling())
		l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 10 * core, BurstPercent: percent}})
		charge(t, l, "a", milli(10*core))
		_, err := l.Charge("ns", "b", milli(1))
		requireRefused(t, err, placement.NameCPU, quota.Hard)
	}
}

func TestBurstInOneDimension(t *testing.T) {
	l, _ := newLedger(t, limits{
		placement.NameCPU:    {Soft: core, BurstPercent: 200},
		placement.NameMemory: {Soft: placement.GiB},
	})
	_, err := l.Charge("ns", "a", placement.OneInstance(placement.Resources{CPU: 2 * core, Memory: placement.GiB + 1}))
	requireRefused(t, err, placement.NameMemory, quota.NeverFits)
	charge(t, l, "b", placement.OneInstance(placement.Resources{CPU: 2 * core, Memory: placement.GiB}))
}

func TestCeilingRoundsDown(t *testing.T) {
	tests := []struct {
		soft    int64
		percent int
		ceiling int64
	}{
		{333, 150, 499},
		{7, 150, 10},
		{1, 150, 1},
		{0, 10_000, 0},
		{math.MaxInt64, 100, math.MaxInt64},
		{math.MaxInt64, 10_000, math.MaxInt64},
		{math.MaxInt64/100 + 1, 10_000, math.MaxInt64},
		{math.MaxInt64 / 100, 10_000, math.MaxInt64 / 100 * 100},
		{math.MaxInt64 / 2, 199, 9177255176670501926},
	}
	for _, tt := range tests {
		require.Equal(t, tt.ceiling, quota.Limit{Soft: tt.soft, BurstPercent: tt.percent}.Ceiling(), tt)
	}
	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 333, BurstPercent: 150}})
	_, err := l.Charge("ns", "a", milli(500))
	requireRefused(t, err, placement.NameCPU, quota.NeverFits)
	charge(t, l, "a", milli(499))
}

func TestBurstPercentInvalid(t *testing.T) {
	tests := []struct {
		name  string
		limit quota.Limit
	}{
		{"99", quota.Limit{Soft: 1, BurstPercent: 99}},
		{"1", quota.Limit{Soft: 1, BurstPercent: 1}},
		{"negative", quota.Limit{Soft: 1, BurstPercent: -1}},
		{"off, and yet for a time", quota.Limit{Soft: 1, BurstFor: time.Second}},
		{"too much", quota.Limit{Soft: 1, BurstPercent: 1_000_000_000}},
		{"negative time", quota.Limit{Soft: 1, BurstPercent: 150, BurstFor: -time.Second}},
		{"negative soft", quota.Limit{Soft: -1}},
	}
	l, _ := newLedger(t, cpuLimit(10*core))
	before := l.Snapshot()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := quota.Spec{Namespace: "ns", Limits: limits{placement.NameCPU: tt.limit}}
			_, err := l.Update(spec)
			require.ErrorIs(t, err, quota.ErrInvalid)
			spec.Namespace = "other"
			_, err = l.Create(spec)
			require.ErrorIs(t, err, quota.ErrInvalid)
			_, err = quota.New(quota.Config{Specs: []quota.Spec{spec}})
			require.ErrorIs(t, err, quota.ErrInvalid)
			require.Equal(t, before, l.Snapshot())
		})
	}
}

func TestBurstExpires(t *testing.T) {
	l, c := newLedger(t, limits{placement.NameCPU: {Soft: 10 * core, BurstPercent: 200, BurstFor: time.Minute}})
	charge(t, l, "a", milli(10*core))
	c.advance(time.Hour) // at Soft no time runs
	began := c.Now()
	charge(t, l, "b", milli(core))
	c.advance(59 * time.Second)
	charge(t, l, "c", milli(core))
	deadline, ok := l.NextDeadline()
	require.True(t, ok)
	require.Equal(t, began.Add(time.Minute), deadline)

	c.advance(time.Second)
	_, err := l.Charge("ns", "d", milli(1))
	violation := requireRefused(t, err, placement.NameCPU, quota.BurstExpired)
	require.Equal(t, began.Add(time.Minute), violation.BurstEnd)
	require.EqualValues(t, 2*core+1, violation.Shortfall)
	require.Equal(t, []quota.Usage{
		{Namespace: "ns", Resource: placement.NameInstances, Used: 3, Soft: math.MaxInt64, Ceiling: math.MaxInt64},
		{
			Namespace: "ns", Resource: placement.NameCPU, Used: 12 * core, Soft: 10 * core, Ceiling: 20 * core,
			Since: began, BurstEnd: began.Add(time.Minute), Expired: true,
		},
	}, l.Usage("ns"))
	ended := l.Sweep()
	require.Len(t, ended, 1)
	require.Equal(t, l.Usage("ns")[1], ended[0])
	require.True(t, ended[0].Over(), "though below the ceiling")
	require.Empty(t, l.Sweep(), "it is reported once")
	_, ok = l.NextDeadline()
	require.False(t, ok)

	_, err = l.Release("ns", "c")
	require.NoError(t, err)
	_, err = l.Charge("ns", "d", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.BurstExpired)
	_, err = l.Release("ns", "b")
	require.NoError(t, err)
	c.advance(time.Minute)
	charge(t, l, "b", milli(core)) // a new burst
	c.advance(59 * time.Second)
	charge(t, l, "c", milli(core))
}

// TestClockSetBackGoesAtHalfPace: a clock that steps back neither resumes a burst that has
// ended nor prolongs the next one.
func TestClockSetBackGoesAtHalfPace(t *testing.T) {
	l, c := newLedger(t, limits{placement.NameCPU: {Soft: core, BurstPercent: 300, BurstFor: time.Minute}})
	charge(t, l, "a", milli(core))
	charge(t, l, "b", milli(core))
	c.advance(time.Minute)
	end := c.Now()
	_, err := l.Charge("ns", "c", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.BurstExpired)
	c.advance(-time.Hour)
	_, err = l.Charge("ns", "c", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.BurstExpired)
	require.Len(t, l.Sweep(), 1)
	_, ok := l.NextDeadline()
	require.False(t, ok)

	_, err = l.Release("ns", "b")
	require.NoError(t, err)
	charge(t, l, "b", milli(core))
	next, ok := l.NextDeadline()
	require.True(t, ok)
	require.Equal(t, end.Add(time.Minute), next)
	c.advance(2*time.Minute - 1)
	charge(t, l, "c", milli(1))
	c.advance(1) // half pace, until the hour is made up for
	_, err = l.Charge("ns", "d", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.BurstExpired)
}

func TestNoRounding(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(core))
	tenth, err := placement.Cores(0.1)
	require.NoError(t, err)
	for i := range 10 {
		charge(t, l, fmt.Sprint(i), milli(tenth))
	}
	l, _ = newLedger(t, cpuLimit(300))
	for i := range 3 {
		charge(t, l, fmt.Sprint(i), milli(tenth))
	}
}

func TestNoResidue(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 1 << 40}, "licences": {Soft: 1 << 40}})
	amounts := func(i int64) placement.Amounts {
		return placement.Amounts{Instances: i % 3, Resources: placement.Resources{
			CPU: i * 7 % 1001, Memory: i * 13, Disk: i % 5, Network: i, GPU: i % 1000, Custom: map[string]int64{"licences": i % 4},
		}}
	}
	for i := range int64(50_000) {
		charge(t, l, fmt.Sprint(i), amounts(i))
		if i >= 100 {
			_, err := l.Release("ns", fmt.Sprint(i-100))
			require.NoError(t, err)
		}
	}
	require.Len(t, slices.Collect(l.Charges()), 100)
	for i := range 100 {
		_, err := l.Release("ns", fmt.Sprint(49_999-i))
		require.NoError(t, err)
	}
	for _, usage := range l.Usage("ns") {
		require.Zero(t, usage.Used, usage.Resource)
	}
}

func TestCoresAreExact(t *testing.T) {
	for k := range int64(1_000_000) {
		if got, err := placement.Cores(float64(k+1) / 1000); got != k+1 || err != nil {
			require.Equal(t, k+1, got, err)
		}
	}
	l, _ := newLedger(t, cpuLimit(2004))
	for _, cores := range []float64{1.001, 1.003} {
		n, err := placement.Cores(cores)
		require.NoError(t, err)
		charge(t, l, fmt.Sprint(cores), milli(n))
	}
	require.EqualValues(t, 2004, used(l, "ns", placement.NameCPU))
}

func TestBadAmounts(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(10*core))
	before := l.Snapshot()
	for _, cores := range []float64{math.NaN(), math.Inf(1), -0.5, 1e300} {
		_, err := placement.Cores(cores)
		require.ErrorIs(t, err, placement.ErrInvalid)
	}
	for _, amounts := range []placement.Amounts{
		milli(-1),
		{Instances: -1},
		{Resources: placement.Resources{GPU: math.MinInt64}},
		{Resources: placement.Resources{Custom: map[string]int64{"x": -1}}},
		{Resources: placement.Resources{Custom: map[string]int64{"cpu": 1}}},
		{Resources: placement.Resources{Custom: map[string]int64{"not a name": 1}}},
	} {
		_, err := l.Charge("ns", "a", amounts)
		require.ErrorIs(t, err, quota.ErrInvalid)
		_, err = l.Check("ns", amounts)
		require.ErrorIs(t, err, quota.ErrInvalid)
	}
	require.Equal(t, before, l.Snapshot())
}

func TestNeverFits(t *testing.T) {
	l, _ := newLedger(t, limits{placement.NameCPU: {Soft: 10 * core, BurstPercent: 150}})
	verdict, err := l.Charge("ns", "a", milli(15*core+1))
	requireRefused(t, err, placement.NameCPU, quota.NeverFits)
	require.False(t, verdict.WaitingHelps())
	charge(t, l, "a", milli(15*core))
	verdict, err = l.Charge("ns", "b", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.Hard)
	require.True(t, verdict.WaitingHelps())
}

func TestSnapshotIsOneInstant(t *testing.T) {
	l, _ := newLedger(t, cpuLimit(1<<40))
	var all sync.WaitGroup
	for g := range 10 {
		all.Go(func() {
			for i := range 10_000 {
				id := fmt.Sprintf("%d-%d", g, i%20)
				if _, err := l.Charge("ns", id, milli(int64(i))); err != nil {
					_, err = l.Release("ns", id)
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 50 {
		snapshot := l.Snapshot()
		var sum, count int64
		for _, c := range snapshot.Charges {
			sum += c.Amounts.Resources.CPU
			count++
		}
		for _, account := range snapshot.State.Accounts {
			require.Equal(t, sum, account.Used.Resources.CPU)
			require.EqualValues(t, count, account.Charges)
		}
		require.NoError(t, l.Verify())
	}
	all.Wait()
}

func TestParentCycle(t *testing.T) {
	l, _ := newLedger(t, nil)
	_, err := l.Create(quota.Spec{Namespace: "self", Parent: "self"})
	require.ErrorIs(t, err, quota.ErrInvalid)
	_, err = l.Create(quota.Spec{Namespace: "a"})
	require.NoError(t, err)
	_, err = l.Create(quota.Spec{Namespace: "b", Parent: "a"})
	require.NoError(t, err)
	before := l.Snapshot()
	_, err = l.Update(quota.Spec{Namespace: "a", Parent: "b"})
	require.ErrorIs(t, err, quota.ErrInvalid)
	require.Equal(t, before, l.Snapshot())

	_, err = quota.New(quota.Config{Specs: []quota.Spec{
		{Namespace: "a", Parent: "c"}, {Namespace: "b", Parent: "a"}, {Namespace: "c", Parent: "b"}, {Namespace: "below", Parent: "a"},
	}})
	require.ErrorIs(t, err, quota.ErrInvalid)
	require.ErrorContains(t, err, "cycle")
}

func TestDeleteIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLedger(t, cpuLimit(0))
		_, err := l.Charge("ns", "a", milli(1))
		var exceeded *quota.ExceededError
		require.ErrorAs(t, err, &exceeded)
		woken := make(chan error, 1)
		go func() { woken <- l.Wait(t.Context(), exceeded.Version) }()
		synctest.Wait()

		require.NoError(t, l.Delete("ns"))
		require.NoError(t, <-woken)
		require.Empty(t, slices.Collect(l.Specs()))
		require.Empty(t, slices.Collect(l.Namespaces()))
		require.Empty(t, l.Usage("ns"))
		require.Empty(t, l.Snapshot().State)
		_, ok := l.Spec("ns")
		require.False(t, ok)
	})
}

func TestExportAndImport(t *testing.T) {
	old, _ := newLedger(t, cpuLimit(10*core))
	for i := range int64(9) {
		charge(t, old, fmt.Sprint(i), milli(core))
	}
	_, err := old.Charge("free", "x", milli(core))
	require.NoError(t, err)

	same, _ := newLedger(t, cpuLimit(10*core))
	over, err := same.Import(old.Charges())
	require.NoError(t, err)
	require.Empty(t, over)
	require.Equal(t, old.Snapshot().State, same.Snapshot().State)
	require.Equal(t, old.Snapshot().Charges, same.Snapshot().Charges)

	small, _ := newLedger(t, cpuLimit(5*core))
	over, err = small.Import(old.Charges())
	require.NoError(t, err)
	require.Len(t, over, 1)
	require.True(t, over[0].Over())
	require.EqualValues(t, 9*core, over[0].Used)
	_, err = small.Charge("ns", "more", milli(1))
	require.ErrorIs(t, err, quota.ErrExceeded)

	// What was imported can be given back, and so counts exactly.
	for c := range old.Charges() {
		_, err := small.Release(c.Namespace, c.ID)
		require.NoError(t, err)
	}
	require.Zero(t, used(small, "ns", placement.NameCPU))

	// All of an import, or nothing.
	before := same.Snapshot()
	_, err = same.Import(slices.Values([]quota.Charge{
		{Namespace: "ns", ID: "new", Amounts: milli(1)},
		{Namespace: "ns", ID: "3", Amounts: milli(1)},
	}))
	require.ErrorIs(t, err, quota.ErrConflict)
	require.Equal(t, before, same.Snapshot())

	// A snapshot goes through JSON and comes back as it was.
	data, err := json.Marshal(before)
	require.NoError(t, err)
	var decoded quota.Snapshot
	require.NoError(t, json.Unmarshal(data, &decoded))
	var restored quota.Ledger
	require.NoError(t, restored.Restore(decoded))
	again := restored.Snapshot()
	require.Greater(t, again.Version, before.Version)
	again.Version = before.Version
	require.Equal(t, before, again)
}
