package scheduler

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestNodeTellsWhoHasWhat: ports asked for and given, GPUs, and what is being stopped,
// of all generations.
func TestNodeTellsWhoHasWhat(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.DynamicPorts, n.Devices.Count = placement.PortRange{First: 100, Last: 109}, 2
	addNodes(t, s, n, testNode("n2", 8))
	web := onlyCPU("web", 1)
	web.Ports, web.DynamicPorts = append(udp(443), tcp(443)...), 1
	allocate(t, s, "n1", web)
	for _, id := range []string{"b", "a"} {
		half := testRequest(id, 0)
		half.Resources = placement.Resources{GPU: 400}
		allocate(t, s, "n1", half)
	}
	whole := testRequest("whole", 0)
	whole.Resources = placement.Resources{GPU: placement.Device}
	allocate(t, s, "n1", whole)
	allocate(t, s, "n1", onlyCPU("moves", 2))
	_, err := s.Move(ctx, "moves", "n2")
	require.NoError(t, err)
	require.NoError(t, s.Leave(ctx, "a"))
	info, err := s.Node(ctx, "n1")
	require.NoError(t, err)
	require.Equal(t, NodeUse{
		Ports: []PortUse{
			{Port: placement.Port{Number: 100}, Dynamic: true, ID: "web", Generation: 1},
			{Port: tcp(443)[0], ID: "web", Generation: 1},
			{Port: udp(443)[0], ID: "web", Generation: 1},
		},
		Devices: []DeviceUse{
			{Device: 0, Amount: 400, ID: "a", Generation: 1},
			{Device: 0, Amount: 400, ID: "b", Generation: 1},
			{Device: 1, Amount: placement.Device, ID: "whole", Generation: 1},
		},
		Leaving: []LeavingUse{
			{ID: "a", Generation: 1, Resources: placement.Resources{GPU: 400}},
			{ID: "moves", Generation: 1, Resources: placement.Resources{CPU: 2 * placement.Core}},
		},
	}, info.Use)
	require.Zero(t, listed(t, s.Nodes)[0].Use)
}

// checkUse asserts that a node tells of itself what the list of its instances does.
func (m *machine) checkUse(t *rapid.T, nodeID string) {
	info, err := m.s.Node(t.Context(), nodeID)
	require.NoError(t, err)
	on, err := m.s.AllocationsOn(t.Context(), nodeID)
	require.NoError(t, err)
	var want NodeUse
	for _, a := range on {
		for _, port := range a.Request.Ports {
			want.Ports = append(want.Ports, PortUse{port, false, a.Request.ID, a.Generation})
		}
		for _, number := range a.DynamicPorts {
			want.Ports = append(want.Ports, PortUse{placement.Port{Number: number}, true, a.Request.ID, a.Generation})
		}
		if a.State == Leaving {
			want.Leaving = append(want.Leaving, LeavingUse{a.Request.ID, a.Generation, a.Request.Resources})
		}
		for _, device := range a.Devices {
			want.Devices = append(want.Devices, DeviceUse{device, min(a.Request.Resources.GPU, placement.Device), a.Request.ID, a.Generation})
		}
	}
	slices.SortStableFunc(want.Ports, func(a, b PortUse) int { return a.Port.Compare(b.Port) })
	slices.SortStableFunc(want.Devices, func(a, b DeviceUse) int { return cmp.Compare(a.Device, b.Device) })
	require.Equal(t, want, info.Use)
}
