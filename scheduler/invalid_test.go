package scheduler_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// TestWrongInputIsErrInvalidOfOnePackage whatever package finds it.
func TestWrongInputIsErrInvalidOfOnePackage(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	ctx := t.Context()
	wrong := map[string]error{
		"request":     failed(s.Place(ctx, placement.Request{})),
		"node":        s.AddNode(ctx, placement.Node{}),
		"quota":       failed(s.CreateQuota(ctx, quota.Spec{Namespace: "a", Parent: "a"})),
		"limit":       failed(s.CheckQuota(ctx, "a", placement.Resources{CPU: -1})),
		"reservation": failed(s.Reserve(ctx, reservation.Spec{Count: -1})),
		"end":         failed(s.Extend(ctx, "r", s.Stats().Appending)),
		"mix":         s.SetWorkload(ctx, []scheduler.WorkloadClass{{Count: -1}}),
	}
	for name, err := range wrong {
		require.ErrorIs(t, err, scheduler.ErrInvalid, name)
	}
	require.False(t, errors.Is(s.Release(ctx, "x"), scheduler.ErrInvalid))
}
