package quota_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// cpuOver is CPU alone, reserved from so many hours after now on for an hour.
func cpuOver(c *clock, milli int64, from time.Duration) quota.Timed {
	t := quota.Timed{
		Amounts: placement.Amounts{Resources: placement.Resources{CPU: milli}}, Reserved: true,
		Until: c.Now().Add((from + 1) * time.Hour),
	}
	if from > 0 {
		t.From = c.Now().Add(from * time.Hour)
	}
	return t
}

// TestWhatIsReservedEndsByItself, and the share that may be reserved counts what is on.
func TestWhatIsReservedEndsByItself(t *testing.T) {
	l, c := newLedger(t, nil)
	_, err := l.Update(quota.Spec{Namespace: "ns", Limits: cpuLimit(8 * core), Reservations: quota.Reservations{Percent: 50}})
	require.NoError(t, err)
	_, err = l.ChargeOver("ns", "on", cpuOver(c, 3*core, 0))
	require.NoError(t, err)
	_, err = l.ChargeOver("ns", "beside", cpuOver(c, 2*core, 0))
	share := requireRefused(t, err, placement.NameCPU, quota.ReservedShare)
	require.Equal(t, int64(3*core), share.Used)
	require.Equal(t, int64(4*core), share.Ceiling)
	c.advance(time.Hour)
	require.Zero(t, used(l, "ns", placement.NameCPU))
	_, charged := l.Charged("ns", "on")
	require.False(t, charged)
	_, err = l.ChargeOver("ns", "after", cpuOver(c, 4*core, 0))
	require.NoError(t, err)

	past := cpuOver(c, core, 0)
	past.Until = c.Now()
	_, err = l.ChargeOver("ns", "past", past)
	require.ErrorIs(t, err, quota.ErrInvalid)
}

// TestARefusalNamesWhatComesFirst: the share that may be reserved, or the limit.
func TestARefusalNamesWhatComesFirst(t *testing.T) {
	for _, shareFirst := range []bool{true, false} {
		l, c := newLedger(t, nil)
		_, err := l.Update(quota.Spec{Namespace: "ns", Limits: cpuLimit(8 * core), Reservations: quota.Reservations{Percent: 50}})
		require.NoError(t, err)
		share, limit := time.Duration(3), time.Duration(1)
		if shareFirst {
			share, limit = limit, share
		}
		_, err = l.ChargeOver("ns", "reserved", cpuOver(c, 4*core, share))
		require.NoError(t, err)
		busy := cpuOver(c, 8*core, limit)
		busy.Reserved = false
		_, err = l.ChargeOver("ns", "busy", busy)
		require.NoError(t, err)
		asked := cpuOver(c, core, 1)
		asked.Until = c.Now().Add(5 * time.Hour)
		_, err = l.ChargeOver("ns", "asked", asked)
		var exceeded *quota.ExceededError
		require.ErrorAs(t, err, &exceeded)
		require.Equal(t, shareFirst, exceeded.Verdict.Violations[0].Reason == quota.ReservedShare)
		require.Equal(t, c.Now().Add(4*time.Hour), exceeded.Verdict.Earliest(), "once there is room for both")
	}
}

// TestWhatIsAheadMovesWithItsNamespace, be it more than can be counted beside others.
func TestWhatIsAheadMovesWithItsNamespace(t *testing.T) {
	l, c := newLedger(t, nil)
	ahead := cpuOver(c, math.MaxInt64-10, 1)
	_, err := l.ChargeOver("ns", "ahead", ahead)
	require.NoError(t, err)
	_, err = l.Create(quota.Spec{Namespace: "org"})
	require.NoError(t, err)
	_, err = l.Update(quota.Spec{Namespace: "ns", Parent: "org"})
	require.NoError(t, err)
	verdict, err := l.Check("org", placement.Amounts{Resources: placement.Resources{CPU: 11}})
	require.NoError(t, err)
	require.False(t, verdict.Allowed())
	verdict, err = l.Check("org", placement.Amounts{Resources: placement.Resources{CPU: 10}})
	require.NoError(t, err)
	require.True(t, verdict.Allowed())
}

// TestNoStartIsNamedWhereNoneHelps: the namespace has no quota at all, or more would be
// charged than can be counted, whenever it begins.
func TestNoStartIsNamedWhereNoneHelps(t *testing.T) {
	c := newClock()
	l, err := quota.New(quota.Config{Now: c.Now, RequireQuota: true, Specs: []quota.Spec{{Namespace: "ns", Reservations: quota.Reservations{Percent: 1}}}})
	require.NoError(t, err)
	for ns, reason := range map[string]quota.ViolationReason{"stranger": quota.Undeclared, "ns": quota.Hard} {
		if ns == "ns" {
			_, err := l.ChargeOver(ns, "most", cpuOver(c, math.MaxInt64-1, 5)) // a part of what is unlimited is too
			require.NoError(t, err)
		}
		_, err := l.ChargeOver(ns, "later", cpuOver(c, 2, 1))
		var exceeded *quota.ExceededError
		require.ErrorAs(t, err, &exceeded, ns)
		require.Equal(t, reason, exceeded.Verdict.Violations[0].Reason)
		require.Zero(t, exceeded.Verdict.Earliest())
	}
}

// TestBoundsOnReservationsAreInclusive, and hold for all below.
func TestBoundsOnReservationsAreInclusive(t *testing.T) {
	var a quota.Accounts
	c := newClock()
	_, err := a.Create(c.Now(), quota.Spec{Namespace: "org", Reservations: quota.Reservations{MaxAhead: time.Hour, MaxLength: time.Hour}})
	require.NoError(t, err)
	_, err = a.Create(c.Now(), quota.Spec{Namespace: "web", Parent: "org"})
	require.NoError(t, err)
	after := func(d time.Duration) time.Time { return c.Now().Add(d) }
	require.True(t, a.CheckReserve(c.Now(), "web", after(time.Hour), after(2*time.Hour)).Allowed())
	for reason, window := range map[quota.ViolationReason][2]time.Time{
		quota.TooFarAhead: {after(time.Hour + 1), after(2 * time.Hour)},
		quota.TooLong:     {after(time.Hour), after(2*time.Hour + 1)},
	} {
		refused := a.CheckReserve(c.Now(), "web", window[0], window[1]).Violations
		require.Len(t, refused, 1)
		require.Equal(t, []any{reason, "org"}, []any{refused[0].Reason, refused[0].Namespace})
	}
}

// TestNothingIsGivenBackThatWasNotCharged, and what is yet to begin can be.
func TestNothingIsGivenBackThatWasNotCharged(t *testing.T) {
	var a quota.Accounts
	c := newClock()
	on, later := cpuOver(c, core, 0), cpuOver(c, core, 1)
	for _, charge := range []quota.Timed{on, later} {
		_, err := a.ChargeOver(c.Now(), "ns", charge)
		require.NoError(t, err)
	}
	more := on
	more.Amounts = placement.Amounts{Resources: placement.Resources{CPU: core + 1}}
	require.ErrorIs(t, a.RemoveOver("ns", more), quota.ErrNotCharged)
	give := func(charges ...quota.Timed) error {
		_, err := a.CheckExchange(c.Now(), quota.Exchange{Namespace: "other", To: []quota.Timed{on}, Freed: func(yield func(string, quota.Timed) bool) {
			for _, charge := range charges {
				if !yield("ns", charge) {
					return
				}
			}
		}})
		return err
	}
	require.NoError(t, give(on, later))
	require.ErrorIs(t, give(on, on), quota.ErrNotCharged)
}

// TestNoStartIsNamedForABurstThatHasEnded: there would be room below the ceiling.
func TestNoStartIsNamedForABurstThatHasEnded(t *testing.T) {
	l, c := newLedger(t, limits{placement.NameCPU: {Soft: 4 * core, BurstPercent: 150, BurstFor: time.Hour}})
	charge(t, l, "bursts", milli(5*core))
	c.advance(time.Hour)
	_, err := l.Charge("ns", "more", milli(1))
	requireRefused(t, err, placement.NameCPU, quota.BurstExpired)
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.Zero(t, exceeded.Verdict.Earliest())
}
