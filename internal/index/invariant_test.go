package index

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestSizes runs seeded histories on clusters whose sizes cross the default
// limits, and compares with the oracle now and then.
func TestSizes(t *testing.T) {
	limits := defaultThresholds()
	for _, nodes := range []int{63, 64, 65, limits.gridNodes - 1, limits.gridNodes, limits.gridNodes + 1} {
		t.Run("nodes="+strconv.Itoa(nodes), func(t *testing.T) {
			d := newDice(uint64(nodes))
			w := newWorld(Config{Seed: 7}, limits)
			for range nodes {
				w.add(drawNode(d, id("n", w.joins)))
			}
			rounds := max(8, 2000/nodes)
			for round := range rounds {
				w.churn(d)
				r := w.drawRequest(d)
				w.checkBest(t, w.query(&r), &r)
				if round%4 == 3 {
					_, refused := w.m.ranked(&r)
					require.Equal(t, refused, w.x.Count(w.query(&r)))
					w.checkInvariants(t)
				}
			}
			w.checkRebuilt(t, w.drawRequest(d))
		})
	}
}

// churn places by the index alone, and changes what nodes are and hold.
func (w *world) churn(d dice) {
	for range 20 {
		r := w.drawRequest(d)
		q := w.query(&r)
		if choice, ok := w.x.Best(q); ok {
			w.occupy(w.m.at(choice.Row), r, w.taken(q, choice.Row))
		}
		n := w.m.nodes[d.IntN(len(w.m.nodes))]
		switch d.IntN(8) {
		case 0:
			w.update(n, drawNode(d, ""))
		case 1:
			w.setHeld(n, drawHeld(d))
		case 2:
			n.state = pick(d, Ready, Ready, Cordoned, Lost)
			w.x.SetState(n.row, n.state)
		case 3:
			for len(n.instances) > 0 {
				w.vacate(n, 0)
			}
			w.remove(n)
			w.add(drawNode(d, id("n", w.joins)))
		default:
			if len(n.instances) > 0 {
				w.vacate(n, d.IntN(len(n.instances)))
			}
		}
	}
}

// TestLaneEdges asks for amounts one below, at and above what nodes have, at
// every power of two and its neighbours.
func TestLaneEdges(t *testing.T) {
	w := newWorld(Config{}, tinyThresholds())
	var edges []int64
	for log := 0; log < 62; log += 3 {
		for _, offset := range []int64{-1, 0, 1} {
			if amount := int64(1)<<log + offset; amount > 0 {
				edges = append(edges, amount)
			}
		}
	}
	edges = append(edges, 1<<63-1)
	for i, amount := range edges {
		w.add(placement.Node{ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: amount, Memory: 1}})
	}
	for _, amount := range edges {
		for _, ask := range []int64{amount - 1, amount, amount + 1} {
			if ask < 0 {
				continue
			}
			for _, strategy := range []placement.Strategy{placement.BinPack, placement.Spread} {
				r := placement.Request{ID: "r", Resources: placement.Resources{CPU: ask}, Preferences: placement.Use(strategy)}
				w.checkBest(t, w.query(&r), &r)
			}
		}
	}
}

// TestOrderOfAddingDoesNotMatter adds the same nodes in another order of calls
// but with the same join numbers.
func TestOrderOfAddingDoesNotMatter(t *testing.T) {
	d := newDice(3)
	var specs []placement.Node
	for i := range 40 {
		specs = append(specs, drawNode(d, strconv.Itoa(i)).Canonical())
	}
	a, b := newWorld(Config{Seed: 1}, tinyThresholds()), newWorld(Config{Seed: 1}, defaultThresholds())
	for i := range specs {
		a.addAt(specs[i], uint64(i))
	}
	for _, i := range d.Perm(len(specs)) {
		b.addAt(specs[i], uint64(i))
	}
	for range 300 {
		r := a.drawRequest(d)
		qa := &Query{Class: a.x.Class(&r), Resources: &r.Resources, ID: r.ID}
		qb := &Query{Class: b.x.Class(&r), Resources: &r.Resources, ID: r.ID}
		ca, ok := a.x.Best(qa)
		cb, found := b.x.Best(qb)
		require.Equal(t, ok, found)
		require.Equal(t, a.x.Count(qa), b.x.Count(qb))
		if ok {
			require.Equal(t, a.x.nodes[ca.Row].join, b.x.nodes[cb.Row].join)
			require.Equal(t, ca.Terms, cb.Terms)
			a.occupy(a.m.at(ca.Row), r, a.taken(qa, ca.Row))
			b.occupy(b.m.at(cb.Row), r, b.taken(qb, cb.Row))
		}
	}
}

func TestRandomIsUniform(t *testing.T) {
	for _, feasible := range []int{1, 5, 40} {
		w := newWorld(Config{Seed: 5}, defaultThresholds())
		for i := range 60 {
			n := placement.Node{ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: 1}}
			if i < feasible {
				n.Capacity.CPU = 2
			}
			w.add(n)
		}
		counts := map[Row]int{}
		const draws = 20_000
		for i := range draws {
			r := placement.Request{ID: strconv.Itoa(i), Resources: placement.Resources{CPU: 2}, Preferences: placement.Use(placement.Random)}
			choice, ok := w.x.Best(w.query(&r))
			require.True(t, ok)
			counts[choice.Row]++
		}
		require.Len(t, counts, feasible)
		for _, count := range counts {
			require.InDelta(t, draws/feasible, count, 6*draws/float64(feasible)/100*5)
		}
	}
}

// TestDrawsDifferBySeedRequestAndState: each of them alone leads to other nodes, and
// the same ones to the same.
func TestDrawsDifferBySeedRequestAndState(t *testing.T) {
	draw := func(seed uint64, id string, seq uint64) string {
		w := newWorld(Config{Seed: seed}, defaultThresholds())
		for i := range 60 {
			w.add(placement.Node{ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: 1}})
		}
		r := placement.Request{ID: id, Preferences: placement.Use(placement.Random)}
		choice, ok := w.x.Best(&Query{Class: w.x.Class(&r), Resources: &r.Resources, ID: r.ID, Seq: seq})
		require.True(t, ok)
		return w.m.at(choice.Row).spec.ID
	}
	for name, other := range map[string]func(i int) string{
		"seed":    func(i int) string { return draw(uint64(i), "r", 7) },
		"request": func(i int) string { return draw(1, id("r", uint64(i)), 7) },
		"state":   func(i int) string { return draw(1, "r", uint64(i)) },
	} {
		drawn := map[string]bool{}
		for i := range 20 {
			require.Equal(t, other(i), other(i), name)
			drawn[other(i)] = true
		}
		require.Greater(t, len(drawn), 10, name)
	}
}

func TestBestAllocatesNothing(t *testing.T) {
	for _, rules := range []string{"none", "spreading", "label", "zone", "anti", "prefer", "fragmentation"} {
		for _, nodes := range []int{100, 2000} {
			s := newStand(nodes, rules)
			r := s.request(rules)
			s.place(&r, "index")
			var q Query
			require.Zero(t, testing.AllocsPerRun(100, func() {
				q = Query{Class: s.x.Class(&r), Resources: &r.Resources}
				s.x.Best(&q)
			}), "%s on %d nodes", rules, nodes)
		}
	}
}

func TestClassesAreForgotten(t *testing.T) {
	x := New(Config{})
	n := placement.Node{ID: "n", Capacity: placement.Resources{CPU: 100}, Labels: map[string]string{"zone": "a"}}.Canonical()
	row := x.Add(&n, 1)
	rules := func(i int) *placement.Request {
		app := placement.Equal("app", strconv.Itoa(i))
		return &placement.Request{
			ID: "r", Labels: map[string]string{"app": strconv.Itoa(i)},
			Preferences: placement.Preferences{}.Require(placement.NotEqual("zone", strconv.Itoa(i))).
				Near(placement.Repel(app).Within("zone")).Across(placement.EvenlyOver("zone", 1).Counting(app)),
		}
	}
	kept := x.Class(rules(-1))
	x.Join(row, kept)
	for i := range 5000 {
		r := rules(i)
		q := Query{Class: x.Class(r), Resources: &r.Resources}
		_, ok := x.Best(&q)
		require.True(t, ok)
	}
	require.Same(t, kept, x.Class(rules(-1)))
	stats := x.Stats()
	require.LessOrEqual(t, stats.Classes, x.thresholds.unusedClasses+1)
	require.LessOrEqual(t, stats.Counters, 2*x.thresholds.unusedClasses+1)
	require.LessOrEqual(t, len(x.sets.built), x.thresholds.builtSets)
	x.Leave(row, kept)
	for i := range 5000 {
		x.Class(&placement.Request{ID: "r", Group: strconv.Itoa(i)})
	}
	require.Zero(t, x.Stats().Counters)
	require.Empty(t, x.topologies)
	require.Zero(t, x.Stats().Live)
}

func TestAdmits(t *testing.T) {
	x := New(Config{})
	many := placement.Resources{Custom: map[string]int64{}}
	for i := range placement.MaxDimensions - namedNames {
		many.Custom[fmt.Sprint("d", i)] = 1
	}
	admits := func(r placement.Resources) placement.ResourceName {
		name, ok := x.Admits(r)
		require.Equal(t, name == "", ok)
		return name
	}
	require.Empty(t, admits(many))
	n := placement.Node{ID: "n", Capacity: many}.Canonical()
	row := x.Add(&n, 1)
	require.Empty(t, admits(many))
	require.Empty(t, admits(placement.Resources{CPU: 1, GPU: 1000}))
	require.Equal(t, placement.ResourceName("another"), admits(placement.Resources{Custom: map[string]int64{"another": 1, "d1": 1}}))
	x.Remove(row)
	require.Empty(t, admits(placement.Resources{Custom: map[string]int64{"another": 1}}), "before its place is taken away too")
}

// TestMemory bounds what a node costs in the index, labels included, with the
// grid that its decisions need.
func TestMemory(t *testing.T) {
	const nodes = 20_000
	specs := make([]placement.Node, nodes)
	for i := range specs {
		host := "n" + strconv.Itoa(i)
		specs[i] = placement.Node{
			ID: host, Capacity: placement.Resources{CPU: 64_000, Memory: placement.TiB, Disk: placement.TiB},
			Labels: map[string]string{
				"zone": strconv.Itoa(i % 3), "rack": strconv.Itoa(i / 40), "arch": "amd64", "disk": "ssd", "host": host,
			},
		}.Canonical()
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	x := New(Config{})
	for i := range specs {
		x.Add(&specs[i], uint64(i))
	}
	r := placement.Request{ID: "r", Resources: placement.Resources{CPU: 1}}
	for x.Stats().Whole == 0 {
		r.Resources.CPU++ // alike requests are not searched anew, and build no grid
		_, ok := x.Best(&Query{Class: x.Class(&r), Resources: &r.Resources})
		require.True(t, ok)
	}
	perNode := (heap() - before) / nodes
	t.Logf("%d bytes per node", perNode)
	require.LessOrEqual(t, perNode, uint64(250))
	runtime.KeepAlive(x)
	runtime.KeepAlive(specs)
}
