package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestReservationIsExplainedPerNodeAndByReason, and nothing changes.
func TestReservationIsExplainedPerNodeAndByReason(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 2), testNode("n3", 8), testNode("n4", 8))
	require.NoError(t, s.Cordon(t.Context(), "n3"))
	other := holding("other", 6, 1)
	other.Node = "n1"
	reserve(t, s, other)
	repair := closes(c)
	repair.Node, repair.Start = "n4", c.Now().Add(30*time.Minute)
	reserve(t, s, repair)
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 7 * placement.Core},
	}})
	require.NoError(t, err)
	before := snapshot(t, s)
	e, err := s.ExplainReservation(t.Context(), holding("r", 4, 1))
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, s))
	require.Nil(t, e.Reservation)
	require.NotNil(t, e.Refused)
	require.Len(t, e.Exceeded, 1)
	require.Equal(t, []ReasonCount{
		{placement.Reason{Kind: placement.ReasonState, Detail: "closed for maintenance"}, 1},
		{placement.Reason{Kind: placement.ReasonState, Detail: "cordoned"}, 1},
		{placement.Reason{Kind: placement.ReasonResource, Name: placement.NameCPU}, 1},
		{placement.Reason{Kind: placement.ReasonHold, Name: placement.NameCPU}, 1},
	}, e.Reasons)
	verdicts := map[string]ReservationVerdict{}
	for _, v := range e.Nodes {
		verdicts[v.Node] = v
	}
	require.Equal(t, "other", verdicts["n1"].Holders[0].ID)
	require.Equal(t, 2*placement.Core, int(verdicts["n1"].Largest.CPU))
	require.Equal(t, placement.NameCPU, verdicts["n2"].Short)
	require.Equal(t, placement.ReasonState, verdicts["n3"].Failures[0].Reason.Kind)
	require.Equal(t, "repair", verdicts["n4"].Holders[0].ID)
}

// TestReservationIsTriedBeforeItIsMade: the answer is what Reserve returns.
func TestReservationIsTriedBeforeItIsMade(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, testNode("n1", 8))
	victim := holding("victim", 8, 1)
	reserve(t, s, victim)
	important := holding("important", 4, 2)
	important.Priority = 1
	before := snapshot(t, s)
	e, err := s.ExplainReservation(t.Context(), important)
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, s))
	require.Equal(t, "victim", e.Moves[0].ID)
	made := reserve(t, s, important)
	require.Equal(t, made.Slots, e.Reservation.Slots)
	require.Nil(t, e.Refused)
	e, err = s.ExplainReservation(t.Context(), important)
	require.NoError(t, err)
	require.Equal(t, made, *e.Reservation)
	_, err = s.ExplainReservation(t.Context(), reservation.Spec{ID: "bad"})
	require.ErrorIs(t, err, ErrInvalid)
}
