package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// TestHelpKnowsWhatItCures has one node and an instance on it, so that each
// remedy either works there or nowhere.
func TestHelpKnowsWhatItCures(t *testing.T) {
	web := map[string]string{"app": "web"}
	repelling := placement.Repel(placement.Equal("app", "web"))
	attracting := placement.Attract(placement.Equal("app", "db"))
	tests := []struct {
		name  string
		rules placement.Preferences
		text  string
		want  Help
	}{
		{"one per node", placement.Preferences{}.Across(placement.AtMostPer("", 1)), "1 breaks spread over nodes", Help{Waiting: "n1", MoreNodes: "n1"}},
		{"one per zone", placement.Preferences{}.Across(placement.AtMostPer("zone", 1)), "1 breaks spread over zone", Help{Waiting: "n1"}},
		{"no rack to count in", placement.Preferences{}.Across(placement.AtMostPer("rack", 1)), "1 breaks spread over rack", Help{}},
		{"apart by node", placement.Preferences{}.Near(repelling), "1 is repelled over nodes", Help{Waiting: "n1", MoreNodes: "n1"}},
		{"apart by zone", placement.Preferences{}.Near(repelling.Within("zone")), "1 is repelled over zone", Help{Waiting: "n1"}},
		{"nothing to be near to", placement.Preferences{}.Near(attracting), "1 has no match for affinity over nodes", Help{}},
		{"taint", placement.Preferences{}.Require(placement.Exists("rack")), "1 fails rack exists", Help{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			addNodes(t, s, zoned("n1", "a"))
			first := labelled("first", web)
			place(t, s, first)
			req := labelled("second", web)
			req.Preferences = tt.rules
			e, err := s.Explain(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, tt.want, e.Help)
			require.Contains(t, e.String(), tt.text)
		})
	}
}

// TestHelpByPreemptionIsTrue releases what would be preempted and places.
func TestHelpByPreemptionIsTrue(t *testing.T) {
	urgent := testRequest("urgent", 4)
	urgent.Priority = 5
	low := testRequest("low", 4)
	tests := []struct {
		name  string
		build func(t *testing.T, s *Scheduler)
		want  string
	}{
		{"beside reservations", func(t *testing.T, s *Scheduler) {
			t.Helper()
			place(t, s, low)
		}, "n1"},
		{"with an end", func(t *testing.T, s *Scheduler) {
			t.Helper()
			short := low
			short.Duration = time.Hour
			place(t, s, short)
		}, "n1"},
		{"in a slot, which stays held", func(t *testing.T, s *Scheduler) {
			t.Helper()
			reserve(t, s, reservation.Spec{ID: "r", Namespace: "ns", Shape: low.Resources, Count: 1, Duration: time.Hour})
			_, err := s.PlaceFromReservation(t.Context(), "r", low)
			require.NoError(t, err)
		}, ""},
		{"before a slot that begins later", func(t *testing.T, s *Scheduler) {
			t.Helper()
			reserve(t, s, reservation.Spec{
				ID: "r", Namespace: "ns", Shape: low.Resources, Count: 1,
				Start: s.now.Add(2 * time.Hour), Duration: time.Hour,
			})
			short := low
			short.Duration = time.Hour
			place(t, s, short)
		}, ""},
		{"of the same priority", func(t *testing.T, s *Scheduler) {
			t.Helper()
			same := low
			same.Priority = urgent.Priority
			place(t, s, same)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{Now: newClock().Now})
			addNodes(t, s, testNode("n1", 4))
			tt.build(t, s)
			before := snapshot(t, s)
			e, err := s.Explain(t.Context(), urgent)
			require.NoError(t, err)
			require.Equal(t, before, snapshot(t, s), "asking changes nothing")
			require.Equal(t, tt.want, e.Help.Preemption)

			require.NoError(t, s.Release(t.Context(), "low"))
			_, err = s.Place(t.Context(), urgent)
			if tt.want == "" && tt.name != "of the same priority" {
				require.ErrorIs(t, err, ErrUnschedulable)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// TestHelpByMoreNodesIsTrue adds the twin that is asked for.
func TestHelpByMoreNodesIsTrue(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("small", 2), testNode("large", 8))
	place(t, s, testRequest("a", 8))
	req := testRequest("b", 4)
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, Help{Waiting: "large", MoreNodes: "large"}, e.Help)
	twin, err := s.Node(t.Context(), e.Help.MoreNodes)
	require.NoError(t, err)
	twin.ID = "twin"
	addNodes(t, s, twin.Node)
	require.Equal(t, "twin", place(t, s, req).NodeID)
}

// TestHelpIsTrue does what is said to help, each on a cluster of its own, and
// then allocates on the node that was named.
func TestHelpIsTrue(t *testing.T) { rapid.Check(t, propertyHelp) }

func FuzzHelp(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyHelp)) }

func propertyHelp(t *rapid.T) {
	s := drawCluster(t)
	req := drawRequest(t)
	req.ID, req.Priority = "new", rapid.Int32Range(0, 1).Draw(t, "priority")
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	if e.Fit > 0 {
		require.Equal(t, Help{}, e.Help)
		return
	}
	ctx := t.Context()
	releaseIf := func(gone func(Allocation) bool) {
		for _, a := range listed(t, s.Allocations) {
			if gone(a) {
				require.NoError(t, s.Release(ctx, a.Request.ID))
			}
		}
	}
	switch {
	case e.Help.MoreNodes != "" && rapid.Bool().Draw(t, "add"):
		twin, err := s.Node(ctx, e.Help.MoreNodes)
		require.NoError(t, err)
		twin.ID = "twin"
		addNodes(t, s, twin.Node)
		_, err = s.Allocate(ctx, "twin", req)
		require.NoError(t, err)
	case e.Help.Preemption != "" && rapid.Bool().Draw(t, "preempt"):
		releaseIf(func(a Allocation) bool {
			return a.NodeID == e.Help.Preemption && a.Request.Priority < req.Priority
		})
		_, err = s.Allocate(ctx, e.Help.Preemption, req)
		require.NoError(t, err)
	case e.Help.Waiting != "" && len(req.Preferences.Affinity) == 0:
		releaseIf(func(Allocation) bool { return true })
		for _, r := range listed(t, s.Reservations) {
			require.NoError(t, s.ReleaseReservation(ctx, r.Spec.ID, true))
		}
		_, err = s.Allocate(ctx, e.Help.Waiting, req)
		require.NoError(t, err)
	}
}
