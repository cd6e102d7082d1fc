package scheduler

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// affinityCluster has zones A (a1, a2) and B (b1), and a node without a zone.
// An instance of namespace ns with app=db runs on a1, one of namespace other
// with app=db on b1.
func affinityCluster(t *testing.T) *Scheduler {
	t.Helper()
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("a1", "A"), zoned("a2", "A"), zoned("b1", "B"), testNode("bare", 64))
	db := map[string]string{"app": "db"}
	allocate(t, s, "a1", labelled("db", db))
	foreign := labelled("foreign", db)
	foreign.Namespace = "other"
	allocate(t, s, "b1", foreign)
	return s
}

// TestDocumentedPodAffinity states what Kubernetes documents of required terms
// between pods, one rule a line, and the nodes that are left.
func TestDocumentedPodAffinity(t *testing.T) {
	db, web := placement.Equal("app", "db"), placement.Equal("app", "web")
	tests := []struct {
		rule  string
		terms []placement.AffinityTerm
		want  []string
	}{
		{"attraction: the domains that hold a match", []placement.AffinityTerm{placement.Attract(db).Within("zone")}, []string{"a1", "a2"}},
		{"attraction by node", []placement.AffinityTerm{placement.Attract(db)}, []string{"a1"}},
		{"attraction: a node without the topology key is out", []placement.AffinityTerm{placement.Attract(db).Within("zone").Among(placement.AllNamespaces)}, []string{"a1", "a2", "b1"}},
		{"attraction: no such key anywhere", []placement.AffinityTerm{placement.Attract(db).Within("rack")}, nil},
		{"namespaces named: only those, not the own", []placement.AffinityTerm{placement.Attract(db).Within("zone").Among("other")}, []string{"b1"}},
		{"namespaces named, the own among them", []placement.AffinityTerm{placement.Attract(db).Within("zone").Among("other", "ns")}, []string{"a1", "a2", "b1"}},
		{"a namespace without anything", []placement.AffinityTerm{placement.Attract(db).Within("zone").Among("")}, nil},
		{"repulsion: the domains that hold a match are out", []placement.AffinityTerm{placement.Repel(db).Within("zone")}, []string{"b1", "bare"}},
		{"repulsion by node", []placement.AffinityTerm{placement.Repel(db)}, []string{"a2", "b1", "bare"}},
		{"repulsion: no such key anywhere refuses nothing", []placement.AffinityTerm{placement.Repel(db).Within("rack")}, []string{"a1", "a2", "b1", "bare"}},
		{"terms are joined by and", []placement.AffinityTerm{placement.Attract(db).Within("zone"), placement.Repel(db)}, []string{"a2"}},
		{"terms that contradict each other", []placement.AffinityTerm{placement.Attract(db).Within("zone"), placement.Repel(db).Within("zone")}, nil},
		{"first of its group: matches itself, nobody else does", []placement.AffinityTerm{placement.Attract(web).Within("zone")}, []string{"a1", "a2", "b1"}},
		{"first of its group, with another term to meet", []placement.AffinityTerm{placement.Attract(web).Within("zone"), placement.Attract(db).Within("zone")}, []string{"a1", "a2"}},
		{"first of its group, but of another namespace only", []placement.AffinityTerm{placement.Attract(web).Within("zone").Among("other")}, nil},
		{"a selector of several expressions", []placement.AffinityTerm{placement.Attract(placement.And(placement.In("app", "db", "cache"), placement.NotExists("canary"))).Within("zone")}, []string{"a1", "a2"}},
		{"an empty selector matches all of the namespace", []placement.AffinityTerm{placement.Attract(placement.Constraint{}).Within("zone")}, []string{"a1", "a2"}},
		{"repulsion of itself does not refuse the first", []placement.AffinityTerm{placement.Repel(web).Within("zone")}, []string{"a1", "a2", "b1", "bare"}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := affinityCluster(t)
			req := labelled("web", map[string]string{"app": "web"})
			req.Preferences = placement.Use(placement.BinPack).Near(tt.terms...)
			require.Equal(t, tt.want, fits(t, s, req))
		})
	}
}

// TestRequiredRepulsionHoldsForNewcomers states the symmetry: what repels is
// not joined by what it selects, of the namespaces that it names.
func TestRequiredRepulsionHoldsForNewcomers(t *testing.T) {
	web := placement.Equal("app", "web")
	everywhere := []string{"a1", "a2", "b1", "bare"}
	tests := []struct {
		rule  string
		term  placement.AffinityTerm
		node  string
		newly func(*placement.Request)
		want  []string
	}{
		{"the whole domain", placement.Repel(web).Within("zone"), "a1", nil, []string{"b1", "bare"}},
		{"the node alone", placement.Repel(web), "a1", nil, []string{"a2", "b1", "bare"}},
		{"not from a node without the key", placement.Repel(web).Within("zone"), "bare", nil, everywhere},
		{"not what it does not select", placement.Repel(web).Within("zone"), "a1", func(r *placement.Request) { r.Labels = nil }, everywhere},
		{"not another namespace", placement.Repel(web).Within("zone"), "a1", func(r *placement.Request) { r.Namespace = "other" }, everywhere},
		{"a namespace that it names", placement.Repel(web).Within("zone").Among("other"), "a1", func(r *placement.Request) { r.Namespace = "other" }, []string{"b1", "bare"}},
		{"every namespace", placement.Repel(web).Within("zone").Among(placement.AllNamespaces), "a1", func(r *placement.Request) { r.Namespace = "third" }, []string{"b1", "bare"}},
		{"a preference is not symmetric", placement.Repel(web).Within("zone").Weighing(100), "a1", nil, everywhere},
		{"an attraction is not symmetric", placement.Attract(placement.Equal("app", "db")).Within("zone"), "a1", nil, everywhere},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := affinityCluster(t)
			holder := labelled("holder", nil)
			holder.Preferences = placement.Use(placement.BinPack).Near(tt.term)
			allocate(t, s, tt.node, holder)
			req := labelled("web", map[string]string{"app": "web"})
			if tt.newly != nil {
				tt.newly(&req)
			}
			require.Equal(t, tt.want, fits(t, s, req))
			require.NoError(t, s.MarkLost(t.Context(), tt.node))
			require.Equal(t, slices.DeleteFunc(slices.Clone(everywhere), func(id string) bool { return id == tt.node }),
				fits(t, s, req), "a lost instance keeps nobody out")
		})
	}
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

// TestSpreadHonoursTaints is Kubernetes' nodeTaintsPolicy Honor, and the same
// for cordoned and lost nodes.
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
			require.Empty(t, fits(t, s, spreading(rule.Needing(3))))
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
