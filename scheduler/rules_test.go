package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// The tests of this file take the examples that Kubernetes and Nomad document
// for rules between instances, and expect the verdicts documented there.
//
//	TestInterPodAffinity            pod affinity by zone, required and preferred
//	TestCoLocatedCache              anti-affinity to itself and affinity to a cache, by host
//	TestRepulsionIsSymmetric        an existing pod's anti-affinity holds for newcomers
//	TestFirstOfItsGroup             a pod whose affinity only itself satisfies
//	TestTopologySpread              one spread constraint, two, conflicting ones, with node affinity
//	TestMinDomains                  fewer eligible domains than minDomains
//	TestSpreadTargets               Nomad's spread with percentages
//	TestDistinctProperty            Nomad's distinct_property
//	TestPortsAreExclusive           host ports

func zoned(id, zone string) placement.Node {
	n := testNode(id, 64)
	n.Labels = map[string]string{"zone": zone, "host": id}
	return n
}

func labelled(id string, labels map[string]string) placement.Request {
	req := testRequest(id, 1)
	req.Group, req.Labels = "", labels
	return req
}

func allocate(t testHelper, s *Scheduler, nodeID string, req placement.Request) {
	t.Helper()
	_, err := s.Allocate(t.Context(), nodeID, req)
	require.NoError(t, err)
}

// fits returns the nodes on which a request fits.
func fits(t testHelper, s *Scheduler, req placement.Request) []string {
	t.Helper()
	var nodes []string
	for n := range s.Nodes() {
		v, err := s.ExplainNode(req, n.ID)
		require.NoError(t, err)
		if v.Fits {
			nodes = append(nodes, n.ID)
		}
	}
	d, err := s.Schedule(req)
	if len(nodes) == 0 {
		require.ErrorIs(t, err, ErrUnschedulable)
		return nil
	}
	require.NoError(t, err)
	require.Contains(t, nodes, d.NodeID)
	return nodes
}

func TestInterPodAffinity(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("v1", "V"), zoned("v2", "V"), zoned("r1", "R"), testNode("unlabelled", 64))
	allocate(t, s, "v1", labelled("s1", map[string]string{"security": "S1"}))

	req := labelled("p", nil)
	req.Preferences = placement.Use(placement.BinPack).
		Near(placement.Attract(placement.In("security", "S1")).Within("zone"))
	require.Equal(t, []string{"v1", "v2"}, fits(t, s, req), "the zone that has a matching pod")

	allocate(t, s, "v1", labelled("s2", map[string]string{"security": "S2"}))
	req.Preferences = placement.Use(placement.BinPack).
		Near(placement.Repel(placement.In("security", "S2")).Within("zone").Weighing(100))
	require.Len(t, fits(t, s, req), 4, "a preference refuses nothing")
	d, err := s.Schedule(req)
	require.NoError(t, err)
	require.Equal(t, "r1", d.NodeID)

	req.Namespace = "other"
	req.Preferences = placement.Use(placement.BinPack).Near(placement.Attract(placement.Equal("security", "S1")).Within("zone"))
	require.Empty(t, fits(t, s, req), "selectors see the own namespace only")
	req.Preferences = placement.Use(placement.BinPack).
		Near(placement.Attract(placement.Equal("security", "S1")).Within("zone").Among(placement.AllNamespaces))
	require.Equal(t, []string{"v1", "v2"}, fits(t, s, req))
}

func TestCoLocatedCache(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "a"), zoned("n3", "a"))
	cache := placement.Use(placement.BinPack).Near(placement.Repel(placement.In("app", "store")).Within("host"))
	web := placement.Use(placement.BinPack).Near(
		placement.Repel(placement.In("app", "web-store")).Within("host"),
		placement.Attract(placement.In("app", "store")).Within("host"))
	used := make(map[string]int)
	for i := range 3 {
		req := labelled(fmt.Sprint("cache-", i), map[string]string{"app": "store"})
		req.Preferences = cache
		used[place(t, s, req).NodeID]++
	}
	for i := range 3 {
		req := labelled(fmt.Sprint("web-", i), map[string]string{"app": "web-store"})
		req.Preferences = web
		used[place(t, s, req).NodeID]++
	}
	require.Equal(t, map[string]int{"n1": 2, "n2": 2, "n3": 2}, used)
	fourth := labelled("cache-3", map[string]string{"app": "store"})
	fourth.Preferences = cache
	require.Empty(t, fits(t, s, fourth))
}

func TestRepulsionIsSymmetric(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "a"), zoned("n3", "b"))
	lonely := labelled("lonely", nil)
	lonely.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", "noisy")).Within("zone"))
	allocate(t, s, "n1", lonely)
	noisy := labelled("noisy", map[string]string{"app": "noisy"})
	require.Equal(t, []string{"n3"}, fits(t, s, noisy))
	_, err := s.Allocate(t.Context(), "n2", noisy)
	require.Equal(t, []string{"1 is repelled over zone"}, refusals(t, err))
	require.NoError(t, s.Release(t.Context(), "lonely"))
	require.Len(t, fits(t, s, noisy), 3)
}

func TestFirstOfItsGroup(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"), testNode("unlabelled", 64))
	together := func(id string) placement.Request {
		req := labelled(id, map[string]string{"app": "x"})
		req.Preferences = placement.Use(placement.BinPack).Near(placement.Attract(placement.Equal("app", "x")).Within("zone"))
		return req
	}
	require.Equal(t, []string{"n1", "n2"}, fits(t, s, together("first")), "a node with the key is enough")
	allocate(t, s, "n2", together("first"))
	require.Equal(t, []string{"n2"}, fits(t, s, together("second")))
	stranger := together("stranger")
	stranger.Labels = nil
	require.NoError(t, s.Release(t.Context(), "first"))
	require.Empty(t, fits(t, s, stranger), "not for one that does not match its own term")
}

// spreadCluster has two zones of two nodes, and foo=bar pods on three nodes,
// as in the documentation of pod topology spread constraints.
func spreadCluster(t *testing.T) *Scheduler {
	t.Helper()
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "A"), zoned("n2", "A"), zoned("n3", "B"), zoned("n4", "B"))
	for i, nodeID := range []string{"n1", "n2", "n3"} {
		req := testRequest(fmt.Sprint("pod-", i), 1)
		req.Group = "foo"
		allocate(t, s, nodeID, req)
	}
	return s
}

func spreading(rules ...placement.SpreadRule) placement.Request {
	req := testRequest("mypod", 1)
	req.Group = "foo"
	req.Preferences = placement.Use(placement.BinPack).Across(rules...)
	return req
}

func TestTopologySpread(t *testing.T) {
	byZone, byHost := placement.EvenlyOver("zone", 1), placement.EvenlyOver("host", 1)
	t.Run("one constraint", func(t *testing.T) {
		s := spreadCluster(t)
		require.Equal(t, []string{"n3", "n4"}, fits(t, s, spreading(byZone)))
	})
	t.Run("a greater skew", func(t *testing.T) {
		s := spreadCluster(t)
		require.Len(t, fits(t, s, spreading(placement.EvenlyOver("zone", 2))), 4)
	})
	t.Run("two constraints", func(t *testing.T) {
		s := spreadCluster(t)
		require.Equal(t, []string{"n4"}, fits(t, s, spreading(byZone, byHost)))
	})
	t.Run("conflicting constraints", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, zoned("n1", "A"), zoned("n2", "A"), zoned("n3", "B"))
		for i, nodeID := range []string{"n1", "n1", "n2", "n3", "n3"} {
			req := testRequest(fmt.Sprint("pod-", i), 1)
			req.Group = "foo"
			allocate(t, s, nodeID, req)
		}
		require.Equal(t, []string{"n3"}, fits(t, s, spreading(byZone)))
		require.Equal(t, []string{"n2"}, fits(t, s, spreading(byHost)))
		require.Empty(t, fits(t, s, spreading(byZone, byHost)))
	})
	t.Run("with node affinity", func(t *testing.T) {
		s := spreadCluster(t)
		addNodes(t, s, zoned("n5", "C"))
		require.Equal(t, []string{"n5"}, fits(t, s, spreading(byZone)), "zone C is the emptiest")
		req := spreading(byZone)
		req.Preferences = req.Preferences.Require(placement.NotIn("zone", "C"))
		require.Equal(t, []string{"n3", "n4"}, fits(t, s, req), "a zone that is ruled out is no domain")
	})
	t.Run("nodes without the key", func(t *testing.T) {
		s := spreadCluster(t)
		addNodes(t, s, testNode("n5", 64))
		require.Equal(t, []string{"n3", "n4"}, fits(t, s, spreading(byZone)))
	})
	t.Run("soft", func(t *testing.T) {
		s := spreadCluster(t)
		req := spreading(placement.EvenlyOver("zone", 1).Weighing(100))
		require.Len(t, fits(t, s, req), 4)
		d, err := s.Schedule(req)
		require.NoError(t, err)
		require.Contains(t, []string{"n3", "n4"}, d.NodeID)
	})
	t.Run("counting a selector", func(t *testing.T) {
		s := spreadCluster(t)
		allocate(t, s, "n4", labelled("x1", map[string]string{"app": "x"}))
		req := labelled("x2", map[string]string{"app": "x"})
		req.Preferences = placement.Use(placement.BinPack).
			Across(placement.EvenlyOver("zone", 1).Counting(placement.Equal("app", "x")))
		require.Equal(t, []string{"n1", "n2"}, fits(t, s, req))
	})
	t.Run("lost instances do not count", func(t *testing.T) {
		s := spreadCluster(t)
		require.NoError(t, s.MarkLost(t.Context(), "n1"))
		require.Equal(t, []string{"n2", "n3", "n4"}, fits(t, s, spreading(byZone)))
	})
}

func TestMinDomains(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "A"), zoned("n2", "B"), zoned("n3", "C"))
	for i := range 6 {
		req := testRequest(fmt.Sprint("pod-", i), 1)
		req.Group = "foo"
		allocate(t, s, fmt.Sprint("n", i%3+1), req)
	}
	require.Len(t, fits(t, s, spreading(placement.EvenlyOver("zone", 1))), 3)
	require.Empty(t, fits(t, s, spreading(placement.EvenlyOver("zone", 1).Needing(5))),
		"with three of five domains the least count is 0, and 2 + 1 - 0 is above 1")
	require.Len(t, fits(t, s, spreading(placement.EvenlyOver("zone", 1).Needing(3))), 3)
	require.Len(t, fits(t, s, spreading(placement.EvenlyOver("zone", 3).Needing(5))), 3)
}

func TestSpreadTargets(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "us-east1"), zoned("n2", "us-west1"))
	counts := make(map[string]int)
	for i := range 10 {
		req := spreading(placement.ShareOver("zone", map[string]int{"us-east1": 80, "us-west1": 20}, 100))
		req.ID = fmt.Sprint("task-", i)
		counts[place(t, s, req).NodeID]++
	}
	require.Equal(t, map[string]int{"n1": 8, "n2": 2}, counts)
}

func TestDistinctProperty(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "r1"), zoned("n2", "r1"), zoned("n3", "r2"))
	counts := make(map[string]int)
	for i := range 4 {
		req := spreading(placement.AtMostPer("zone", 2))
		req.ID = fmt.Sprint("task-", i)
		a, err := s.Place(t.Context(), req)
		require.NoError(t, err)
		n, err := s.Node(a.NodeID)
		require.NoError(t, err)
		counts[n.Labels["zone"]]++
	}
	require.Equal(t, map[string]int{"r1": 2, "r2": 2}, counts)
	req := spreading(placement.AtMostPer("zone", 2))
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"3 break spread over zone"}, refusals(t, err))
}

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
