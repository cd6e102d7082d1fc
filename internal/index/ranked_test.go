package index

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// TestRankedLooksAtRulesAlone: it yields exactly the nodes that fail for what
// is free there at most, and those that fit in the order of Top.
func TestRankedLooksAtRulesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDice(t)
		w := newWorld(drawConfig(d), defaultThresholds())
		for range rapid.IntRange(1, 12).Draw(t, "nodes") {
			w.add(drawNode(d, ""))
		}
		for range rapid.IntRange(0, 3).Draw(t, "rounds") {
			w.churn(d)
		}
		r := w.drawRequest(d)
		q := w.query(&r)
		r.Resources, r.Ports, r.DynamicPorts = placement.Resources{}, nil, 0
		bare := w.query(&r)
		ranked := slices.Collect(w.x.Ranked(q))
		for _, n := range w.m.nodes {
			rules := true
			for _, f := range w.x.Diagnose(q, n.row).Failures {
				switch f.Reason.Kind {
				case placement.ReasonInstances, placement.ReasonPort, placement.ReasonResource, placement.ReasonHold:
				default:
					rules = false
				}
			}
			require.Equal(t, rules, slices.Contains(ranked, n.row), n.spec.ID)
			require.Equal(t, rules, w.x.Meets(q, n.row))
			require.Equal(t, slices.Contains(n.over(w), true), w.x.Overused(n.row))
		}
		var top []Row
		for _, choice := range w.x.Top(bare, len(w.m.nodes)) {
			top = append(top, choice.Row)
		}
		fit := slices.DeleteFunc(slices.Collect(w.x.Ranked(bare)), func(row Row) bool { return !w.x.Fits(bare, row) })
		require.Equal(t, top, append([]Row(nil), fit...))
	})
}

// over returns for every dimension whether more is used than the node has.
func (n *modelNode) over(w *world) []bool {
	var over []bool
	free := w.x.Free(n.row)
	held := w.x.Held(n.row).Resources
	for name, amount := range free.All() {
		over = append(over, amount+held.Amount(name) < 0)
	}
	return append(over, n.devicesOver() > 0)
}
