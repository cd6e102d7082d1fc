package scheduler

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestDominance holds every soft term, as it acts in decisions, to what its
// weight promises: w outweighs w per cent of the strategy's scale and no more.
// Node x has the better soft score and y the better strategy term. The
// cluster has one dimension of weight 1 and a reference of placement.Unit, so
// that filling a node by u changes R by u.
func TestDominance(t *testing.T) {
	app := placement.Equal("app", "db")
	match := func(node string) func(*testing.T, *Scheduler) {
		return func(t *testing.T, s *Scheduler) {
			t.Helper()
			req := placement.Request{ID: "match", Group: "g", Labels: map[string]string{"app": "db"}}
			allocate(t, s, node, req)
		}
	}
	nothing := func(*testing.T, *Scheduler) {}
	p := placement.Preferences{}
	tests := []struct {
		term  string
		build func(*testing.T, *Scheduler)
		rules func(weight int) placement.Preferences
		fixed int // the weight, if it is given
		lead  int64
	}{
		{"preferred constraint", nothing, func(w int) placement.Preferences { return p.Prefer(placement.Equal("host", "x"), w) }, 0, placement.Unit},
		{"avoided constraint", nothing, func(w int) placement.Preferences { return p.Prefer(placement.Equal("host", "y"), -w) }, 0, placement.Unit},
		{"scaled label", nothing, func(w int) placement.Preferences { return p.PreferScaled("gain", w) }, 0, placement.ScaledShare(7)},
		{"avoided scaled label", nothing, func(w int) placement.Preferences { return p.PreferScaled("load", -w) }, 0, placement.ScaledShare(300)},
		{"weighted attraction", match("x"), func(w int) placement.Preferences { return p.Near(placement.Attract(app).Weighing(w)) }, 0, placement.Unit},
		{"weighted repulsion", match("y"), func(w int) placement.Preferences { return p.Near(placement.Repel(app).Weighing(w)) }, 0, placement.Unit},
		{"PreferNoSchedule", func(t *testing.T, s *Scheduler) {
			t.Helper()
			require.NoError(t, s.AddTaint(t.Context(), "y", placement.Taint{Key: "k", Effect: placement.PreferNoSchedule}))
		}, func(int) placement.Preferences { return p }, 100, placement.Unit},
		{"soft MaxSkew", match("y"), func(w int) placement.Preferences {
			return p.Across(placement.EvenlyOver("host", 1).Counting(app).Weighing(w))
		}, 0, placement.Unit / 2},
		{"target percentage", nothing, func(w int) placement.Preferences {
			return p.Across(placement.ShareOver("host", map[string]int{"x": 100}, w))
		}, 0, placement.Unit / 2},
		{"a label that y lacks", nothing, func(w int) placement.Preferences {
			return p.Across(placement.EvenlyOver("only-x", 1).Weighing(w))
		}, 0, placement.Unit},
	}
	for _, tt := range tests {
		for _, strategy := range []placement.Strategy{placement.BinPack, placement.Spread} {
			for _, weight := range []int{1, 7, 50, 99, 100} {
				if tt.fixed != 0 && weight != tt.fixed {
					continue
				}
				t.Run(fmt.Sprint(tt.term, strategy, weight), func(t *testing.T) {
					decide := func(fill int64) string {
						s := newTestScheduler(t, Config{})
						labels := map[string]string{"host": "x", "only-x": "", "gain": "7"}
						for _, id := range []string{"x", "y"} {
							addNodes(t, s, placement.Node{ID: id, Capacity: placement.Resources{CPU: placement.Unit}, Labels: labels})
							labels = map[string]string{"host": "y", "load": "300"}
						}
						tt.build(t, s)
						filled := map[placement.Strategy]string{placement.BinPack: "y", placement.Spread: "x"}[strategy]
						allocate(t, s, filled, placement.Request{ID: "filler", Resources: placement.Resources{CPU: fill}})
						rules := tt.rules(weight)
						rules.Strategy = strategy
						d, err := s.Schedule(t.Context(), placement.Request{ID: "new", Group: "new", Preferences: rules})
						require.NoError(t, err)
						return d.NodeID
					}
					outweighed := int64(weight) * tt.lead / 100
					require.Equal(t, "x", decide(outweighed))
					if outweighed < placement.Unit {
						require.Equal(t, "y", decide(outweighed+1))
					}
				})
			}
		}
	}
}
