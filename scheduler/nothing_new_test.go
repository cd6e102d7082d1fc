package scheduler_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// TestCallsThatSayNothingNewChangeNothing: a call that asks for what is so already
// makes no entry.
func TestCallsThatSayNothingNewChangeNothing(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := scheduler.New(scheduler.Config{Now: func() time.Time { return now }})
	require.NoError(t, err)
	some := placement.Resources{CPU: placement.Core}
	node := placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}, Labels: map[string]string{"a": "b"}}
	spec := quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8 * placement.Core}}}
	held := reservation.Spec{ID: "r", Namespace: "team", Shape: some, Count: 1, Duration: time.Hour}
	web := placement.Request{ID: "web", Namespace: "team", Resources: some}
	claim := placement.Request{ID: "claim", Namespace: "team", Resources: some}
	taint := placement.Taint{Key: "k", Effect: placement.PreferNoSchedule}
	require.NoError(t, s.AddNode(ctx, node))
	tests := []struct {
		name string
		call func() error
	}{
		{"AddTaint", func() error { return s.AddTaint(ctx, "n1", taint) }},
		{"SetLabel", func() error { return s.SetLabel(ctx, "n1", "c", "d") }},
		{"UpdateNode", func() error { node.Labels["a"] = "c"; _, err := s.UpdateNode(ctx, node); return err }},
		{"CreateQuota", func() error { _, err := s.CreateQuota(ctx, spec); return err }},
		{"Reserve", func() error { _, err := s.Reserve(ctx, held); return err }},
		{"PlaceFromReservation", func() error { _, err := s.PlaceFromReservation(ctx, "r", claim); return err }},
		{"Place", func() error { _, err := s.Place(ctx, web); return err }},
		{"PlaceAll", func() error { _, err := s.PlaceAll(ctx, web, claim); return err }},
		{"Allocate", func() error { _, err := s.Allocate(ctx, "n1", web); return err }},
		{"Resize", func() error {
			_, err := s.Resize(ctx, "web", placement.Resources{CPU: 2 * placement.Core})
			return err
		}},
		{"AdoptNode", func() error {
			grown := web
			grown.Resources.CPU = 2 * placement.Core
			_, err := s.AdoptNode(ctx, node, []scheduler.Report{{Request: grown}, {Request: claim}})
			return err
		}},
		{"Leave", func() error { return s.Leave(ctx, "web") }},
		{"Stay", func() error { return s.Stay(ctx, "web") }},
		{"Cordon", func() error { return s.Cordon(ctx, "n1") }},
		{"Uncordon", func() error { return s.Uncordon(ctx, "n1") }},
		{"MarkLost", func() error { return s.MarkLost(ctx, "n1") }},
		{"MarkReady", func() error { return s.MarkReady(ctx, "n1") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, test.call())
			before := s.Version()
			require.NoError(t, test.call())
			require.Equal(t, before, s.Version())
		})
	}
}
