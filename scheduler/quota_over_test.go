package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// hourly is a reservation that begins so many hours from now.
func hourly(c *clock, id string, cores int64, from time.Duration) reservation.Spec {
	spec := holding(id, cores, 1)
	spec.Start = c.Now().Add(from)
	return spec
}

// TestQuotaOfConsecutiveHours: a limit of 8 lets 8 be reserved for each of two
// hours, and an instance run before them that is to have left by then. One without
// an end counts forever, as it does on nodes.
func TestQuotaOfConsecutiveHours(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	createQuota(t, s, cpuQuota("ns", 8))
	reserve(t, s, hourly(c, "first", 8, time.Hour))
	reserve(t, s, hourly(c, "second", 8, 2*time.Hour))
	_, err := s.Reserve(t.Context(), hourly(c, "third", 1, 150*time.Minute))
	require.ErrorIs(t, err, quota.ErrExceeded)

	_, err = s.Place(t.Context(), onlyCPU("endless", 1))
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.Equal(t, c.Now().Add(time.Hour), exceeded.Verdict.Violations[0].At)
	require.Equal(t, c.Now().Add(3*time.Hour), exceeded.Verdict.Earliest())

	short := onlyCPU("short", 1)
	short.Duration = time.Hour
	place(t, s, short)
	long := onlyCPU("long", 1)
	long.Duration = time.Hour + 1
	_, err = s.Place(t.Context(), long)
	require.ErrorIs(t, err, quota.ErrExceeded)
	require.EqualValues(t, placement.Core, quotaUsed(t, s, "ns"), "what is ahead is not used yet")
	require.EqualValues(t, 8*placement.Core, usedOver(t, s, c.Now(), 2*time.Hour))
	require.NoError(t, s.VerifyQuota(t.Context()))

	c.advance(90 * time.Minute) // short has overstayed: it counts until it is released
	require.EqualValues(t, 9*placement.Core, quotaUsed(t, s, "ns"))
	require.EqualValues(t, 9*placement.Core, usedOver(t, s, c.Now(), 2*time.Hour))
	require.NoError(t, s.VerifyQuota(t.Context()))
	require.NoError(t, s.Release(t.Context(), "short"))
	require.EqualValues(t, 8*placement.Core, quotaUsed(t, s, "ns"))
	c.advance(2 * time.Hour)
	require.Zero(t, quotaUsed(t, s, "ns"))
	place(t, s, onlyCPU("endless", 8))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func quotaUsed(t testHelper, s *Scheduler, ns string) int64 {
	t.Helper()
	rows, err := s.QuotaUsage(t.Context(), ns)
	require.NoError(t, err)
	return cpuRow(rows)
}

func usedOver(t testHelper, s *Scheduler, from time.Time, length time.Duration) int64 {
	t.Helper()
	rows, err := s.QuotaUsageOver(t.Context(), "ns", from, from.Add(length))
	require.NoError(t, err)
	return cpuRow(rows)
}

func cpuRow(rows []quota.Usage) int64 {
	for _, row := range rows {
		if row.Resource == placement.NameCPU {
			return row.Used
		}
	}
	return 0
}

// TestEarliestStartOfAReservationWorks, and one nanosecond earlier does not.
func TestEarliestStartOfAReservationWorks(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	createQuota(t, s, cpuQuota("ns", 8))
	reserve(t, s, hourly(c, "a", 6, time.Hour))
	reserve(t, s, hourly(c, "b", 6, 150*time.Minute))
	_, err := s.Reserve(t.Context(), hourly(c, "x", 4, 30*time.Minute))
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.Equal(t, c.Now().Add(time.Hour), exceeded.Verdict.Violations[0].At)
	earliest := exceeded.Verdict.Earliest()
	require.Equal(t, c.Now().Add(210*time.Minute), earliest, "half an hour between the two is too short")
	spec := holding("x", 4, 1)
	spec.Start = earliest.Add(-1)
	_, err = s.Reserve(t.Context(), spec)
	require.ErrorIs(t, err, quota.ErrExceeded)
	spec.Start = earliest
	reserve(t, s, spec)

	_, err = s.Extend(t.Context(), "a", c.Now().Add(3*time.Hour))
	require.ErrorIs(t, err, quota.ErrExceeded, "it would meet b")
	_, err = s.Extend(t.Context(), "a", c.Now().Add(150*time.Minute))
	require.NoError(t, err, "up to where b begins")
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestBoundsOnReservations: how far ahead, how long and how much.
func TestBoundsOnReservations(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	org := cpuQuota("org", 16)
	org.Reservations = quota.Reservations{MaxAhead: 2 * time.Hour, MaxLength: time.Hour, Percent: 50}
	createQuota(t, s, org)
	createQuota(t, s, quota.Spec{Namespace: "ns", Parent: "org"})
	tests := []struct {
		name   string
		spec   reservation.Spec
		reason quota.ViolationReason
	}{
		{"too far ahead", hourly(c, "x", 1, 2*time.Hour+1), quota.TooFarAhead},
		{"too much at one time", hourly(c, "x", 9, time.Hour), quota.ReservedShare},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Reserve(t.Context(), test.spec)
			var exceeded *quota.ExceededError
			require.ErrorAs(t, err, &exceeded)
			require.Equal(t, test.reason, exceeded.Verdict.Violations[0].Reason)
			require.Equal(t, "org", exceeded.Verdict.Violations[0].Namespace)
		})
	}
	reserve(t, s, hourly(c, "x", 8, 2*time.Hour))
	_, err := s.Extend(t.Context(), "x", c.Now().Add(3*time.Hour+1))
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.Equal(t, quota.TooLong, exceeded.Verdict.Violations[0].Reason)
	verdict, err := s.CheckQuotaOver(t.Context(), "ns", quota.Timed{
		Amounts: placement.OneInstance(placement.Resources{CPU: placement.Core}), Until: c.Now().Add(2 * time.Hour), Reserved: true,
	})
	require.NoError(t, err)
	require.Equal(t, quota.TooLong, verdict.Violations[0].Reason)
	place(t, s, onlyCPU("a", 8)) // not reserved
}

// TestClaimKeepsItsReservationPaying: a claim moves no quota, and what stays after
// the end counts until it is released.
func TestClaimKeepsItsReservationPaying(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	createQuota(t, s, cpuQuota("ns", 8))
	reserve(t, s, holding("r", 8, 1))
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 4))
	require.NoError(t, err)
	reserve(t, s, hourly(c, "next", 8, time.Hour))
	require.EqualValues(t, 8*placement.Core, quotaUsed(t, s, "ns"))
	c.advance(61 * time.Minute)
	require.EqualValues(t, 12*placement.Core, quotaUsed(t, s, "ns"), "a has not left")
	require.NoError(t, s.VerifyQuota(t.Context()))
	require.NoError(t, s.Release(t.Context(), "a"))
	require.EqualValues(t, 8*placement.Core, quotaUsed(t, s, "ns"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestBurstGoesOnWhereOneReservationFollowsAnother: usage is above Soft at every
// instant.
func TestBurstGoesOnWhereOneReservationFollowsAnother(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	spec := cpuQuota("ns", 8)
	spec.Limits[placement.NameCPU] = quota.Limit{Soft: 8 * placement.Core, BurstPercent: 150, BurstFor: 90 * time.Minute}
	createQuota(t, s, spec)
	begin := c.Now()
	reserve(t, s, holding("a", 8, 1))
	reserve(t, s, hourly(c, "b", 8, time.Hour))
	place(t, s, onlyCPU("x", 4))
	c.advance(time.Hour)
	rows, err := s.QuotaUsage(t.Context(), "ns")
	require.NoError(t, err)
	require.Equal(t, begin, rows[1].Since)
}
