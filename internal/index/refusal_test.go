package index

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// fullWorld is one of 640 nodes with four cores each, of which an instance uses two.
func fullWorld() *world {
	w := newWorld(Config{}, defaultThresholds())
	for i := range uint64(640) {
		w.add(placement.Node{
			ID: id("n", i), Capacity: placement.Resources{CPU: 4}, Labels: map[string]string{"zone": id("z", i%2)},
		})
		w.occupy(w.m.nodes[i], placement.Request{ID: id("base", i), Resources: placement.Resources{CPU: 2}}, Taken{})
	}
	return w
}

func waiting(cpu int64, rules placement.Preferences) placement.Request {
	return placement.Request{ID: "waits", Group: "g", Resources: placement.Resources{CPU: cpu}, Preferences: rules}
}

// refuse asks the request of every node and of the index, and returns what the
// index had to do.
func (w *world) refuse(t *testing.T, r placement.Request) Stats {
	t.Helper()
	before := w.x.Stats()
	q := w.query(&r)
	_, ok := w.x.Best(q)
	require.False(t, ok)
	_, refused := w.m.ranked(&r)
	require.Equal(t, refused, w.x.Count(q))
	after := w.x.Stats()
	return Stats{
		Scans: after.Scans - before.Scans, Walks: after.Walks - before.Walks, Lists: after.Lists - before.Lists,
		Counts: after.Counts - before.Counts, Recalls: after.Recalls - before.Recalls, Rechecked: after.Rechecked - before.Rechecked,
	}
}

// TestRefusedAgainLooksAtWhatChanged and nothing else: not at the nodes that stay as
// they are.
func TestRefusedAgainLooksAtWhatChanged(t *testing.T) {
	w, r := fullWorld(), waiting(3, placement.Preferences{})
	require.Equal(t, uint64(1), w.refuse(t, r).Counts)
	require.Equal(t, Stats{Recalls: 1}, w.refuse(t, r))
	w.occupy(w.m.nodes[7], placement.Request{ID: "x", Resources: placement.Resources{CPU: 1}}, Taken{})
	w.setHeld(w.m.nodes[8], Hold{Resources: placement.Resources{CPU: 2}})
	require.Equal(t, Stats{Recalls: 1, Rechecked: 2}, w.refuse(t, r))
	require.Equal(t, Stats{Recalls: 1}, w.refuse(t, r))

	w.vacate(w.m.nodes[9], 0) // which cures it
	choice, ok := w.x.Best(w.query(&r))
	require.True(t, ok)
	require.Equal(t, w.m.nodes[9].row, choice.Row)
	w.occupy(w.m.nodes[9], r, Taken{})
	require.Equal(t, Stats{Recalls: 1, Rechecked: 1}, w.refuse(t, r), "the next of its kind")
}

// TestRefusalEndsWithWhatItRestsOn: whatever may change the answer of nodes that
// are not looked at again.
func TestRefusalEndsWithWhatItRestsOn(t *testing.T) {
	web := placement.Request{ID: "web", Group: "g", Labels: map[string]string{"app": "web"}, Resources: placement.Resources{CPU: 1}}
	near := placement.Preferences{}.Near(placement.Attract(placement.Equal("app", "db")).Within("zone"))
	tests := []struct {
		name  string
		rules placement.Preferences
		do    func(w *world)
	}{
		{"a node comes", placement.Preferences{}, func(w *world) { w.add(placement.Node{ID: "new"}) }},
		{"a node goes", placement.Preferences{}, func(w *world) { w.vacate(w.m.nodes[3], 0); w.remove(w.m.nodes[3]) }},
		{"a node is cordoned", placement.Preferences{}, func(w *world) {
			w.m.nodes[3].state = Cordoned
			w.x.SetState(w.m.nodes[3].row, Cordoned)
		}},
		{"a label", placement.Preferences{}.Require(placement.Equal("disk", "ssd")), func(w *world) {
			n := w.m.nodes[3]
			w.update(n, placement.Node{Capacity: n.spec.Capacity, Labels: map[string]string{"disk": "ssd"}})
		}},
		{"one of its group", placement.Preferences{}.Across(placement.EvenlyOver("zone", 1)), func(w *world) { w.occupy(w.m.nodes[3], web, Taken{}) }},
		{"what it is to be near to", near, func(w *world) {
			db := web
			db.Labels = map[string]string{"app": "db"}
			w.occupy(w.m.nodes[3], db, Taken{})
		}},
		{"what keeps it out", placement.Preferences{}, func(w *world) {
			w.occupy(w.m.nodes[3], placement.Request{
				ID: "quiet", Preferences: placement.Preferences{}.Near(placement.Repel(placement.Not(placement.Equal("app", "x")))),
			}, Taken{})
		}},
		{"a dimension that nobody had", placement.Preferences{}, func(w *world) {
			w.occupy(w.m.nodes[3], placement.Request{ID: "x", Resources: placement.Resources{Memory: 1}}, Taken{})
		}},
		{"more changes than a count takes", placement.Preferences{}, func(w *world) {
			for _, n := range w.m.nodes[:20] {
				w.setHeld(n, Hold{Resources: placement.Resources{CPU: 1}})
			}
		}},
	}
	for _, test := range tests {
		w, r := fullWorld(), waiting(3, test.rules)
		w.refuse(t, r)
		require.Equal(t, Stats{Recalls: 1}, w.refuse(t, r), test.name)
		test.do(w)
		require.Equal(t, uint64(1), w.refuse(t, r).Counts, test.name)
		require.Equal(t, Stats{Recalls: 1}, w.refuse(t, r), test.name)
	}
}

// TestRefusalsAreBoundedByBytes: what was not asked for longest is forgotten, and
// with a class all that was refused of it.
func TestRefusalsAreBoundedByBytes(t *testing.T) {
	w := fullWorld()
	bound := w.x.thresholds.refusalBytes * len(w.x.nodes)
	for cpu := range int64(250) {
		w.refuse(t, waiting(cpu+3, placement.Preferences{}))
		require.LessOrEqual(t, w.x.refusals.bytes, bound)
		w.refuse(t, waiting(3, placement.Preferences{}))
	}
	require.Greater(t, w.x.refusals.bytes, bound*9/10)
	require.Equal(t, Stats{Recalls: 1}, w.refuse(t, waiting(3, placement.Preferences{})), "asked all the time")
	require.Equal(t, Stats{Recalls: 1}, w.refuse(t, waiting(252, placement.Preferences{})), "asked last")
	require.Equal(t, uint64(1), w.refuse(t, waiting(4, placement.Preferences{})).Counts, "asked long ago")
	for i := range uint64(300) {
		w.x.Class(&placement.Request{Group: id("other", i)})
	}
	require.Zero(t, w.x.refusals.bytes)
	require.Same(t, &w.x.refusals.ring, w.x.refusals.ring.newer)
}
