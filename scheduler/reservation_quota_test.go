package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

func TestReservationAndQuota(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 16))
	burst := cpuQuota("ns", 8)
	burst.Limits[placement.NameCPU] = quota.Limit{Soft: 8 * placement.Core, BurstPercent: 200}
	createQuota(t, s, burst)
	_, err := s.Reserve(t.Context(), holding("big", 9, 1))
	require.ErrorIs(t, err, quota.ErrExceeded, "holds never burst")
	reserve(t, s, holding("r", 8, 1))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	_, err = s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 8))
	require.NoError(t, err)
	require.Equal(t, int64(8), usedCores(t, s, "ns"), "a claim converts what is held")
	require.NoError(t, s.VerifyQuota(t.Context()))
	require.NoError(t, s.Unclaim(t.Context(), "a"))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	_, err = s.ResizeReservation(t.Context(), "r", placement.Resources{CPU: 9 * placement.Core}, 0)
	require.ErrorIs(t, err, quota.ErrExceeded)
	_, err = s.ResizeReservation(t.Context(), "r", placement.Resources{CPU: 4 * placement.Core}, 0)
	require.NoError(t, err)
	require.Equal(t, int64(4), usedCores(t, s, "ns"))
	require.NoError(t, s.ReleaseReservation(t.Context(), "r", false))
	require.Zero(t, usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestClaimThatNeedsNothingMoreAsksNoQuota(t *testing.T) {
	s := newTestScheduler(t, Config{RequireQuota: true})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.Reserve(t.Context(), holding("r", 2, 1))
	require.ErrorIs(t, err, quota.ErrExceeded, "undeclared")
	_, err = s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	spec := holding("r", 2, 1)
	spec.Owners = []string{"guest"}
	reserve(t, s, spec)
	req := onlyCPU("a", 2)
	req.Namespace = "guest"
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestLostSlotsReturnAsFarAsTheQuotaGoes(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	addNodes(t, s, testNode("n1", 2), testNode("n2", 4))
	reserve(t, s, holding("r", 2, 3))
	require.NoError(t, s.MarkLost(ctx, "n2"))
	_, err := s.CreateQuota(ctx, quota.Spec{
		Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4 * placement.Core}},
	})
	require.NoError(t, err)
	require.NoError(t, s.MarkReady(ctx, "n2"))
	r, err := s.Reservation(ctx, "r")
	require.NoError(t, err)
	require.Equal(t, 1, r.Missing())
	require.NoError(t, s.VerifyQuota(ctx))
}

func TestQuotaInUseNamesReservations(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	reserve(t, s, holding("r", 2, 1))
	err = s.DeleteQuota(t.Context(), "ns")
	var used *quota.InUseError
	require.ErrorAs(t, err, &used)
	require.Equal(t, []string{"r"}, used.IDs)
}

func TestDisplacedSlotsPayForTheirSuccessor(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), quota.Spec{
		Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8 * placement.Core}},
	})
	require.NoError(t, err)
	reserve(t, s, holding("low", 8, 1))
	spec := holding("high", 8, 1)
	spec.Priority = 1
	reserve(t, s, spec)
	low, err := s.Reservation(t.Context(), "low")
	require.NoError(t, err)
	require.Equal(t, reservation.Displaced, low.State())
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestDisplacedSlotsPayAcrossNamespaces: where two namespaces share a parent,
// what one loses is free for the other.
func TestDisplacedSlotsPayAcrossNamespaces(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("org", 8))
	for _, ns := range []string{"ns", "other"} {
		createQuota(t, s, quota.Spec{Namespace: ns, Parent: "org"})
	}
	reserve(t, s, holding("low", 4, 2))
	spec := holding("high", 8, 1)
	spec.Namespace, spec.Priority = "other", 1
	reserve(t, s, spec)
	require.Zero(t, usedCores(t, s, "ns"))
	require.Equal(t, int64(8), usedCores(t, s, "org"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestReserveWithoutRoomAndQuota: a refusal for both reasons says both.
func TestReserveWithoutRoomAndQuota(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("ns", 10))
	for count, want := range map[int][]error{2: {nil}, 3: {quota.ErrExceeded, reservation.ErrRefused}} {
		_, err := s.Reserve(t.Context(), holding("r", 4, count))
		for _, one := range want {
			require.ErrorIs(t, err, one)
		}
		_ = s.ReleaseReservation(t.Context(), "r", true)
	}
	place(t, s, onlyCPU("a", 8))
	_, err := s.Reserve(t.Context(), holding("r", 2, 1))
	require.ErrorIs(t, err, reservation.ErrRefused)
	require.NotErrorIs(t, err, quota.ErrExceeded)
}

// What is still there after the end of its reservation counts, and not towards the
// share that may be reserved.
func TestWhatOutstaysIsNotReserved(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	half := cpuQuota("ns", 8)
	half.Reservations.Percent = 50
	createQuota(t, s, half)
	reserve(t, s, holding("r", 4, 1))
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 4))
	require.NoError(t, err)
	c.advance(time.Hour)
	require.EqualValues(t, 4*placement.Core, usedOver(t, s, c.Now(), time.Hour))
	reserve(t, s, hourly(c, "next", 4, 0))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestClaimThatOutlastsItsReservationIsCountedAhead: until it says that it will be
// gone, on the account of the reservation, in the way of what begins after it.
func TestClaimThatOutlastsItsReservationIsCountedAhead(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	s := open(t, Config{Journal: journal, Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	createQuota(t, s, cpuQuota("org", 8))
	for _, ns := range []string{"ns", "guests"} {
		createQuota(t, s, quota.Spec{Namespace: ns, Parent: "org"})
	}
	shared := holding("r", 6, 1)
	shared.Owners = []string{"ns", "guests"}
	reserve(t, s, shared)
	claim := onlyCPU("a", 4)
	claim.Namespace, claim.Duration = "guests", 2*time.Hour
	_, err := s.PlaceFromReservation(t.Context(), "r", claim)
	require.NoError(t, err)
	end := c.Now().Add(time.Hour)
	require.EqualValues(t, 6*placement.Core, usedOver(t, s, c.Now(), time.Hour))
	require.EqualValues(t, 4*placement.Core, usedOver(t, s, end, time.Hour))
	require.Zero(t, usedOver(t, s, end.Add(time.Hour), time.Hour))

	var exceeded *quota.ExceededError
	_, err = s.Reserve(t.Context(), hourly(c, "next", 5, time.Hour))
	require.ErrorAs(t, err, &exceeded)
	require.Equal(t, end, exceeded.Verdict.Violations[0].At)
	require.Equal(t, end.Add(time.Hour), exceeded.Verdict.Earliest())
	reserve(t, s, hourly(c, "next", 3, time.Hour))
	longer := onlyCPU("b", 2)
	longer.Namespace, longer.Duration = "guests", time.Hour+1
	_, err = s.PlaceFromReservation(t.Context(), "r", longer)
	require.ErrorAs(t, err, &exceeded)
	require.Equal(t, end, exceeded.Verdict.Violations[0].At)
	longer.Duration = time.Hour
	_, err = s.PlaceFromReservation(t.Context(), "r", longer)
	require.NoError(t, err)
	require.NoError(t, s.VerifyQuota(t.Context()))
	before := snapshot(t, s)
	s = open(t, Config{Journal: journal, Now: c.Now})
	require.Equal(t, before, snapshot(t, s))

	_, err = s.Extend(t.Context(), "r", c.Now().Add(80*time.Minute))
	require.ErrorAs(t, err, &exceeded)
	require.NoError(t, s.ReleaseReservation(t.Context(), "next", false))
	_, err = s.Extend(t.Context(), "r", c.Now().Add(80*time.Minute))
	require.NoError(t, err)
	require.EqualValues(t, 6*placement.Core, usedOver(t, s, end, 20*time.Minute))
	require.EqualValues(t, 4*placement.Core, usedOver(t, s, end.Add(20*time.Minute), 40*time.Minute))
	require.NoError(t, s.VerifyQuota(t.Context()))
	require.NoError(t, s.Release(t.Context(), "a"))
	require.Zero(t, usedOver(t, s, end.Add(20*time.Minute), 40*time.Minute))
	require.NoError(t, s.VerifyQuota(t.Context()))
}
