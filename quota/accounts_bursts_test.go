package quota_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// bursting is a spec whose CPU and memory may burst for these times; 0 is for
// ever.
func bursting(ns string, cpu, memory time.Duration) quota.Spec {
	return quota.Spec{Namespace: ns, Limits: limits{
		placement.NameCPU:    {Soft: 1, BurstPercent: 300, BurstFor: cpu},
		placement.NameMemory: {Soft: 1, BurstPercent: 300, BurstFor: memory},
	}}
}

func create(t *testing.T, a *quota.Accounts, now time.Time, specs ...quota.Spec) {
	t.Helper()
	for _, spec := range specs {
		_, err := a.Create(now, spec)
		require.NoError(t, err)
	}
}

func addTo(t *testing.T, a *quota.Accounts, now time.Time, ns string, r placement.Resources) {
	t.Helper()
	_, err := a.Add(now, ns, placement.Amounts{Resources: r})
	require.NoError(t, err)
}

// ends returns which bursts have ended, as in "ns cpu".
func ends(a *quota.Accounts, now time.Time) []string {
	var texts []string
	for _, row := range a.Advance(now) {
		texts = append(texts, row.Namespace+" "+string(row.Resource))
	}
	return texts
}

// TestBurstsEndInOrder: by time, then namespace, then dimension, each once and
// only where it ends.
func TestBurstsEndInOrder(t *testing.T) {
	var a quota.Accounts
	now := newClock().Now()
	both := placement.Resources{CPU: 2, Memory: 2}
	create(t, &a, now, bursting("c", time.Minute, time.Minute), bursting("b", time.Minute, time.Second),
		bursting("a", time.Minute, time.Minute), bursting("d", time.Minute, 0))
	for _, ns := range []string{"c", "a", "b"} {
		addTo(t, &a, now, ns, both)
	}
	addTo(t, &a, now, "d", placement.Resources{CPU: 2})
	limit := quota.Limit{Soft: 1, BurstPercent: 300, BurstFor: time.Minute}
	create(t, &a, now, quota.Spec{Namespace: "z-first", Limits: limits{"z": limit}}, quota.Spec{Namespace: "e", Limits: limits{"z": limit, "y": limit}})
	addTo(t, &a, now, "e", placement.Resources{Custom: map[string]int64{"y": 2, "z": 2}})
	addTo(t, &a, now.Add(time.Minute), "d", placement.Resources{Memory: 2}) // for ever, from that instant on
	next, ok := a.NextDeadline()
	require.True(t, ok)
	require.Equal(t, now.Add(time.Second), next)
	require.Empty(t, ends(&a, next.Add(-1)))
	require.Equal(t, []string{"b memory", "a cpu", "a memory", "b cpu", "c cpu", "c memory", "d cpu", "e y", "e z"}, ends(&a, now.Add(time.Minute)))
	require.Empty(t, ends(&a, now.Add(time.Hour)))
	_, ok = a.NextDeadline()
	require.False(t, ok)
}

// TestBurstWithOtherTimes: a spec that gives a burst more time lets it go on, to
// end again; one that gives it less brings its end forward.
func TestBurstWithOtherTimes(t *testing.T) {
	var a quota.Accounts
	now := newClock().Now()
	create(t, &a, now, bursting("ns", time.Minute, 0))
	addTo(t, &a, now, "ns", placement.Resources{CPU: 2})
	update := func(at, burstFor time.Duration) {
		t.Helper()
		_, err := a.Update(now.Add(at), bursting("ns", burstFor, 0))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"ns cpu"}, ends(&a, now.Add(time.Minute)))
	update(time.Minute, 30*time.Second)
	require.Empty(t, ends(&a, now.Add(time.Minute)), "it has ended before")
	update(time.Minute, 2*time.Minute)
	next, ok := a.NextDeadline()
	require.True(t, ok)
	require.Equal(t, now.Add(2*time.Minute), next)
	require.Empty(t, ends(&a, next.Add(-1)))
	update(90*time.Second, 80*time.Second)
	require.Equal(t, []string{"ns cpu"}, ends(&a, now.Add(90*time.Second)))
	update(2*time.Minute, 0)
	update(2*time.Minute, 3*time.Minute)
	require.Equal(t, []string{"ns cpu"}, ends(&a, now.Add(3*time.Minute)))
}

// TestStateKeepsPlainTimes: what a State tells of time does not depend on the
// location or the monotonic part of the time that was given.
func TestStateKeepsPlainTimes(t *testing.T) {
	at := time.Now()
	state := func(now time.Time) quota.AccountsSnapshot {
		var a quota.Accounts
		create(t, &a, now, bursting("ns", time.Minute, 0))
		addTo(t, &a, now, "ns", placement.Resources{CPU: 2})
		return a.Snapshot()
	}
	plain := state(at.Round(0).UTC())
	require.Equal(t, plain, state(at.In(time.FixedZone("east", 3600))))
	require.Equal(t, at.Round(0).UTC(), plain.Accounts[0].Since[placement.NameCPU])
}

// TestBurstGoesOnWhereOneReservationFollowsAnother: usage is above Soft at every
// instant, whatever the order in which charges end and begin.
func TestBurstGoesOnWhereOneReservationFollowsAnother(t *testing.T) {
	for _, ids := range [][2]string{{"a", "b"}, {"b", "a"}} {
		ledger, c := newLedger(t, limits{placement.NameCPU: {Soft: 8, BurstPercent: 150, BurstFor: 90 * time.Minute}})
		begin := c.Now()
		for hour, id := range ids {
			_, err := ledger.ChargeOver("ns", id, quota.Timed{
				Amounts: milli(8), From: begin.Add(time.Duration(hour) * time.Hour), Until: begin.Add(time.Duration(hour+1) * time.Hour), Reserved: true,
			})
			require.NoError(t, err)
		}
		charge(t, ledger, "x", milli(4))
		c.advance(time.Hour)
		require.Equal(t, begin, ledger.Usage("ns")[1].Since)
		c.advance(30 * time.Minute)
		require.Len(t, ledger.Sweep(), 1)
	}
}

// A charge that has outstayed its end is the only timed one: nothing is due by time.
func TestResizeOfWhatOutstaysBeginsABurstNow(t *testing.T) {
	ledger, clock := newLedger(t, limits{placement.NameCPU: {Soft: 10, BurstPercent: 200, BurstFor: time.Minute}})
	_, err := ledger.ChargeOver("ns", "a", quota.Timed{Amounts: milli(5), Until: clock.Now().Add(time.Second)})
	require.NoError(t, err)
	clock.advance(time.Hour)
	ledger.Sweep()
	_, err = ledger.Resize("ns", "a", milli(12))
	require.NoError(t, err)
	clock.advance(time.Minute)
	ended := ledger.Sweep()
	require.Len(t, ended, 1)
	require.Equal(t, int64(12), ended[0].Used)
	require.Equal(t, clock.Now(), ended[0].BurstEnd)
}
