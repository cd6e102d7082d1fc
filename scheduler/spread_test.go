package scheduler

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// The tests of this file take the examples that Kubernetes and Nomad document
// for spread over domains, and expect the verdicts documented there.
//
//	TestTopologySpread            one spread constraint, two, conflicting ones, with node affinity
//	TestMinDomains                fewer eligible domains than minDomains
//	TestSpreadTargets             Nomad's spread with percentages
//	TestDistinctProperty          Nomad's distinct_property
//	TestDocumentedSpread          spread rules as both document them
//	TestSpreadHonoursTaints       nodeTaintsPolicy
//	TestSpreadTargetsLeaveTheRest percentages that do not add up to 100

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
		d, err := s.Schedule(t.Context(), req)
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
		n, err := s.Node(t.Context(), a.NodeID)
		require.NoError(t, err)
		counts[n.Labels["zone"]]++
	}
	require.Equal(t, map[string]int{"r1": 2, "r2": 2}, counts)
	req := spreading(placement.AtMostPer("zone", 2))
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"3 break spread over zone"}, refusals(t, err))
}

// TestDocumentedSpread states what Kubernetes and Nomad document of spread
// rules, one rule a line. Zone A holds two instances of the group on n1, zone
// B one on n3, n2 and n4 are empty, n5 has no zone.
func TestDocumentedSpread(t *testing.T) {
	even := placement.EvenlyOver
	tests := []struct {
		rule  string
		rules placement.Preferences
		want  []string
	}{
		{"maxSkew 1", placement.Preferences{}.Across(even("zone", 1)), []string{"n3", "n4"}},
		{"maxSkew 2", placement.Preferences{}.Across(even("zone", 2)), []string{"n1", "n2", "n3", "n4"}},
		{"a node without the key is out, and no domain", placement.Preferences{}.Across(even("zone", 5)), []string{"n1", "n2", "n3", "n4"}},
		{"a key that no node has", placement.Preferences{}.Across(even("rack", 1)), nil},
		{"several constraints are joined by and", placement.Preferences{}.Across(even("zone", 1), even("", 1)), []string{"n4"}},
		{"a soft constraint refuses nothing", placement.Preferences{}.Across(even("zone", 1).Weighing(1), even("", 1)), []string{"n2", "n4", "n5"}},
		{"minDomains above the domains: the least count is 0", placement.Preferences{}.Across(even("zone", 2).Needing(3)), []string{"n3", "n4"}},
		{"minDomains met", placement.Preferences{}.Across(even("zone", 1).Needing(2)), []string{"n3", "n4"}},
		{"nodeAffinityPolicy Honor: zone B is no domain", placement.Preferences{}.Require(placement.NotEqual("zone", "B")).Across(even("zone", 1)), []string{"n1", "n2"}},
		{"a selector that the pod does not match itself: the pod adds nothing", placement.Preferences{}.Across(even("zone", 1).Counting(placement.Equal("app", "old"))), []string{"n1", "n2", "n3", "n4"}},
		{"a selector that nothing matches", placement.Preferences{}.Across(even("zone", 1).Counting(placement.Equal("app", "none"))), []string{"n1", "n2", "n3", "n4"}},
		{"distinct_hosts", placement.Preferences{}.Across(placement.AtMostPer("", 1)), []string{"n2", "n4", "n5"}},
		{"distinct_property", placement.Preferences{}.Across(placement.AtMostPer("zone", 1)), nil},
		{"distinct_property with value 2", placement.Preferences{}.Across(placement.AtMostPer("zone", 2)), []string{"n3", "n4"}},
		{"distinct_property: a node without the property is out", placement.Preferences{}.Across(placement.AtMostPer("zone", 9)), []string{"n1", "n2", "n3", "n4"}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			addNodes(t, s, zoned("n1", "A"), zoned("n2", "A"), zoned("n3", "B"), zoned("n4", "B"), testNode("n5", 64))
			for id, node := range map[string]string{"p1": "n1", "p2": "n1", "p3": "n3"} {
				req := spreading()
				req.ID, req.Labels = id, map[string]string{"app": "old"}
				allocate(t, s, node, req)
			}
			req := spreading()
			req.Preferences = tt.rules
			require.Equal(t, tt.want, fits(t, s, req))
		})
	}
}

// TestMinDomainsThroughAnOutage loses a whole zone: what ran there is placed again
// in the zones that are left, in turn.
func TestMinDomainsThroughAnOutage(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("a", "A"), zoned("b", "B"), zoned("c", "C"))
	req := spreading(placement.EvenlyOver("zone", 1).Needing(3))
	ids := []string{"1", "2", "3", "4", "5", "6"}
	on := make(map[string]int)
	for _, req.ID = range ids {
		on[place(t, s, req).NodeID]++
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2}, on)
	require.NoError(t, s.MarkLost(t.Context(), "c"))
	clear(on)
	for _, req.ID = range ids {
		on[place(t, s, req).NodeID]++
	}
	require.Equal(t, map[string]int{"a": 3, "b": 3}, on)
	require.NoError(t, s.MarkReady(t.Context(), "c"))
	require.Equal(t, []string{"c"}, fits(t, s, spreading(placement.EvenlyOver("zone", 1).Needing(3))))
	_, err := s.RemoveNode(t.Context(), "c")
	require.NoError(t, err)
	require.Empty(t, fits(t, s, spreading(placement.EvenlyOver("zone", 1).Needing(3))), "a zone that is gone does not count")
}

// TestSpreadWithoutAGroupLooksAtLoadAlone: instances without a group have nothing to
// do with one another.
func TestSpreadWithoutAGroupLooksAtLoadAlone(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("small", 8), testNode("large", 64))
	on := make(map[string]int)
	for i := range 9 {
		req := testRequest(fmt.Sprint("i", i), 1)
		req.Group, req.Preferences = "", placement.Use(placement.Spread)
		d := place(t, s, req)
		require.Equal(t, "spread: the emptiest of the nodes that fit", d.Reason)
		on[d.NodeID]++
	}
	require.Equal(t, map[string]int{"small": 1, "large": 8}, on)
	req := testRequest("ruled", 1)
	req.Group, req.Preferences = "", placement.Preferences{}.Across(placement.AtMostPer("", 1))
	_, err := s.Place(t.Context(), req)
	require.ErrorIs(t, err, placement.ErrInvalid)
}

// TestSpreadHonoursTaints is Kubernetes' nodeTaintsPolicy Honor, and the same
// for cordoned and lost nodes, which however go on to count for MinDomains.
func TestSpreadHonoursTaints(t *testing.T) {
	tests := []struct {
		name  string
		close func(*testing.T, *Scheduler)
	}{
		{"tainted", func(t *testing.T, s *Scheduler) {
			t.Helper()
			require.NoError(t, s.AddTaint(t.Context(), "c", placement.Taint{Key: "k", Effect: placement.NoSchedule}))
		}},
		{"cordoned", func(t *testing.T, s *Scheduler) {
			t.Helper()
			require.NoError(t, s.Cordon(t.Context(), "c"))
		}},
		{"lost", func(t *testing.T, s *Scheduler) {
			t.Helper()
			require.NoError(t, s.MarkLost(t.Context(), "c"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			addNodes(t, s, zoned("a", "A"), zoned("b", "B"), zoned("c", "C"))
			for _, id := range []string{"a", "b"} {
				req := spreading()
				req.ID = id
				allocate(t, s, id, req)
			}
			rule := placement.EvenlyOver("zone", 1)
			require.Equal(t, []string{"c"}, fits(t, s, spreading(rule)))
			tt.close(t, s)
			require.Equal(t, []string{"a", "b"}, fits(t, s, spreading(rule)))
			if tt.name == "tainted" {
				require.Empty(t, fits(t, s, spreading(rule.Needing(3))))
			} else {
				require.Equal(t, []string{"a", "b"}, fits(t, s, spreading(rule.Needing(3))), "the domain still counts")
			}
			require.Empty(t, fits(t, s, spreading(rule.Needing(4))))
			tolerant := spreading(rule)
			tolerant.Preferences = tolerant.Preferences.TolerateExists("k")
			if tt.name == "tainted" {
				require.Equal(t, []string{"c"}, fits(t, s, tolerant), "tolerated, it is a domain")
			}
		})
	}
}

// TestSpreadTargetsLeaveTheRest is Nomad's spread whose percentages do not add
// up to 100: the other domains share the rest.
func TestSpreadTargetsLeaveTheRest(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "dc1"), zoned("n2", "dc2"), zoned("n3", "dc3"), testNode("bare", 64))
	counts := make(map[string]int)
	for i := range 10 {
		req := spreading(placement.ShareOver("zone", map[string]int{"dc1": 50, "dc2": 30}, 100))
		req.ID += string(rune('a' + i))
		counts[place(t, s, req).NodeID]++
	}
	require.Equal(t, map[string]int{"n1": 5, "n2": 3, "n3": 2}, counts)
}
