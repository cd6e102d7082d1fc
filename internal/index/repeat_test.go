package index

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestRepeatedRequests compares decisions with the oracle's where few kinds of requests
// come again and again, and other things happen in between to nodes that are much alike.
func TestRepeatedRequests(t *testing.T) {
	kinds := []placement.Request{
		{Preferences: placement.Use(placement.BinPack)},
		{Group: "g", Preferences: placement.Use(placement.BinPack).Across(placement.EvenlyOver("zone", 1))},
		{Preferences: placement.Use(placement.Affinity).Require(placement.Equal("zone", "a"))},
		{Preferences: placement.Use(placement.BinPack).Prefer(placement.Equal("zone", "b"), 1)},
		{Preferences: placement.Use(placement.Spread)},
		{Labels: map[string]string{"app": "x"}, Preferences: placement.Use(placement.BinPack)},
		{Preferences: placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", "x")))},
		{Ports: []placement.Port{{Number: 80}}, Preferences: placement.Use(placement.BinPack)},
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(Config{}, defaultThresholds())
		for i := range uint64(4) {
			w.add(placement.Node{
				ID: id("n", i), Capacity: placement.Resources{CPU: rapid.Int64Range(4, 6).Draw(t, "cores")},
				Labels: map[string]string{"zone": string(rune('a' + i%2))},
			})
		}
		kind := func() placement.Request {
			r := rapid.SampledFrom(kinds).Draw(t, "kind")
			r.ID, r.Resources.CPU = strconv.Itoa(w.queries), rapid.Int64Range(1, 2).Draw(t, "cpu")
			return r
		}
		r := kind()
		for range 40 {
			n := rapid.SampledFrom(w.m.nodes).Draw(t, "node")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.occupy(n, kind(), Taken{})
			case 1, 2:
				for range rapid.IntRange(0, len(n.instances)).Draw(t, "gone") {
					w.vacate(n, 0)
				}
			case 3:
				w.setHeld(n, Hold{Resources: placement.Resources{CPU: rapid.Int64Range(0, 3).Draw(t, "held")}})
			case 4:
				r = kind()
			default:
				w.place(t, r)
			}
		}
	})
}

// TestAlikeNeedNoSearch while they fit on the same node.
func TestAlikeNeedNoSearch(t *testing.T) {
	w := newWorld(Config{}, defaultThresholds())
	for i := range uint64(1000) {
		w.add(placement.Node{ID: id("n", i), Capacity: placement.Resources{CPU: 10}})
	}
	for i := range uint64(30) {
		r := placement.Request{ID: id("r", i), Resources: placement.Resources{CPU: 1}, Preferences: placement.Use(placement.BinPack)}
		choice, ok := w.x.Best(w.query(&r))
		require.True(t, ok)
		w.occupy(w.m.at(choice.Row), r, Taken{})
	}
	found := w.x.Stats()
	require.Equal(t, uint64(27), found.Repeats)
	require.Equal(t, uint64(3), found.Walks+found.Scans)
}
