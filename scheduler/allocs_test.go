package scheduler

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllocations bounds what a decision allocates: nothing to find a node, one
// record for an instance, and whatever the rules between instances count.
func TestAllocations(t *testing.T) {
	tests := []struct {
		rules           string
		schedule, place float64
	}{
		{"none", 0, 1},
		{"label", 0, 1},
		{"spread", 0, 2},
		{"anti", 0, 4},
		{"strategy", 0, 1},
	}
	ids := benchmarkNames()
	for _, test := range tests {
		t.Run(test.rules, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			for i := range 100 {
				addNodes(t, s, benchmarkNode(i))
			}
			req := benchmarkRequest(ids, 1, "repeated", test.rules)
			req.ID = "standing"
			place(t, s, req)
			req.ID = "next"
			got := testing.AllocsPerRun(100, func() {
				_, err := s.Schedule(t.Context(), req)
				require.NoError(t, err)
			})
			require.LessOrEqual(t, got, test.schedule, "Schedule")
			got = testing.AllocsPerRun(100, func() {
				_, err := s.Place(t.Context(), req)
				require.NoError(t, err)
				require.NoError(t, s.Release(t.Context(), req.ID))
			})
			require.LessOrEqual(t, got, test.place, "Place and Release")
		})
	}
}
