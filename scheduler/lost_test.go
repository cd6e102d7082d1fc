package scheduler

import (
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
	a, err := s.Allocation("a")
	require.NoError(t, err)
	require.Equal(t, Lost, a.State)
	_, err = s.Place(t.Context(), testRequest("b", 1))
	require.Equal(t, []string{"1 is lost"}, refusals(t, err))
	_, err = s.Resize(t.Context(), "a", placement.Resources{})
	require.ErrorIs(t, err, ErrConflict)

	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	a, err = s.Allocation("a")
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
	n1, err := s.Node("n1")
	require.NoError(t, err)
	require.Zero(t, n1.Available.CPU, "the stale generation holds capacity")

	require.ErrorIs(t, s.ReleaseGeneration(t.Context(), "a", 3), ErrNotFound)
	require.NoError(t, s.ReleaseGeneration(t.Context(), "a", 1))
	n1, err = s.Node("n1")
	require.NoError(t, err)
	require.Equal(t, int64(4*placement.Core), n1.Available.CPU)
	a, err := s.Allocation("a")
	require.NoError(t, err)
	require.Equal(t, "n2", a.NodeID)
}

func TestRemovedNodeReturnsWhatRan(t *testing.T) {
	s := newTestScheduler(t, Config{RememberReleased: 10})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 2))
	place(t, s, testRequest("b", 2))
	place(t, s, testRequest("c", 2))
	place(t, s, testRequest("a", 2))
	gone, err := s.RemoveNode(t.Context(), "n1")
	require.NoError(t, err)
	require.Len(t, gone, 2)
	require.Equal(t, "a", gone[0].Request.ID)
	require.Equal(t, "c", gone[1].Request.ID)
	require.Equal(t, Removed, gone[0].State)
	_, err = s.Allocation("a")
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
	info, err := s.Node("n1")
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
	s.cfg.Hooks.QuotaOver = func(_ Event, over *QuotaOver) {
		for _, u := range over.Usage {
			told = append(told, u.Namespace)
		}
	}
	s.hooked = true
	require.NoError(t, s.MarkReady(ctx, "n1"))
	require.Equal(t, []string{"x", "y"}, told)
}
