package scheduler

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestLeastFragmentationKeepsDevicesWhole(t *testing.T) {
	mix := []WorkloadClass{{Resources: placement.Resources{GPU: 2 * placement.Device}, Count: 1}}
	s := newTestScheduler(t, Config{Workload: mix})
	small, large := testNode("small", 8), testNode("large", 8)
	small.Devices.Count, large.Devices.Count = 1, 2
	addNodes(t, s, large, small)
	req := placement.Request{ID: "a", Resources: placement.Resources{GPU: 500}}
	req.Preferences.Strategy = placement.LeastFragmentation
	require.Equal(t, "small", place(t, s, req).NodeID, "one device is of no use to work that asks two")

	// Work that asks one device values both nodes alike, and packing decides.
	require.NoError(t, s.SetWorkload(t.Context(), []WorkloadClass{{Resources: placement.Resources{GPU: placement.Device}, Count: 1}}))
	req.ID = "b"
	require.Equal(t, "small", place(t, s, req).NodeID)
}

func TestBadMix(t *testing.T) {
	bad := []WorkloadClass{
		{Resources: placement.Resources{GPU: 1500}, Count: 1},
		{Count: 0},
		{Count: maxMixCount},
		{Count: 1},
	}
	_, err := New(Config{Workload: bad})
	require.ErrorIs(t, err, placement.ErrInvalid)
	s := newTestScheduler(t, Config{})
	before := snapshot(t, s)
	err = s.SetWorkload(t.Context(), bad)
	for _, part := range []string{"mix[0]", "mix[1].count", "mix[2].count"} {
		require.ErrorContains(t, err, part)
	}
	require.Equal(t, before, snapshot(t, s))
}
