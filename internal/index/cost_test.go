package index

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// services returns an index of nodes in three zones with so many services on
// the first ones, each of one instance and with a spread rule and an
// anti-affinity over zones of its own.
func services(nodes, services int) *Index {
	x := New(Config{})
	for i := range nodes {
		x.Add(zoneNode(i, i%3), uint64(i))
	}
	for i := range services {
		app := strconv.Itoa(i)
		c := x.Class(&placement.Request{
			ID: "r", Group: app, Labels: map[string]string{"app": app},
			Preferences: placement.Preferences{}.
				Across(placement.EvenlyOver("zone", 1)).Near(placement.Repel(placement.Equal("app", app)).Within("zone")),
		})
		x.compiledOf(c)
		x.Join(Row(i%(nodes/2)), c)
	}
	return x
}

func zoneNode(i, zone int) *placement.Node {
	n := placement.Node{
		ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: 1000},
		Labels: map[string]string{"zone": strconv.Itoa(zone), "host": strconv.Itoa(i)},
	}.Canonical()
	return &n
}

// TestNodesCostWhatRunsThere adds, moves to another zone and removes a node: the
// classes looked at are those that run on the node, however many services look
// at its zone.
func TestNodesCostWhatRunsThere(t *testing.T) {
	for _, n := range []int{50, 800} {
		x := services(100, n)
		looked := func(act func()) int {
			before := x.stats.Moved
			act()
			return int(x.stats.Moved - before)
		}
		var added Row
		require.Zero(t, looked(func() { added = x.Add(zoneNode(1000, 0), 1000) }), "%d services: an empty node comes", n)
		require.Zero(t, looked(func() { x.Update(added, zoneNode(1000, 1)) }), "%d services: it moves", n)
		require.Zero(t, looked(func() { x.Remove(added) }), "%d services: it goes", n)
		running := n / 50
		require.Len(t, x.running[0], running)
		require.Equal(t, running, looked(func() { x.Update(0, zoneNode(0, 2)) }), "%d services: a node moves with what runs there", n)
		require.Zero(t, looked(func() {
			relabelled := zoneNode(0, 2)
			relabelled.Labels["host"] = "other"
			x.Update(0, relabelled)
		}), "%d services: no rule counts by the label", n)
	}
}

// TestSurveyMakesLittleGarbage looks at 16 constraints, amounts and a rule over
// zones on 20,000 nodes: what it allocates are some bits per node.
func TestSurveyMakesLittleGarbage(t *testing.T) {
	x := New(Config{})
	for i := range 20_000 {
		x.Add(zoneNode(i, i%3), uint64(i))
	}
	rules := placement.Preferences{}.Across(placement.EvenlyOver("rack", 1))
	for i := range 16 {
		rules = rules.Require(placement.Equal("zone", strconv.Itoa(i)))
	}
	r := placement.Request{ID: "r", Group: "g", Resources: placement.Resources{CPU: 5000, Memory: 1}, Preferences: rules}
	q := Query{Class: x.Class(&r), Resources: &r.Resources}
	x.Survey(&q, nil) // compiles
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := x.Survey(&q, nil)
	runtime.ReadMemStats(&after)
	require.Len(t, s.Failed, 19)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<10))
}

// BenchmarkHelp surveys 16 rules that every node meets for an amount that only
// some nodes might have, and looks at each node for a remedy.
func BenchmarkHelp(b *testing.B) {
	x := New(Config{})
	for i := range 20_000 {
		n := zoneNode(i, i%3)
		n.Capacity.Memory = int64(1000 * (i % 2))
		x.Add(n, uint64(i))
	}
	var rules placement.Preferences
	for i := range 16 {
		rules = rules.Require(placement.NotEqual("zone", strconv.Itoa(10+i)))
	}
	r := placement.Request{ID: "r", Resources: placement.Resources{CPU: 1001, Memory: 999}, Preferences: rules}
	q := Query{Class: x.Class(&r), Resources: &r.Resources}
	b.ReportAllocs()
	for b.Loop() {
		s := x.Survey(&q, nil)
		for _, remedy := range []func(*Survey, func(Row) bool){x.Waits, x.Twins} {
			remedy(&s, func(Row) bool { return true })
		}
	}
}

// BenchmarkSurvey looks at all rules on all nodes for a request that fits nowhere.
func BenchmarkSurvey(b *testing.B) {
	for _, nodes := range []int{20_000, 100_000} {
		for _, constraints := range []int{1, 16} {
			b.Run(fmt.Sprintf("nodes=%d/rules=%d", nodes, constraints), func(b *testing.B) {
				x := New(Config{})
				for i := range nodes {
					x.Add(zoneNode(i, i%3), uint64(i))
				}
				var rules placement.Preferences
				for i := range constraints {
					rules = rules.Require(placement.Equal("zone", strconv.Itoa(i)))
				}
				r := placement.Request{ID: "r", Resources: placement.Resources{CPU: 5000, Memory: 1}, Preferences: rules}
				q := Query{Class: x.Class(&r), Resources: &r.Resources}
				b.ReportAllocs()
				for b.Loop() {
					x.Survey(&q, nil)
				}
			})
		}
	}
}

// ruleSets returns an index with so many running classes that differ in one rule
// or label, as vary makes them, and places by each.
func ruleSets(n int, vary func(i int, r *placement.Request)) *Index {
	x := New(Config{})
	for i := range 100 {
		x.Add(zoneNode(i, i%3), uint64(i))
	}
	for i := range n {
		placeVaried(x, i, vary)
	}
	return x
}

func placeVaried(x *Index, i int, vary func(i int, r *placement.Request)) {
	r := placement.Request{ID: "r", Group: "g", Preferences: placement.Preferences{}.
		Across(placement.ShareOver("zone", map[string]int{"0": 50}, 40))}
	vary(i, &r)
	c := x.Class(&r)
	choice, _ := x.Best(&Query{Class: c, Resources: &r.Resources})
	x.Join(choice.Row, c)
}

func varyTargets(i int, r *placement.Request) {
	r.Preferences.Spread[0].Targets = map[string]int{"0": 1 + i%50, strconv.Itoa(100 + i/50): 1}
}

func varyGroup(i int, r *placement.Request) { r.Group = strconv.Itoa(i) }

// TestRuleSetsCostTheSame places by a new rule set beside many that differ from it
// in the targets of a spread rule alone, and beside many that differ in their
// group: no counter is compared with it, nor a new counter with another class.
func TestRuleSetsCostTheSame(t *testing.T) {
	for _, n := range []int{100, 2000} {
		for _, vary := range []func(int, *placement.Request){varyTargets, varyGroup} {
			x := ruleSets(n, vary)
			before := x.Stats()
			placeVaried(x, n+1, vary)
			after := x.Stats()
			require.Equal(t, n+1, after.Live)
			require.Equal(t, before.Compared, after.Compared)
		}
	}
}

// BenchmarkNewRuleSet places by a new rule set beside 16,000 others.
func BenchmarkNewRuleSet(b *testing.B) {
	for _, by := range []struct {
		name string
		vary func(int, *placement.Request)
	}{{"targets", varyTargets}, {"group", varyGroup}} {
		b.Run(by.name, func(b *testing.B) {
			x := ruleSets(16_000, by.vary)
			i := 16_000
			for b.Loop() {
				placeVaried(x, i, by.vary)
				i++
			}
		})
	}
}

// BenchmarkNodes adds a node to 1,000, moves it to another zone and removes it,
// beside many services with a spread rule over zones.
func BenchmarkNodes(b *testing.B) {
	for _, n := range []int{500, 8000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			x := services(1000, n)
			join := uint64(1000)
			for b.Loop() {
				join++
				row := x.Add(zoneNode(1000, 0), join)
				x.Update(row, zoneNode(1000, 1))
				x.Remove(row)
			}
		})
	}
}
