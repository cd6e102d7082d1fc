package index

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// loaded is a node of one of a few sizes with a number in its label.
func loaded(i int, load string) placement.Node {
	n := placement.Node{
		ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: 20 + int64(i%5), Memory: 16},
		Labels: map[string]string{"load": load, "zone": strconv.Itoa(i % 2)},
	}
	if i%3 == 0 {
		n.Devices.Count = 1 + i%2
	}
	return n
}

// TestScaledLabels has more numbers than there are levels to walk, by every strategy,
// alone and beside other soft rules, and changes the numbers all the time.
func TestScaledLabels(t *testing.T) {
	d := newDice(1)
	for strategy := placement.BinPack; strategy <= placement.LeastFragmentation; strategy++ {
		t.Run(strategy.String(), func(t *testing.T) {
			w := newWorld(Config{}, tinyThresholds())
			w.x.thresholds.walkNodes = 100_000
			w.m.mix = []WorkloadClass{{Resources: placement.Resources{CPU: 2, GPU: 1000}, Count: 1}}
			w.x.SetWorkload(w.m.mix)
			for i := range 150 {
				w.add(loaded(i, strconv.Itoa(7*i%1001)))
			}
			for i := range 120 {
				n := w.m.nodes[d.IntN(len(w.m.nodes))]
				relabelled := n.spec.Canonical()
				relabelled.Labels["load"] = drawLoad(d)
				w.update(n, relabelled)
				rules := placement.Use(strategy).PreferScaled("load", pick(d, -100, -20, 5, 100))
				if d.one(2) {
					rules = rules.Prefer(placement.Equal("zone", "1"), 30).PreferScaled("load", 10)
				}
				if d.one(3) {
					rules = rules.Across(placement.EvenlyOver("", 1).Weighing(20))
				}
				w.place(t, placement.Request{
					ID: strconv.Itoa(i), Group: "g", Resources: placement.Resources{CPU: 3, GPU: pick[int64](d, 0, 0, 400)}, Preferences: rules,
				})
			}
			w.checkInvariants(t)
		})
	}
}

// TestLexicalOrders weighs a label before all else while nodes come and go that change
// the bound of the strategy term: to what there is at most, where keys would not hold
// the label beside it, and back.
func TestLexicalOrders(t *testing.T) {
	for _, devices := range []int{9, placement.MaxDevices} {
		w := newWorld(Config{Weights: map[placement.ResourceName]int64{"gpu": 64}}, tinyThresholds())
		for i := range 20 {
			w.add(loaded(i, strconv.Itoa(50*i)))
		}
		for i := range 60 {
			if i%10 == 5 {
				large := loaded(100+i, "1000")
				large.Devices.Count = devices
				w.add(large)
			}
			rules := placement.Use(placement.Affinity)
			for range 3 {
				rules = rules.PreferScaled("load", 100-200*(i%2))
			}
			w.place(t, placement.Request{ID: strconv.Itoa(i), Resources: placement.Resources{CPU: 1}, Preferences: rules})
			if last := w.m.nodes[len(w.m.nodes)-1]; i%10 == 9 {
				for len(last.instances) > 0 {
					w.vacate(last, 0)
				}
				w.remove(last)
			}
		}
		require.NotZero(t, w.x.stats.Grids)
	}
}

// TestScaledSetsAreShared: requests that weigh a label differently read it once.
func TestScaledSetsAreShared(t *testing.T) {
	x := New(Config{})
	for i := range 5 {
		n := loaded(i, "5")
		x.Add(&n, uint64(i))
	}
	for weight := 1; weight <= 100; weight++ {
		r := placement.Request{ID: "r", Preferences: placement.Preferences{}.PreferScaled("load", weight)}
		x.Best(&Query{Class: x.Class(&r), Resources: &r.Resources})
	}
	scales := 0
	for _, set := range x.sets.known {
		if set.kind == scaled {
			scales++
		}
	}
	require.Equal(t, 1, scales)
}

// BenchmarkScaled decides by a label that changes on one node before each decision.
func BenchmarkScaled(b *testing.B) {
	for _, churn := range []bool{false, true} {
		b.Run(fmt.Sprintf("churn=%t", churn), func(b *testing.B) {
			s := newStand(5000, "scaled")
			before := s.x.Stats()
			for b.Loop() {
				if churn {
					row := s.rows[s.random.IntN(len(s.rows))]
					spec := s.x.nodes[row].spec.Canonical()
					spec.Labels["load"] = strconv.Itoa(s.random.IntN(1001))
					s.x.Update(row, &spec)
				}
				r := s.request("scaled")
				s.place(&r, "index")
				s.releaseOldest()
			}
			b.ReportMetric(float64(s.x.Stats().Scans-before.Scans)/float64(b.N), "scans/op")
		})
	}
}
