package quota_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// TestExchange: what one namespace gives back makes room for another at the
// levels that they share, and only there.
func TestExchange(t *testing.T) {
	now := newClock().Now()
	var a quota.Accounts
	for _, spec := range []quota.Spec{
		{Namespace: "org", Limits: limits{placement.NameCPU: {Soft: 10 * core}}},
		{Namespace: "x", Parent: "org", Limits: limits{placement.NameCPU: {Soft: 8 * core}}},
		{Namespace: "y", Parent: "org"},
		{Namespace: "alone"},
	} {
		_, err := a.Create(now, spec)
		require.NoError(t, err)
	}
	give := func(ns string, cores int64) quota.Charge {
		return quota.Charge{Namespace: ns, Amounts: milli(cores * core)}
	}
	exchange := func(to placement.Amounts, freed ...quota.Charge) quota.Exchange {
		return quota.Exchange{Namespace: "x", To: []quota.Timed{{Amounts: to, Reserved: true}}, Freed: list(freed...)}
	}
	for _, c := range []quota.Charge{give("x", 6), give("y", 2), give("y", 2), give("alone", 9)} {
		_, err := a.Charge(now, c.Namespace, c.Amounts, quota.SoftOnly)
		require.NoError(t, err)
	}
	tests := []struct {
		name    string
		grows   int64 // by how much, in x
		freed   []quota.Charge
		refuses string
	}{
		{"nothing given", 2, nil, "org"},
		{"by a sibling", 2, []quota.Charge{give("y", 2)}, ""},
		{"by a sibling in parts", 2, []quota.Charge{give("y", 1), give("y", 1)}, ""},
		{"too little", 2, []quota.Charge{give("y", 1)}, "org"},
		{"by a stranger", 2, []quota.Charge{give("alone", 9)}, "org"},
		{"by a sibling, beyond the own limit", 3, []quota.Charge{give("y", 4)}, "x"},
		{"by itself", 3, []quota.Charge{give("x", 3)}, ""},
		{"by itself and a sibling", 4, []quota.Charge{give("x", 2), give("y", 2)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := a.Snapshot()
			verdict, err := a.CheckExchange(now.Add(time.Hour), exchange(milli(tt.grows*core), tt.freed...))
			require.NoError(t, err)
			require.Equal(t, before, a.Snapshot())
			require.Equal(t, tt.refuses == "", verdict.Allowed())
			if tt.refuses != "" {
				require.Equal(t, tt.refuses, verdict.Violations[0].Namespace)
			}
		})
	}
	verdict, err := a.CheckExchange(now, quota.Exchange{Namespace: "x", To: []quota.Timed{{Amounts: milli(2 * core)}}})
	require.NoError(t, err)
	require.False(t, verdict.Allowed(), "without Freed nothing is given back")
	for _, freed := range []quota.Charge{give("y", 5), give("nobody", 0)} {
		_, err := a.CheckExchange(now, exchange(milli(1), freed))
		require.ErrorIs(t, err, quota.ErrNotCharged)
	}
	most := quota.Charge{Namespace: "alone", Amounts: milli(math.MaxInt64)}
	_, err = a.Charge(now, "alone", milli(math.MaxInt64-9*core), quota.SoftOnly)
	require.NoError(t, err)
	_, err = a.CheckExchange(now, exchange(milli(1), most, most))
	require.ErrorIs(t, err, quota.ErrNotCharged, "twice what is there")
	_, err = a.CheckExchange(now, exchange(milli(1), give("y", -1)))
	require.ErrorIs(t, err, quota.ErrInvalid)
	_, err = a.CheckExchange(now, exchange(milli(-1)))
	require.ErrorIs(t, err, quota.ErrInvalid)
}

// TestReservedTakesTheShareOfWhatItReplaces: what gives way to a reservation and was
// not reserved itself leaves no more that may be.
func TestReservedTakesTheShareOfWhatItReplaces(t *testing.T) {
	now := newClock().Now()
	var a quota.Accounts
	_, err := a.Create(now, quota.Spec{
		Namespace: "ns", Limits: limits{placement.NameCPU: {Soft: 8}}, Reservations: quota.Reservations{Percent: 50},
	})
	require.NoError(t, err)
	running := quota.Timed{Amounts: milli(6), Until: now.Add(time.Hour)}
	_, err = a.ChargeOver(now, "ns", running)
	require.NoError(t, err)
	for _, tt := range []struct {
		cpu     int64
		refuses bool
	}{{4, false}, {5, true}, {7, true}} {
		held := quota.Timed{Amounts: milli(tt.cpu), Until: running.Until, Reserved: true}
		verdict, err := a.CheckExchange(now, quota.Exchange{Namespace: "ns", From: []quota.Timed{running}, To: []quota.Timed{held}})
		require.NoError(t, err)
		require.Equal(t, tt.refuses, !verdict.Allowed(), tt.cpu)
		if tt.refuses {
			require.Equal(t, quota.ReservedShare, verdict.Violations[0].Reason)
		}
	}
}

// TestWhatStaysForLongerCanBeCounted: nothing is admitted beside which a charge that
// is not released at its end could not count any more.
func TestWhatStaysForLongerCanBeCounted(t *testing.T) {
	now := newClock().Now()
	var a quota.Accounts
	end := now.Add(time.Hour)
	running := quota.Timed{Amounts: milli(1000), Until: end}
	_, err := a.ChargeOver(now, "ns", running)
	require.NoError(t, err)
	later := quota.Timed{Amounts: milli(math.MaxInt64 - 999), From: end}
	_, err = a.ChargeOver(now, "ns", later)
	requireRefused(t, err, placement.NameCPU, quota.Hard)
	_, err = a.AddOver(now, "ns", later)
	require.ErrorIs(t, err, quota.ErrExceeded)
	later.Amounts.Resources.CPU--
	_, err = a.ChargeOver(now, "ns", later)
	require.NoError(t, err)
	_, err = a.Charge(now, "ns", milli(1), quota.MayBurst)
	require.ErrorIs(t, err, quota.ErrExceeded)
	endless := running
	endless.Until = time.Time{}
	_, err = a.ReplaceOver(end, "ns", running, endless)
	require.NoError(t, err)
}
