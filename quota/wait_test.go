package quota_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

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

				woken := make(chan error, 3)
				for range 3 {
					go func() { woken <- l.Wait(t.Context(), exceeded.Version) }()
				}
				synctest.Wait()
				_, err = l.Check("ns", milli(1))
				require.NoError(t, err)
				_, err = l.Charge("ns", "b", milli(core))
				require.Error(t, err)
				synctest.Wait()
				require.Empty(t, woken, "nothing has changed yet")

				require.NoError(t, tt.call(l))
				for range 3 {
					require.NoError(t, <-woken)
				}
				require.NoError(t, l.Wait(t.Context(), exceeded.Version), "a change before the call counts")

				go func() { woken <- l.Wait(t.Context(), l.Version()) }()
				synctest.Wait()
				_, err = l.Charge("free", "b", milli(1))
				require.NoError(t, err)
				require.NoError(t, <-woken)
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
	tight := func(ns string) quota.Spec {
		return quota.Spec{Namespace: ns, Limits: limits{placement.NameCPU: {Soft: 10, BurstPercent: 100}}}
	}
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
		{"deadline", func() error { l.NextDeadline(); return nil }, 0},
		{"list of charges", func() error { l.Charges()(func(quota.Charge) bool { return true }); return nil }, 0},
		{"usage", func() error { l.Usage("ns"); return nil }, 1},
		{"sweep", func() error { l.Sweep(); return nil }, 1},
		{"import", func() error { _, err := l.Import(slices.Values([]quota.Charge(nil))); return err }, 1},
		{"spec without a burst", func() error { _, err := l.Create(tight("tight")); return err }, 1},
		{"end of the only burst", func() error { _, err := l.Update(tight("ns")); return err }, 1},
		{"refused without a burst", func() error { _, err := l.Charge("ns", "c", milli(100)); return err }, 0},
		{"spec with a burst", func() error { _, err := l.Create(bursting("again", time.Minute, 0)); return err }, 1},
		{"refused beside a burst", func() error { _, err := l.Charge("ns", "c", milli(100)); return err }, 1},
		{"delete of the only burst", func() error { return l.Delete("again") }, 0},
		{"refused after that", func() error { _, err := l.Charge("ns", "c", milli(100)); return err }, 0},
	}
	for _, tt := range tests {
		readings = 0
		_ = tt.call()
		require.Equal(t, tt.want, readings, tt.name)
	}
}
