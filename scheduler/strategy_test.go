package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestEveryStrategyDecidesAndSaysWhy goes through all strategies that there are:
// each has words of its own for its decisions, and places on the node that the
// onlooker chooses.
func TestEveryStrategyDecidesAndSaysWhy(t *testing.T) {
	strategies := 0
	for strategy := placement.Strategy(0); strategy.Validate() == nil; strategy++ {
		strategies++
		t.Run(strategy.String(), func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			o := new(onlooker)
			for _, n := range []placement.Node{testNode("small", 4), testNode("large", 16), testNode("full", 8)} {
				addNodes(t, s, n)
			}
			allocate(t, s, "full", testRequest("there", 8))
			for i := range 4 {
				req := testRequest(fmt.Sprint("i", i), 1)
				req.Preferences.Strategy = strategy
				best, _ := o.decide(t, s, req)
				d := place(t, s, req)
				require.True(t, strings.HasPrefix(d.Reason, strategy.String()+": "), "%q", d.Reason)
				if strategy != placement.Random { // of which any node may be drawn
					require.Equal(t, best.NodeID, d.NodeID)
				}
			}
		})
	}
	require.Greater(t, strategies, 1)
}
