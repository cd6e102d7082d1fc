package index

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestRefusalsNameWhatCannotBeRead has more values than are named: a diagnosis names
// each, a refusal the first ones, and every node counts once.
func TestRefusalsNameWhatCannotBeRead(t *testing.T) {
	w := newWorld(Config{}, defaultThresholds())
	for i := range 2 * namedValues {
		w.add(placement.Node{ID: fmt.Sprint("n", i), Labels: map[string]string{"driver": fmt.Sprintf("none-%02d", i), "cores": "2"}})
	}
	w.add(placement.Node{ID: "old", Labels: map[string]string{"driver": "470.223.02", "cores": "many"}})
	w.add(placement.Node{ID: "new", Labels: map[string]string{"driver": "535.129.03"}})
	rule := placement.Version("driver", ">= 525")
	r := placement.Request{ID: "r", Preferences: placement.Preferences{}.Require(rule, placement.Greater("cores", 8))}
	q := w.query(&r)
	reason := placement.Reason{Kind: placement.ReasonConstraint, Detail: rule.String()}
	want := []ReasonCount{{reason, namedValues + 1}}
	for i := range namedValues {
		reason.Value = fmt.Sprintf("none-%02d", i)
		want = append(want, ReasonCount{reason, 1})
	}
	want = append(want, ReasonCount{placement.Reason{Kind: placement.ReasonConstraint, Index: 1, Detail: "cores > 8"}, 1})
	require.Equal(t, want, w.x.Count(q))
	survey := w.x.Survey(q, nil)
	require.Equal(t, want, survey.First)
	for _, n := range w.m.nodes {
		require.Equal(t, w.m.failures(&r, n, nil), w.x.Diagnose(q, n.row).Failures)
	}
}
