package index

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestGradientsFollow asks for few shapes again and again while the cluster
// changes, at sizes that cross those of heads and tops, and compares with the
// oracle.
func TestGradientsFollow(t *testing.T) {
	for _, nodes := range []int{63, 64, 65, 200, 1025} {
		t.Run("nodes="+strconv.Itoa(nodes), func(t *testing.T) {
			d := newDice(uint64(nodes))
			limits := defaultThresholds()
			limits.listNodes = 1
			w := newWorld(Config{Seed: 7}, limits)
			for range nodes {
				w.add(drawNode(d, id("n", w.joins)))
			}
			for len(w.m.mix) < 2 {
				w.m.mix = drawMix(d)
			}
			w.x.SetWorkload(w.m.mix)
			shapes := [...]placement.Resources{{CPU: 1}, {CPU: 4, GPU: 300}, {Memory: 2, GPU: 1000}, {}}
			before := w.x.Stats()
			const rounds = 30
			big := nodes > 1000 // too slow for the oracle with rules on domains
			for round := range rounds {
				if !big {
					w.churn(d)
				}
				r := w.drawRequest(d)
				r.Resources = shapes[d.IntN(len(shapes))]
				r.Preferences.Strategy = placement.LeastFragmentation
				if d.one(2) || big {
					r.Preferences.Affinity, r.Preferences.Spread = nil, nil
				}
				if round%3 == 0 { // two ways to the same soft score
					r.Preferences = placement.Use(placement.LeastFragmentation).
						Prefer(placement.Equal("zone", "1"), 50).Prefer(placement.Equal("zone", "2"), 50)
				}
				q := w.query(&r)
				if choice, ok := w.checkBest(t, q, &r); ok {
					w.occupy(w.m.at(choice.Row), r, w.taken(q, choice.Row))
				}
				if round == rounds/2 { // one that is larger than all others comes and goes
					w.add(placement.Node{ID: "large", Capacity: placement.Resources{CPU: 1 << 20, GPU: 64 * placement.Device}})
					w.remove(w.m.nodes[len(w.m.nodes)-1])
				}
				if round%10 == 9 && !big {
					w.checkGradients(t)
				}
			}
			require.Greater(t, w.x.Stats().Gradients-before.Gradients, uint64(rounds/4))
		})
	}
}

// TestNoMixNeedsNoGradients says that without typical work the strategy packs
// by amounts, as fast as the others.
func TestNoMixNeedsNoGradients(t *testing.T) {
	s := newStandOf(1000, "none", 2000)
	before := s.x.Stats()
	require.Equal(t, 1, before.Whole)
	for range 100 {
		r := s.request("none")
		r.Preferences = placement.Use(placement.LeastFragmentation)
		require.True(t, s.best(&r))
	}
	require.Zero(t, s.x.Stats().Gradients)
	require.Equal(t, before.Scans, s.x.Stats().Scans)
}

// TestGradientsOfNewShapes places ever new shapes on nodes that are alike in what runs
// there and not in how much of it is left over, and compares with the oracle: nodes of
// one class take several steps.
func TestGradientsOfNewShapes(t *testing.T) {
	for seed := range uint64(3) {
		d := newDice(seed)
		limits := defaultThresholds()
		limits.listNodes = 1
		w := newWorld(Config{}, limits)
		for i := range 150 {
			w.add(placement.Node{
				ID: strconv.Itoa(i), Capacity: placement.Resources{CPU: d.from(8, 64), Memory: d.from(8, 64)},
				Devices: placement.Devices{Count: int(d.from(0, 4)), Model: pick(d, "", "A")},
			})
		}
		for i := range 6 {
			kind := WorkloadClass{Resources: placement.Resources{CPU: 4 << (i % 3)}, Count: d.from(1, 9)}
			kind.Resources.GPU = pick[int64](d, 0, 300, 500, 1000, 2000)
			if i > 3 {
				kind.Resources.Memory = d.from(4, 16)
				kind.Models = []string{"A"}
			}
			w.m.mix = append(w.m.mix, kind)
		}
		w.x.SetWorkload(w.m.mix)
		for i := range 200 {
			r := placement.Request{ID: strconv.Itoa(i), Preferences: placement.Use(placement.LeastFragmentation)}
			r.Resources = placement.Resources{CPU: d.from(1, 20), Memory: d.from(0, 20), GPU: pick[int64](d, 0, 0, d.from(1, 999), 500, 1000, 2000)}
			q := w.query(&r)
			if choice, ok := w.checkBest(t, q, &r); ok {
				w.occupy(w.m.at(choice.Row), r, w.taken(q, choice.Row))
			}
			if n := w.m.nodes[d.IntN(len(w.m.nodes))]; i%2 == 1 && len(n.instances) > 0 {
				w.vacate(n, 0)
			}
		}
		require.Greater(t, w.x.Stats().Gradients, uint64(150))
		w.checkInvariants(t)
	}
}
