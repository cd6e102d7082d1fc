package index

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestTiesAcrossCells has empty nodes of different shapes: their keys are equal, they lie in
// different cells, and the first to join wins.
func TestTiesAcrossCells(t *testing.T) {
	for _, first := range []bool{false, true} {
		w := newWorld(Config{}, tinyThresholds())
		wide := placement.Resources{CPU: 32, Memory: 8}
		tall := placement.Resources{CPU: 8, Memory: 32}
		if first {
			wide, tall = tall, wide
		}
		for i := range 6 {
			capacity := wide
			if i%2 == 1 {
				capacity = tall
			}
			w.add(placement.Node{ID: strconv.Itoa(i), Capacity: capacity})
		}
		for range 6 {
			r := placement.Request{ID: "r", Resources: placement.Resources{CPU: 1}}
			choice, ok := w.checkBest(t, w.query(&r), &r)
			require.True(t, ok)
			w.remove(w.m.at(choice.Row))
		}
		require.Empty(t, w.m.nodes)
	}
}

// TestQuestionsBeforeNodes: what is compiled while there is no node is as good
// as what is compiled later.
func TestQuestionsBeforeNodes(t *testing.T) {
	w := newWorld(Config{}, tinyThresholds())
	r := placement.Request{ID: "r", Preferences: placement.Preferences{}.
		Prefer(placement.Exists("zone"), 5).Require(placement.NotExists("rack"))}
	for range 3 {
		w.check(t, r, Hold{})
	}
	w.checkInvariants(t)
	w.add(placement.Node{ID: "n", Capacity: placement.Resources{CPU: 1}})
	w.check(t, r, Hold{})
	w.checkInvariants(t)
}

// TestMinDomains: while fewer domains exist than the rule needs, the smallest
// count is 0, so that two filled domains take no more.
func TestMinDomains(t *testing.T) {
	w := newWorld(Config{}, tinyThresholds())
	for i := range 2 {
		w.add(placement.Node{ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: 9}, Labels: map[string]string{"zone": strconv.Itoa(i)}})
	}
	request := func(least int) placement.Request {
		return placement.Request{ID: "r", Group: "g", Preferences: placement.Preferences{}.
			Across(placement.EvenlyOver("zone", 1).Needing(least))}
	}
	for range 2 {
		w.place(t, request(3))
	}
	refused, allowed := request(3), request(2)
	_, ok := w.checkBest(t, w.query(&refused), &refused)
	require.False(t, ok)
	_, ok = w.checkBest(t, w.query(&allowed), &allowed)
	require.True(t, ok)
}

// TestAffinityLevels has terms in the key of the order and others walked level
// by level: nodes of equal soft score are to be found in either.
func TestAffinityLevels(t *testing.T) {
	w := newWorld(Config{}, tinyThresholds())
	for i := range 24 {
		n := placement.Node{
			ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: int64(40 - i), Memory: 8},
			Labels: map[string]string{"zone": strconv.Itoa(i % 2), "disk": strconv.Itoa(i / 2 % 2)},
		}
		w.add(n)
	}
	for i := range 60 {
		weight := 1 + i%3
		r := placement.Request{
			ID: strconv.Itoa(i), Labels: map[string]string{"app": strconv.Itoa(i % 2)}, Resources: placement.Resources{CPU: 5},
			Preferences: placement.Use(placement.Affinity).Prefer(placement.Equal("disk", "1"), 2).
				Near(placement.Attract(placement.Equal("app", "1")).Within("zone").Weighing(weight),
					placement.Repel(placement.Equal("app", "0")).Weighing(weight)),
		}
		w.place(t, r)
	}
	w.checkInvariants(t)
}
