package scheduler

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestNodesAreMeasuredByTheirOwnSize: the fuller node is the one of which a greater
// share is used, however large it is.
func TestNodesAreMeasuredByTheirOwnSize(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("big", 64), testNode("small", 4))
	allocate(t, s, "big", testRequest("x", 32))
	require.Equal(t, "big", place(t, s, testRequest("packed", 1)).NodeID)
	spread := testRequest("spread", 1)
	spread.Preferences = placement.Use(placement.Spread)
	require.Equal(t, "small", place(t, s, spread).NodeID)
}

// TestSmallNodesStayEmpty fills ten large and forty small nodes, that join in random
// order, to 30 % with small instances: bin-packing fills one node after the other and
// does not open the small ones for having less left, which were 36 nodes in the mean.
//
// Which ones it opens is exact. Empty nodes have all of their own size free, so that
// all are equal, and of equal nodes the first to join is taken; a node in use has a
// smaller share free and comes before every empty one. So it opens just those that
// joined first and together hold what arrives. How many these are is up to chance: 15
// in the mean, and 22 where only two of the first 22 to join are large. The mean is
// bounded, each seed is given by its join order.
func TestSmallNodesStayEmpty(t *testing.T) {
	const large, small, seeds = 10, 40, 20
	const instances = (large*64 + small*8) * 3 / 10
	total := 0
	for seed := range uint64(seeds) {
		s := newTestScheduler(t, Config{})
		want, room := make(map[string]bool), int64(0)
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(large + small) {
			node := testNode(fmt.Sprint("n", i), 8)
			if i < large {
				node = testNode(node.ID, 64)
			}
			addNodes(t, s, node)
			if room < instances {
				want[node.ID] = true
				room += node.Capacity.CPU / placement.Core
			}
		}
		opened := make(map[string]bool)
		for i := range instances {
			opened[place(t, s, testRequest(fmt.Sprint("i", i), 1)).NodeID] = true
		}
		require.Equal(t, want, opened, "seed %d", seed)
		total += len(opened)
	}
	t.Logf("%d nodes opened by %d seeds", total, seeds)
	require.LessOrEqual(t, total, 17*seeds)
}

// TestLargeNodeLeavesNoTrace: decisions, their scores and the scale are the same
// after a node came that is larger in all, and went, as if it had not been there.
func TestLargeNodeLeavesNoTrace(t *testing.T) {
	var seen [2]string
	for i, passing := range []bool{false, true} {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("a", 16), testNode("b", 16))
		allocate(t, s, "a", testRequest("a1", 8))
		allocate(t, s, "b", testRequest("b1", 6))
		if passing {
			hana := testNode("hana", 1<<20)
			hana.Capacity.Disk = placement.TiB
			hana.Capacity.Custom = map[string]int64{"tape": 1}
			hana.Devices.Count = 64
			addNodes(t, s, hana)
			place(t, s, testRequest("there", 1))
			require.NoError(t, s.Release(t.Context(), "there"))
			_, err := s.RemoveNode(t.Context(), "hana")
			require.NoError(t, err)
		}
		for j := range 6 {
			req := testRequest(fmt.Sprint("i", j), 1)
			req.Preferences = placement.Use(placement.Strategy(j%2)).Prefer(placement.Exists("x"), 50)
			d := place(t, s, req)
			seen[i] += fmt.Sprintln(d.NodeID, d.Score)
		}
		seen[i] += fmt.Sprint(s.Scale())
	}
	require.Equal(t, seen[0], seen[1])
}
