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
