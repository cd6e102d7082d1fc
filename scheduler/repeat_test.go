package scheduler

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestRepeatingReservationIsOneInTheJournal: what is recorded are instants, so that
// a replay does not ask what the clocks of a place show.
func TestRepeatingReservationIsOneInTheJournal(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	cfg := Config{Journal: journal, Now: c.Now}
	s := open(t, cfg)
	addNodes(t, s, testNode("n1", 8))
	ci := holding("ci", 8, 1)
	ci.Start, ci.Repeat = c.Now().Add(time.Hour), reservation.Repeat{
		Every: reservation.Daily, Until: c.Now().Add(72 * time.Hour), Location: "Asia/Kathmandu",
	}
	r, err := s.Reserve(t.Context(), ci)
	require.NoError(t, err)
	require.Equal(t, "ci@2026-01-02", r.Spec.ID)
	again, err := s.Reserve(t.Context(), ci)
	require.NoError(t, err)
	require.Equal(t, r, again)
	require.Equal(t, snapshot(t, s), snapshot(t, open(t, cfg)))

	s = open(t, cfg)
	c.advance(25 * time.Hour)
	d, err := s.PlaceFromReservation(t.Context(), "ci", onlyCPU("web", 8))
	require.NoError(t, err)
	same, err := s.PlaceFromReservation(t.Context(), "ci", onlyCPU("web", 8))
	require.NoError(t, err)
	require.Equal(t, d, same)
	info, err := s.Reservation(t.Context(), "ci")
	require.NoError(t, err)
	require.Equal(t, []string{"web"}, info.Instances())
	require.ErrorIs(t, s.ReleaseReservation(t.Context(), "ci", false), ErrInUse)
	require.NoError(t, s.ReleaseReservation(t.Context(), "ci", true))
	require.NoError(t, s.Release(t.Context(), "web"))
	place(t, s, onlyCPU("other", 8))
	require.Equal(t, snapshot(t, s), snapshot(t, open(t, cfg)))
}

// TestRepeatingReservationIsChargedOrRefusedAsOne.
func TestRepeatingReservationIsChargedOrRefusedAsOne(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 7 * placement.Core},
	}})
	require.NoError(t, err)
	ci := holding("ci", 8, 1)
	ci.Namespace, ci.Start = "ns", c.Now().Add(time.Hour)
	ci.Repeat = reservation.Repeat{Every: reservation.Weekly, Until: c.Now().Add(8 * 24 * time.Hour)}
	before := snapshot(t, s)
	_, err = s.Reserve(t.Context(), ci)
	require.ErrorIs(t, err, quota.ErrExceeded)
	require.Equal(t, before, snapshot(t, s))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestJournalWithBadWindowsIsRefused: windows of what was never scheduled, and what
// is scheduled twice.
func TestJournalWithBadWindowsIsRefused(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	spec := holding("ci", 1, 1)
	spec.Repeat = reservation.Repeat{Every: reservation.Daily, Until: newClock().Now().Add(time.Hour)}
	schedule := reservation.PlanChange{Kind: reservation.Schedule, Series: &spec}
	window := reservation.PlanChange{Kind: reservation.Put, Reservation: &reservation.Reservation{
		Spec: holding("ci@2026-01-02", 1, 1), Params: reservation.Params{Shape: spec.Shape, Count: 1}, Series: "ci",
	}}
	require.NoError(t, s.state.checkPlan([]reservation.PlanChange{schedule, window}, nil))
	for _, changes := range [][]reservation.PlanChange{
		{window},
		{schedule, schedule},
		{{Kind: reservation.Schedule}},
		{{Kind: reservation.Vacate, Instance: "x"}},
		{schedule, window, {Kind: reservation.Recall, ID: "ci@2026-01-02"}},
	} {
		require.Error(t, s.state.checkPlan(changes, nil))
	}
}
