package scheduler

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// The tests of this file take the examples that Kubernetes and Nomad document
// for affinity to other instances, and expect the verdicts documented there.
//
//	TestDocumentedPodAffinity              required terms
//	TestRequiredRepulsionHoldsForNewcomers their symmetry
//	TestInterPodAffinity                   pod affinity by zone, required and preferred
//	TestCoLocatedCache                     anti-affinity to itself and affinity to a cache, by host
//	TestRepulsionIsSymmetric               an existing pod's anti-affinity holds for newcomers
//	TestFirstOfItsGroup                    a pod whose affinity only itself satisfies

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
	d, err := s.Schedule(t.Context(), req)
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
	require.Equal(t, []string{"1 is kept free by anti-affinity of others over zone"}, refusals(t, err))
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
	allocate(t, s, "unlabelled", labelled("apart", map[string]string{"app": "x"}))
	require.Empty(t, fits(t, s, together("second")), "not the first: one that matches runs, though in no domain")
}

// TestOnlyWhatRunsCountsInRules: instances of lost nodes, generations that were
// replaced, and slots of reservations attract and repel nobody and count in no
// spread, also after a restart; instances in slots do.
func TestOnlyWhatRunsCountsInRules(t *testing.T) {
	ctx := t.Context()
	j := new(MemoryJournal)
	c := newClock()
	s := open(t, Config{Journal: j, Now: c.Now})
	addNodes(t, s, zoned("a", "A"), zoned("b", "B"))
	load := testRequest("load", 32) // so that only the count of the group may lead to b
	load.Group = ""
	allocate(t, s, "b", load)
	db := labelled("db", map[string]string{"app": "db"})
	db.Group = "foo"
	db.Preferences = placement.Preferences{}.Near(placement.Repel(placement.Equal("app", "web")))
	rules := map[string]placement.Request{
		"attraction": ruled(placement.Preferences{}.Near(placement.Attract(placement.Equal("app", "db"))), ""),
		"repulsion":  ruled(placement.Preferences{}.Near(placement.Repel(placement.Equal("app", "db"))), ""),
		"symmetry":   ruled(placement.Preferences{}, "app=web"),
		"spread":     spreading(placement.AtMostPer("", 1)),
	}
	expect := func(when string, attraction, others []string) {
		t.Helper()
		for range 2 {
			for name, req := range rules {
				want := others
				if name == "attraction" {
					want = attraction
				}
				require.Equal(t, want, fits(t, s, req), "%s, %s", name, when)
			}
			preferring := spreading()
			preferring.Preferences = placement.Use(placement.Spread)
			d, err := s.Schedule(ctx, preferring)
			require.NoError(t, err)
			require.Equal(t, others[0], d.NodeID, "strategy spread, %s", when)
			require.NoError(t, s.Checkpoint(ctx))
			s = open(t, Config{Journal: j, Now: c.Now})
		}
	}
	both := []string{"a", "b"}
	spec := holding("r", 1, 1)
	spec.Node, spec.Preferences = "a", db.Preferences
	reserve(t, s, spec)
	expect("a slot", nil, both)
	claimed := db
	claimed.ID, claimed.Resources = "claimed", placement.Resources{CPU: placement.Core}
	_, err := s.PlaceFromReservation(ctx, "r", claimed)
	require.NoError(t, err)
	expect("an instance in a slot", []string{"a"}, []string{"b"})
	require.NoError(t, s.Release(ctx, "claimed"))
	require.NoError(t, s.ReleaseReservation(ctx, "r", false))

	allocate(t, s, "a", db)
	require.NoError(t, s.MarkLost(ctx, "a"))
	expect("a lost instance", nil, []string{"b"})
	allocate(t, s, "b", db)
	require.NoError(t, s.MarkReady(ctx, "a"))
	expect("a replaced generation on a", []string{"b"}, []string{"a"})
}

// TestWhatLeavesCountsInRequiredAntiAffinityAlone: for all other rules it has gone,
// also after a restart; once it stays it counts again.
func TestWhatLeavesCountsInRequiredAntiAffinityAlone(t *testing.T) {
	ctx := t.Context()
	j, c := new(MemoryJournal), newClock()
	s := open(t, Config{Journal: j, Now: c.Now})
	addNodes(t, s, zoned("a", "A"), zoned("b", "B"))
	load := testRequest("load", 32) // so that only what counts on a may lead to b
	load.Group = ""
	db := labelled("db", map[string]string{"app": "db"})
	db.Group = "foo"
	db.Preferences = placement.Preferences{}.Near(placement.Repel(placement.Equal("app", "web")))
	allocate(t, s, "a", load)
	allocate(t, s, "a", db)
	app := placement.Equal("app", "db")
	prefers := func(p placement.Preferences) placement.Request { return ruled(p, "") }
	expect := func(when string, attraction, counted []string, best string) {
		t.Helper()
		for range 2 {
			require.Equal(t, attraction, fits(t, s, ruled(placement.Preferences{}.Near(placement.Attract(app)), "")), "attraction, %s", when)
			require.Equal(t, counted, fits(t, s, spreading(placement.AtMostPer("", 1))), "spread, %s", when)
			require.Equal(t, []string{"b"}, fits(t, s, ruled(placement.Preferences{}.Near(placement.Repel(app)), "")), "anti-affinity, %s", when)
			require.Equal(t, []string{"b"}, fits(t, s, ruled(placement.Preferences{}, "app=web")), "its own, %s", when)
			d, err := s.Schedule(ctx, prefers(placement.Use(placement.BinPack).Near(placement.Repel(app).Weighing(100))))
			require.NoError(t, err)
			require.Equal(t, best, d.NodeID, "weighted anti-affinity, %s", when)
			require.NoError(t, s.Checkpoint(ctx))
			s = open(t, Config{Journal: j, Now: c.Now})
		}
	}
	expect("before", []string{"a"}, []string{"b"}, "b")
	require.NoError(t, s.Leave(ctx, "db"))
	expect("leaving", nil, []string{"a", "b"}, "a")
	require.NoError(t, s.Stay(ctx, "db"))
	expect("staying", []string{"a"}, []string{"b"}, "b")
}
