package index

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// poolRules is the i-th of many rule sets, each of which leaves one node in 16 and
// shares some of them with the next.
func poolRules(i int) placement.Preferences {
	var pools []string
	for k := range 3 {
		pools = append(pools, strconv.Itoa((2*i+k)%48))
	}
	return placement.Use(placement.BinPack).Require(placement.In("pool", pools...))
}

func inPool(n placement.Node, i int) placement.Node {
	n.Labels["pool"] = strconv.Itoa(i % 48)
	return n
}

// TestGridsAreBuiltBesideDecisions changes nodes of all sorts while grids of more
// rule sets than have room are built in the smallest slices, and compares every
// decision with the oracle's.
func TestGridsAreBuiltBesideDecisions(t *testing.T) {
	limits := defaultThresholds()
	limits.gridNodes, limits.gridBlock, limits.listNodes, limits.gridCost = 2, 4, 1, 1
	limits.slice, limits.scanSlice, limits.gridBytes = 40, 60, 300
	d := newDice(11)
	w := newWorld(Config{Seed: 7}, limits)
	for i := range 96 {
		w.add(inPool(drawNode(d, id("n", w.joins)), i))
	}
	building := 0
	for round := range 800 {
		r := w.drawNewRequest(d)
		// A few rule sets at a time, others later on.
		r.Preferences = poolRules(round/160 + d.IntN(6))
		r.Preferences.Strategy = pick(d, placement.BinPack, placement.BinPack, placement.Spread)
		if d.one(3) {
			r.Preferences = r.Preferences.Prefer(placement.Exists("rack"), 30)
		}
		q := w.query(&r)
		if choice, ok := w.checkBest(t, q, &r); ok && d.one(2) {
			w.occupy(w.m.at(choice.Row), r, w.taken(q, choice.Row))
		}
		w.disturb(d)
		building = max(building, w.x.Stats().Building)
		if round%100 == 99 {
			w.checkInvariants(t)
		}
	}
	stats := w.x.Stats()
	require.Greater(t, building, 1)
	require.Greater(t, stats.Grids, uint64(20))
	require.Greater(t, stats.Slices, 2*stats.Grids)
	require.Greater(t, stats.Dropped, uint64(5))
	require.Greater(t, stats.Walks, stats.Scans)
}

// disturb changes one node.
func (w *world) disturb(d dice) {
	n := w.m.nodes[d.IntN(len(w.m.nodes))]
	switch d.IntN(12) {
	case 0:
		w.update(n, inPool(drawNode(d, ""), d.IntN(48)))
	case 1:
		n.state = pick(d, Ready, Ready, Cordoned)
		w.x.SetState(n.row, n.state)
	case 2:
		for len(n.instances) > 0 {
			w.vacate(n, 0)
		}
		w.remove(n)
		w.add(inPool(drawNode(d, id("n", w.joins)), d.IntN(48)))
	default:
		if len(n.instances) > 0 {
			w.vacate(n, d.IntN(len(n.instances)))
		}
	}
}

// poolStand returns a cluster whose nodes are in pools.
func poolStand(nodes int) *stand {
	s := newStandOf(nodes, "none", 0)
	for i, row := range s.rows {
		spec := inPool(s.x.nodes[row].spec.Canonical(), i)
		s.x.Update(row, &spec)
	}
	for range nodes {
		r := s.request("none")
		s.place(&r, "index")
	}
	return s
}

// turn places and releases by the i-th of so many rule sets in turn.
func (s *stand) turn(i, sets int) {
	r := s.request("none")
	r.Preferences = poolRules(i % sets)
	s.place(&r, "index")
	s.releaseOldest()
}

// TestNoDecisionBuildsAGrid counts how many decisions share in the building of the
// grids of 12 rule sets, all of which have room, and then none is built again.
func TestNoDecisionBuildsAGrid(t *testing.T) {
	const nodes, sets = 20_000, 12
	s := poolStand(nodes)
	limits := s.x.thresholds
	plain := s.x.Stats()
	require.Equal(t, 1, plain.Whole)
	require.GreaterOrEqual(t, int(plain.Slices), nodes*limits.gridCost/limits.slice)
	i := 0
	for ; s.x.Stats().Whole < sets+1; i++ {
		s.turn(i, sets)
		require.Less(t, i, 200_000)
	}
	built := s.x.Stats()
	slice := limits.slice + limits.gridCost
	require.GreaterOrEqual(t, int(built.Slices-plain.Slices), sets*(nodes+limits.gridCost*nodes/16)/slice)
	for range 5000 {
		s.turn(i, sets)
		i++
	}
	after := s.x.Stats()
	require.Equal(t, built.Grids, after.Grids)
	require.Equal(t, built.Slices, after.Slices)
	require.Equal(t, built.Scans, after.Scans)
}

// TestRuleSetsThatTakeTurnsKeepTheirGrids: where not all have room, the others do
// without, and give way to those that are asked more.
func TestRuleSetsThatTakeTurnsKeepTheirGrids(t *testing.T) {
	const nodes, sets = 6000, 20
	s := poolStand(nodes)
	s.x.thresholds.gridBytes = 100
	for i := range 60_000 {
		s.turn(i, sets)
	}
	before := s.x.Stats()
	require.Greater(t, before.Whole, 2)
	require.Less(t, before.Whole, sets)
	require.LessOrEqual(t, before.GridBytes, 110*nodes)
	for i := range 10_000 {
		s.turn(i, sets)
	}
	after := s.x.Stats()
	require.Equal(t, before.Dropped, after.Dropped)
	for range 10_000 {
		s.turn(sets+1, sets+2)
	}
	require.Greater(t, s.x.Stats().Grids, after.Grids, "a rule set that is asked alone")
}

// TestGridBytes compares what grids say that they take with the heap.
func TestGridBytes(t *testing.T) {
	s := poolStand(20_000)
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	for _, o := range []ordering{
		{packs: s.x.allDimensions()},
		{packs: s.x.allDimensions(), topology: s.x.topology("zone")},
		{packs: s.x.allDimensions(), topology: s.x.topology("rack")},
	} {
		s.x.orders = nil
		before := heap()
		s.x.upToDate(s.x.remember(&o))
		took, said := heap()-before, s.x.Stats().GridBytes
		t.Logf("%d bytes per node", took/20_000)
		require.InDelta(t, took, said, float64(took)/4)
	}
	runtime.KeepAlive(s)
}

// BenchmarkRuleSets places and releases by so many rule sets in turn, from the
// first decision on, while their grids are built.
func BenchmarkRuleSets(b *testing.B) {
	for _, sets := range []int{1, 6, 12, 24} {
		for _, nodes := range []int{100_000} {
			b.Run(fmt.Sprintf("sets=%d/nodes=%d", sets, nodes), func(b *testing.B) {
				s := poolStand(nodes)
				took := make([]time.Duration, 0, 1<<20)
				runtime.GC()
				for i := 0; b.Loop(); i++ {
					start := time.Now()
					s.turn(i, sets)
					took = append(took, time.Since(start))
				}
				reportTimes(b, took)
				b.ReportMetric(float64(s.x.Stats().Whole), "grids")
			})
		}
	}
}

// reportTimes reports the middle, the tail and the end of a distribution. The middle
// is that of the second half, when grids have been built.
func reportTimes(b *testing.B, took []time.Duration) {
	b.Helper()
	later := slices.Sorted(slices.Values(took[len(took)/2:]))
	slices.Sort(took)
	b.ReportMetric(float64(later[len(later)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	b.ReportMetric(float64(took[len(took)-1]), "longest-ns")
}
