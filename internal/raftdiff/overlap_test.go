package raftdiff

import (
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOverlap counts in how many of 300 worlds two nodes lead at once after the
// leader was cut off. Ours never do. That the others do shows that the count
// can be something else than zero.
func TestOverlap(t *testing.T) {
	const trials = 300
	tests := []struct {
		name  string
		nodes int
		play  script
	}{
		{"the leader is isolated", 5, isolateLeader},
		{"a voter restarts as the leader is isolated", 3, forgetAndIsolate},
	}
	for _, tt := range tests {
		for _, e := range engines() {
			t.Run(tt.name+"/"+e.name, func(t *testing.T) {
				cryptotest.SetGlobalRandom(t, 1)
				var overlaps []time.Duration
				for seed := range uint64(trials) {
					w, l, f := settled(t, e, seed, tt.nodes)
					term := w.node(l).term
					agree := tt.play(w, l, f)
					require.True(t, w.await(10*etMax, agree, term+1), "seed %d", seed)
					w.run(2 * etMax) // Until the old leader has noticed.
					require.NoError(t, w.err, "seed %d", seed)
					if w.overlapped {
						overlaps = append(overlaps, w.overlap)
					}
				}
				if e.exclusive {
					require.Empty(t, overlaps)
					return
				}
				require.NotEmpty(t, overlaps)
				slices.Sort(overlaps)
				t.Logf("two leaders at once in %d of %d worlds, for %v at the median and %v at most",
					len(overlaps), trials, overlaps[len(overlaps)/2], overlaps[len(overlaps)-1])
			})
		}
	}
}
