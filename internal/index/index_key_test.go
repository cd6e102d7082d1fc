package index

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestIndexKeysMissNothing draws selectors of every form, in one namespace, some
// or all, and finds for every class all counters that cover it, each once.
func TestIndexKeysMissNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDice(rapid.Uint64().Draw(t, "dice"))
		var table keyTable
		table.init()
		var all []*counter
		for range 30 {
			term := drawTerm(d)
			if d.one(8) {
				term.Namespaces = nil
				for i := range mostIndexKeys {
					term.Namespaces = append(term.Namespaces, strconv.Itoa(i))
				}
				term.Namespaces = append(term.Namespaces, "y")
				term.Selector = placement.In("app", "1", "2")
			}
			owner := Class{request: placement.Request{Namespace: pick(d, "x", "y")}}
			k := &counter{of: owner.affinityTarget(term, ofHolders)}
			k.keys = k.of.indexKeys()
			require.LessOrEqual(t, len(k.keys), mostIndexKeys+1)
			table.add(k)
			all = append(all, k)
		}
		for i := 0; i < len(all); i += 3 {
			table.remove(all[i])
			all[i] = nil
		}
		all = slices.DeleteFunc(all, func(k *counter) bool { return k == nil })
		w := newWorld(Config{}, tinyThresholds())
		for range 30 {
			c := &Class{request: w.drawRequest(d)}
			var want []*counter
			for _, k := range all {
				if k.of.covers(c) {
					want = append(want, k)
				}
			}
			require.ElementsMatch(t, want, table.covering(nil, c), "%v", c.request)
		}
		for _, k := range all {
			table.remove(k)
		}
		require.Empty(t, table.lists)
		require.Zero(t, table.used)
		require.Zero(t, table.unkeyed)
	})
}

// TestInnocentsAreNotCompared counts comparisons of classes that many required
// repulsions do not concern: none, whatever the selectors are, unless they
// choose instances without labels, and then only in the same namespace.
func TestInnocentsAreNotCompared(t *testing.T) {
	const rules = 500
	tests := []struct {
		name     string
		selector func(i string) placement.Constraint
		want     int
	}{
		{"equal", func(i string) placement.Constraint { return placement.Equal("app", i) }, 0},
		{"in", func(i string) placement.Constraint { return placement.In("app", i, i+"-canary") }, 0},
		{"exists", func(i string) placement.Constraint { return placement.Exists("owner-" + i) }, 0},
		{"matches", func(i string) placement.Constraint { return placement.Matches("owner-"+i, "^a") }, 0},
		{"greater", func(i string) placement.Constraint { return placement.Greater("level-"+i, 3) }, 0},
		{"or", func(i string) placement.Constraint {
			return placement.Or(placement.Equal("app", i), placement.Exists("owner-"+i))
		}, 0},
		{"and", func(i string) placement.Constraint {
			return placement.And(placement.NotEqual("tier", i), placement.Exists("app"), placement.In("app", i))
		}, 0},
		{"not", func(i string) placement.Constraint { return placement.NotEqual("app", i) }, rules},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := New(Config{})
			row := x.Add(zoneNode(0, 0), 0)
			for i := range rules {
				x.Join(row, x.Class(&placement.Request{
					ID: "r", Namespace: "ns", Preferences: placement.Preferences{}.
						Near(placement.Repel(tt.selector(strconv.Itoa(i))).Within("zone")),
				}))
			}
			compared := func(namespace string) int {
				r := placement.Request{ID: "r", Namespace: namespace, Labels: map[string]string{"app": "innocent", "tier": "web"}}
				before := x.Stats().Compared
				fits := x.Fits(&Query{Class: x.Class(&r), Resources: &r.Resources}, row)
				require.Equal(t, tt.want == 0 || namespace != "ns", fits)
				return int(x.Stats().Compared - before)
			}
			require.Equal(t, tt.want, compared("ns"))
			require.Zero(t, compared("elsewhere"))
			require.Equal(t, tt.want, x.Stats().Unkeyed)
		})
	}
}

// TestCountersAreShared asks for the same things to be counted in other words:
// rules that look at the same have one counter, those that do not have others.
func TestCountersAreShared(t *testing.T) {
	x := New(Config{})
	app := placement.Equal("app", "a")
	counters := func(terms ...placement.AffinityTerm) int {
		x.compiledOf(x.Class(&placement.Request{ID: "r", Namespace: "ns", Preferences: placement.Preferences{}.Near(terms...)}))
		return x.Stats().Counters
	}
	require.Equal(t, 1, counters(placement.Attract(app), placement.Repel(app).Weighing(5), placement.AffinityTerm{Selector: app, Namespaces: []string{"ns"}}))
	require.Equal(t, 2, counters(placement.Repel(app)), "which counts what leaves as well")
	require.Equal(t, 3, counters(placement.Attract(app).Within("zone")))
	require.Equal(t, 4, counters(placement.AffinityTerm{Selector: app, Namespaces: []string{"other", "ns"}}))
	require.Equal(t, 4, counters(placement.AffinityTerm{Selector: app, Namespaces: []string{"ns", "other", "ns"}}))
}

// TestNewRepellerIsHeeded asks where a request goes before and after an
// instance comes that repels it.
func TestNewRepellerIsHeeded(t *testing.T) {
	w := newWorld(Config{}, tinyThresholds())
	for _, id := range []string{"n1", "n2"} {
		w.add(placement.Node{ID: id, Capacity: placement.Resources{CPU: 9}})
	}
	b := placement.Request{ID: "b", Labels: map[string]string{"app": "b"}}
	before, ok := w.checkBest(t, w.query(&b), &b)
	require.True(t, ok)
	w.place(t, placement.Request{ID: "a", Preferences: placement.Preferences{}.Near(placement.Repel(placement.Equal("app", "b")))})
	after, ok := w.checkBest(t, w.query(&b), &b)
	require.True(t, ok)
	require.NotEqual(t, before.Row, after.Row)
	w.vacate(w.m.at(before.Row), 0)
	again, ok := w.checkBest(t, w.query(&b), &b)
	require.True(t, ok)
	require.Equal(t, before.Row, again.Row)
}

// TestPatchedSetsCountDomainsAnew takes the only node of a zone out of what a
// rule may use, by a change that patches the set of these nodes: the zone exists
// no more, and the smallest count is another one's.
func TestPatchedSetsCountDomainsAnew(t *testing.T) {
	w := newWorld(Config{}, defaultThresholds())
	for i := range 3 {
		w.add(placement.Node{
			ID: "n" + strconv.Itoa(i), Capacity: placement.Resources{CPU: 9},
			Labels: map[string]string{"zone": strconv.Itoa(i)},
		})
	}
	r := placement.Request{ID: "r", Group: "g", Preferences: placement.Preferences{}.Across(placement.EvenlyOver("zone", 1))}
	for range 2 {
		w.place(t, r)
	}
	_, ok := w.checkBest(t, w.query(&r), &r)
	require.True(t, ok, "the third zone has none")
	for _, state := range []NodeState{Cordoned, Ready} {
		w.m.nodes[2].state = state
		w.x.SetState(w.m.nodes[2].row, state)
		w.check(t, r, Hold{})
	}
	w.m.nodes[2].state = Cordoned
	w.x.SetState(w.m.nodes[2].row, Cordoned)
	_, ok = w.checkBest(t, w.query(&r), &r)
	require.True(t, ok, "the two zones that are left have one each")
}
