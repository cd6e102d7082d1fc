package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestPortsAreExclusive(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	nodes := make(map[string]bool)
	for _, id := range []string{"a", "b"} {
		req := testRequest(id, 1)
		req.Ports = []uint16{80, 443}
		nodes[place(t, s, req).NodeID] = true
	}
	require.Equal(t, []string{"n1", "n2"}, slices.Sorted(maps.Keys(nodes)))
	req := testRequest("c", 1)
	req.Ports = []uint16{443}
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"2 have port 443 taken"}, refusals(t, err))
	require.NoError(t, s.MarkLost(t.Context(), "n2"))
	_, err = s.Place(t.Context(), req)
	require.Equal(t, []string{"1 is lost", "1 has port 443 taken"}, refusals(t, err))
}

func TestMaxInstancesAndOvercommit(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 4)
	n.MaxInstances = 5
	n.Reserved = placement.Resources{CPU: placement.Core}
	n.Overcommit = map[placement.ResourceName]placement.Ratio{placement.NameCPU: {Numerator: 3, Denominator: 2}}
	addNodes(t, s, n)
	for i := range 4 {
		place(t, s, testRequest(fmt.Sprint(i), 1))
	}
	_, err := s.Place(t.Context(), testRequest("4", 1))
	require.Equal(t, []string{"1 lacks cpu"}, refusals(t, err), "(4 - 1) × 3/2 = 4.5 cores")
	small := testRequest("4", 0)
	small.Resources.CPU = 500
	place(t, s, small)
	_, err = s.Place(t.Context(), testRequest("5", 0))
	require.Equal(t, []string{"1 is full of instances"}, refusals(t, err))
}
