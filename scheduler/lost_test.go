package scheduler

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func TestLostInstanceReturns(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 2))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, Lost, a.State)
	_, err = s.Place(t.Context(), testRequest("b", 1))
	require.Equal(t, []string{"1 is lost"}, refusals(t, err))
	_, err = s.Resize(t.Context(), "a", placement.Resources{})
	require.ErrorIs(t, err, ErrConflict)

	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	a, err = s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, Running, a.State)
	require.Equal(t, uint64(1), a.Generation)
}

func TestReplacedInstanceIsStale(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 8))
	require.Equal(t, "n1", place(t, s, testRequest("a", 4)).NodeID)
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	again := place(t, s, testRequest("a", 4))
	require.Equal(t, "n2", again.NodeID)
	require.Equal(t, uint64(2), again.Generation)

	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	require.Equal(t, 1, s.Stats().Stale)
	n1, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Zero(t, n1.Available.CPU, "the stale generation holds capacity")

	require.ErrorIs(t, s.ReleaseGeneration(t.Context(), "a", 3), ErrNotFound)
	require.NoError(t, s.ReleaseGeneration(t.Context(), "a", 1))
	n1, err = s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, int64(4*placement.Core), n1.Available.CPU)
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "n2", a.NodeID)
}

func TestAllocationsOnANode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 8))
	for _, id := range []string{"b", "a"} {
		allocate(t, s, "n1", testRequest(id, 1))
	}
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	allocate(t, s, "n2", testRequest("a", 1))
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	allocate(t, s, "n1", testRequest("c", 1))
	for _, node := range []string{"n1", "n2"} {
		got, err := s.AllocationsOn(t.Context(), node)
		require.NoError(t, err)
		require.Equal(t, slices.DeleteFunc(listed(t, s.Allocations), func(a Allocation) bool { return a.NodeID != node }), got)
	}
	addNodes(t, s, testNode("n3", 4))
	got, err := s.AllocationsOn(t.Context(), "n3")
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = s.AllocationsOn(t.Context(), "n4")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestRemovedNodeReturnsWhatRan(t *testing.T) {
	s := newTestScheduler(t, Config{RememberReleased: 10})
	addNodes(t, s, testNode("n2", 2), testNode("n1", 4))
	place(t, s, testRequest("b", 2))
	place(t, s, testRequest("c", 2))
	place(t, s, testRequest("a", 2))
	gone, err := s.RemoveNode(t.Context(), "n1")
	require.NoError(t, err)
	require.Len(t, gone, 2)
	require.Equal(t, "a", gone[0].Request.ID)
	require.Equal(t, "c", gone[1].Request.ID)
	require.Equal(t, Removed, gone[0].State)
	_, err = s.Allocation(t.Context(), "a")
	require.ErrorIs(t, err, ErrNotFound)

	// The IDs may be placed again, also on a node of the same name.
	addNodes(t, s, testNode("n1", 4))
	d, err := s.Place(t.Context(), gone[0].Request)
	require.NoError(t, err)
	require.Equal(t, uint64(1), d.Generation)
}

func TestCordon(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 1))
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	before := snapshot(t, s)
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	require.Equal(t, before, snapshot(t, s), "twice is once")
	_, err := s.Place(t.Context(), testRequest("b", 1))
	require.Equal(t, []string{"1 is cordoned"}, refusals(t, err))
	_, err = s.Resize(t.Context(), "a", placement.Resources{CPU: 2 * placement.Core})
	require.NoError(t, err, "what runs there stays and may grow")
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	info, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, NodeCordoned, info.State, "a lost node comes back as it was")
	require.NoError(t, s.Uncordon(t.Context(), "n1"))
	place(t, s, testRequest("b", 1))
}

func TestGenerationsAreNotUsedTwice(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 8))
	place(t, s, testRequest("a", 4))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	require.Equal(t, uint64(2), place(t, s, testRequest("a", 4)).Generation)
	require.NoError(t, s.Release(t.Context(), "a"))
	require.Equal(t, uint64(2), place(t, s, testRequest("a", 4)).Generation, "the first is still there")
	require.NoError(t, s.ReleaseGeneration(t.Context(), "a", 1))
	require.Equal(t, 1, s.Stats().Allocations)
}

func TestEveryNamespaceThatIsOverIsTold(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	addNodes(t, s, testNode("n1", 8))
	for _, namespace := range []string{"x", "y"} {
		req := testRequest(namespace, 2)
		req.Namespace = namespace
		place(t, s, req)
	}
	require.NoError(t, s.MarkLost(ctx, "n1"))
	for _, namespace := range []string{"x", "y"} {
		_, err := s.CreateQuota(ctx, quota.Spec{
			Namespace: namespace,
			Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: placement.Core}},
		})
		require.NoError(t, err)
	}
	var told []string
	s.hooks.hook = hookOn(func(_ Event, over *QuotaOver) {
		for _, u := range over.Usage {
			told = append(told, u.Namespace)
		}
	}).Event
	require.NoError(t, s.MarkReady(ctx, "n1"))
	require.Equal(t, []string{"x", "y"}, told)
}

// TestLostStepByStep follows one ID over three nodes: each step says what the
// quota pays for then, which generation is current in which state, and how
// many cores each node has on its books.
func TestLostStepByStep(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	addNodes(t, s, testNode("n1", 2), testNode("n2", 2), testNode("n3", 2))
	createQuota(t, s, cpuQuota("ns", 2))
	req := testRequest("a", 2)
	placeIt := func() error { _, err := s.Place(ctx, req); return err }
	other := func() error {
		changed := req
		changed.Priority++
		_, err := s.Place(ctx, changed)
		return err
	}
	lose := func(id string) func() error { return func() error { return s.MarkLost(ctx, id) } }
	ready := func(id string) func() error { return func() error { return s.MarkReady(ctx, id) } }
	steps := []struct {
		name       string
		call       func() error
		want       error
		paid       int64
		generation uint64
		state      AllocationState
		books      [3]int64
	}{
		{"placed", placeIt, nil, 2, 1, Running, [3]int64{2, 0, 0}},
		{"lost: refunded, still on the books", lose("n1"), nil, 0, 1, Lost, [3]int64{2, 0, 0}},
		{"lost twice: refunded once", lose("n1"), nil, 0, 1, Lost, [3]int64{2, 0, 0}},
		{"another request under the ID", other, ErrConflict, 0, 1, Lost, [3]int64{2, 0, 0}},
		{"back: charged again", ready("n1"), nil, 2, 1, Running, [3]int64{2, 0, 0}},
		{"ready twice: charged once", ready("n1"), nil, 2, 1, Running, [3]int64{2, 0, 0}},
		{"lost again", lose("n1"), nil, 0, 1, Lost, [3]int64{2, 0, 0}},
		{"placed anew: the next generation", placeIt, nil, 2, 2, Running, [3]int64{2, 2, 0}},
		{"placed again: the same decision", placeIt, nil, 2, 2, Running, [3]int64{2, 2, 0}},
		{"the first comes back stale and holds capacity", ready("n1"), nil, 2, 2, Running, [3]int64{2, 2, 0}},
		{"a stale one lost costs nobody", lose("n1"), nil, 2, 2, Running, [3]int64{2, 2, 0}},
		{"the second lost too", lose("n2"), nil, 0, 2, Lost, [3]int64{2, 2, 0}},
		{"a third", placeIt, nil, 2, 3, Running, [3]int64{2, 2, 2}},
		{"both come back stale", ready("n1"), nil, 2, 3, Running, [3]int64{2, 2, 2}},
		{"the other as well", ready("n2"), nil, 2, 3, Running, [3]int64{2, 2, 2}},
		{"no such generation", func() error { return s.ReleaseGeneration(ctx, "a", 4) }, ErrNotFound, 2, 3, Running, [3]int64{2, 2, 2}},
		{"the first stopped", func() error { return s.ReleaseGeneration(ctx, "a", 1) }, nil, 2, 3, Running, [3]int64{0, 2, 2}},
		{"the first stopped twice", func() error { return s.ReleaseGeneration(ctx, "a", 1) }, ErrNotFound, 2, 3, Running, [3]int64{0, 2, 2}},
		{"the node of the third lost, and gone for good", func() error {
			require.NoError(t, s.MarkLost(ctx, "n3"))
			gone, err := s.RemoveNode(ctx, "n3")
			require.Len(t, gone, 1)
			require.Equal(t, uint64(3), gone[0].Generation)
			return err
		}, nil, 0, 0, "", [3]int64{0, 2, 0}},
		{"placed on, after the stale one", placeIt, nil, 2, 3, Running, [3]int64{2, 2, 0}},
		{"released", func() error { return s.Release(ctx, "a") }, nil, 0, 0, "", [3]int64{0, 2, 0}},
		{"released twice", func() error { return s.Release(ctx, "a") }, ErrNotFound, 0, 0, "", [3]int64{0, 2, 0}},
		{"the last stale one", func() error { return s.ReleaseGeneration(ctx, "a", 2) }, nil, 0, 0, "", [3]int64{}},
	}
	for _, step := range steps {
		require.ErrorIs(t, step.call(), step.want, step.name)
		require.Equal(t, step.paid, usedCores(t, s, "ns"), step.name)
		a, err := s.Allocation(ctx, "a")
		if step.generation == 0 {
			require.ErrorIs(t, err, ErrNotFound, step.name)
		}
		require.Equal(t, step.generation, a.Generation, step.name)
		require.Equal(t, step.state, a.State, step.name)
		var books [3]int64
		for i, id := range []string{"n1", "n2", "n3"} {
			if n, err := s.Node(ctx, id); err == nil {
				books[i] = n.Allocated.CPU / placement.Core
			}
		}
		require.Equal(t, step.books, books, step.name)
		require.NoError(t, s.VerifyQuota(ctx), step.name)
	}
}

// TestUsageAboveALimitIsToldInItsOrder: what a node brings back is told in the
// order in which the calls on quotas return it.
func TestUsageAboveALimitIsToldInItsOrder(t *testing.T) {
	var told []placement.ResourceName
	s := newTestScheduler(t, Config{Hooks: hookOn(func(_ Event, over *QuotaOver) {
		for _, u := range over.Usage {
			told = append(told, u.Resource)
		}
	})})
	n := testNode("n1", 8)
	n.Capacity.Disk = placement.GiB
	addNodes(t, s, n)
	req := testRequest("a", 1)
	req.Resources.Disk = placement.GiB
	place(t, s, req)
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	nothing := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameDisk: {}, placement.NameCPU: {}, placement.NameInstances: {},
	}}
	over, err := s.CreateQuota(t.Context(), nothing)
	require.NoError(t, err)
	require.Empty(t, over)
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	require.Equal(t, []placement.ResourceName{placement.NameInstances, placement.NameCPU, placement.NameDisk}, told)
}
