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

// apart makes a request one of a service whose replicas keep apart by a rule.
func apart(r *placement.Request, rule, service string) {
	r.Group, r.Labels = service, map[string]string{"app": service}
	p := placement.Use(placement.BinPack)
	switch rule {
	case "repel":
		r.Preferences = p.Near(placement.Repel(placement.Equal("app", service)))
	case "one":
		r.Preferences = p.Across(placement.AtMostPer("", 1))
	case "three":
		r.Preferences = p.Across(placement.AtMostPer("", 3))
	case "even":
		r.Preferences = p.Across(placement.EvenlyOver("", 1))
	case "both":
		r.Preferences = p.Across(placement.AtMostPer("", 1), placement.EvenlyOver("zone", 1))
	case "spread":
		r.Preferences = placement.Use(placement.Spread)
	case "repelled":
		r.Preferences = p // by "repel"
	}
}

// apartStand returns a cluster with so many instances per node, of which each of some
// services has so many replicas.
func apartStand(nodes, perNode int, rule string, services, replicas int) *stand {
	s := newStandOf(nodes, "none", nodes*perNode-services*replicas)
	if rule == "repelled" {
		rule = "repel"
	}
	for i := range services * replicas {
		s.placeApart(rule, i%services)
	}
	return s
}

func (s *stand) placeApart(rule string, service int) bool {
	r := s.request("none")
	apart(&r, rule, "s"+strconv.Itoa(service))
	return s.place(&r, "index")
}

// turnApart places an instance and takes it away, or every other time the oldest of
// the same cluster in its place. It returns how many nodes were looked at.
func (s *stand) turnApart(i int, rule string, service int) (visits int) {
	if !s.placeApart(rule, service) {
		return 0
	}
	visits = s.x.search.budget() - s.x.search.visits
	if i%2 > 0 {
		s.releaseOldest()
		return visits
	}
	last := len(s.running) - 1
	s.running[s.next], s.running[last] = s.running[last], s.running[s.next]
	s.releaseOldest()
	return visits
}

// TestReplicasCostTheSame counts the nodes looked at for another replica, on nodes
// with one instance and with ten, beside few replicas and beside many, of one
// service and of several in turn.
func TestReplicasCostTheSame(t *testing.T) {
	const nodes = 3000
	for _, perNode := range []int{1, 10} {
		for _, rule := range []string{"repel", "one", "three", "even", "both", "spread", "repelled"} {
			for _, services := range []int{1, 5} {
				t.Run(fmt.Sprintf("instances=%d/rule=%s/services=%d", perNode, rule, services), func(t *testing.T) {
					looked := func(replicas int) int {
						s := apartStand(nodes, perNode, rule, services, replicas)
						for i := range 200 * services { // until it is known whom bars keep out
							s.turnApart(i, rule, i%services)
						}
						scans, visits := s.x.Stats().Scans, 0
						const turns = 1000
						for i := range turns {
							visits += s.turnApart(i, rule, i%services)
						}
						require.Less(t, int(s.x.Stats().Scans-scans), turns/100)
						return visits / turns
					}
					few, many := looked(10), looked(nodes/4)
					t.Logf("%d, %d", few, many)
					require.LessOrEqual(t, many, few+few/2+64)
				})
			}
		}
	}
}

// TestBarsAreExact places and releases instances of services that keep apart, moves
// their nodes about and loses some, and compares every decision with the oracle's.
func TestBarsAreExact(t *testing.T) {
	limits := defaultThresholds()
	limits.gridNodes, limits.gridBlock, limits.listNodes = 2, 4, 1
	for _, topBytes := range []int{1 << 10, 8} {
		limits.topBytes = topBytes
		d := newDice(uint64(topBytes))
		w := newWorld(Config{}, limits)
		for range 60 {
			w.add(drawNode(d, id("n", w.joins)))
		}
		tops := 0
		for round := range 1200 {
			r := w.drawNewRequest(d)
			r.Namespace, r.Ports, r.DynamicPorts = "", nil, 0
			r.Resources = placement.Resources{CPU: d.from(0, 9), Memory: d.from(0, 9)}
			apart(&r, pick(d, "repel", "one", "three", "even", "both", "spread", "repelled"), strconv.Itoa(d.IntN(2)))
			q := w.query(&r)
			if choice, ok := w.checkBest(t, q, &r); ok && d.one(2) {
				w.occupy(w.m.at(choice.Row), r, w.taken(q, choice.Row))
			}
			if d.one(4) {
				w.checkJoined(t, &r, []*modelNode{w.m.nodes[d.IntN(len(w.m.nodes))]})
			}
			w.disturb(d)
			if n := w.m.nodes[d.IntN(len(w.m.nodes))]; len(n.instances) > 0 && d.one(3) {
				w.setCounts(n, d.IntN(len(n.instances)), d.one(2), d.one(3))
			}
			tops = max(tops, w.x.Stats().Tops)
			if round%100 == 99 {
				w.checkInvariants(t)
			}
		}
		require.Equal(t, topBytes > 8, tops > 1, "there is room for one at least")
		require.Positive(t, tops)
		require.Greater(t, w.x.stats.Shut, uint64(100))
		require.Greater(t, w.x.stats.Walks, uint64(600))
	}
}

// TestSpreadLooksBeyondTheFewest places where only nodes that have some of the group
// already have room, again and again.
func TestSpreadLooksBeyondTheFewest(t *testing.T) {
	limits := tinyThresholds()
	limits.slice, limits.scanSlice, limits.topBytes = 1000, 1000, 1000
	w := newWorld(Config{}, limits)
	for i := range 40 {
		w.add(placement.Node{ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: int64(1 + i%2*1000)}})
	}
	for i := range 200 {
		r := placement.Request{ID: strconv.Itoa(i), Resources: placement.Resources{CPU: 5}}
		apart(&r, "spread", "s")
		w.place(t, r)
	}
	require.Zero(t, w.x.Stats().Scans)
	require.Equal(t, 1, w.x.Stats().Tops)
}

// checkBars compares the bars and tops with what they derive from.
func (w *world) checkBars(t require.TestingT) {
	users := map[*barredNodes]int{}
	for _, tops := range w.x.tops {
		require.Same(t, tops, tops.rules.tops)
		for i := range tops.under {
			k, b := tops.under[i].counter, tops.under[i].bar
			users[b]++
			require.Equal(t, tops.under[i].most, b.most)
			if k.dead {
				continue
			}
			require.Contains(t, k.bars, b)
			for row := range w.x.nodes {
				require.Equal(t, k.domains.at(int32(row)) > b.most, b.rows.has(Row(row)))
			}
		}
	}
	for _, tops := range w.x.tops {
		w.checkTops(t, tops)
	}
	for _, topology := range w.x.topologies {
		for _, k := range topology.users {
			for _, b := range k.bars {
				require.Equal(t, users[b], b.users)
			}
		}
	}
}

// checkTops holds the tops that are up to date against the nodes without a bar.
func (w *world) checkTops(t require.TestingT, tops *barredTops) {
	i := slices.IndexFunc(w.x.orders, func(o *ordering) bool { return o.grid != nil && o.grid.number == tops.grid })
	current := i >= 0 && tops.seen == w.x.bookLog.end() && w.x.orders[i].grid.seen == tops.seen
	for _, b := range tops.under {
		current = current && b.seen == b.bar.freed.end() && !b.counter.dead
	}
	if !current {
		return
	}
	g := w.x.orders[i].grid
	s := search{x: w.x, order: w.x.orders[i], tops: tops, bars: tops.under}
	for number := range g.blocks[:min(len(g.blocks), len(tops.blocks))] {
		if tops.blocks[number].moves < g.blocks[number].moved {
			continue
		}
		for _, e := range g.blocks[number].entries {
			require.True(t, s.isBarred(e.row) || misses(tops.blocks[number].top, e.packed) == 0)
		}
	}
}

// BenchmarkAntiAffinity places and releases an instance of a service with
// anti-affinity to itself by node.
func BenchmarkAntiAffinity(b *testing.B) {
	for _, rule := range []string{"repel", "spread"} {
		for _, replicas := range []int{10, 1000, 5000} {
			for _, nodes := range []int{20_000} {
				b.Run(fmt.Sprintf("rule=%s/replicas=%d/nodes=%d", rule, replicas, nodes), func(b *testing.B) {
					s := apartStand(nodes, 1, rule, 1, replicas)
					took := make([]time.Duration, 0, 1<<20)
					runtime.GC()
					visits := 0
					for i := 0; b.Loop(); i++ {
						start := time.Now()
						visits += s.turnApart(0, rule, 0)
						took = append(took, time.Since(start))
					}
					reportTimes(b, took)
					b.ReportMetric(float64(visits)/float64(len(took)), "looked-at/op")
				})
			}
		}
	}
}
