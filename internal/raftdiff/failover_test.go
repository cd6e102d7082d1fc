package raftdiff

import (
	"slices"
	"testing"
	"time"
)

// failoverTrials is how many fail-overs each sub-benchmark measures.
const failoverTrials = 3_000

// BenchmarkFailover measures in virtual time how long five nodes take from an
// instant drawn uniformly, at which something befalls the leader, until all the
// others know the next one.
//
// p50-ms and p99-ms are simulated; ns/op is what 3,000 trials cost. overlap-% is
// in how many of them two nodes led at once before the others agreed. Of 3,000
// draws the median is known to about 1 ms. The figures of etcd-io/raft vary by as
// much from run to run, because a benchmark cannot seed the source of its timeouts.
func BenchmarkFailover(b *testing.B) {
	benchmarks := []struct {
		name string
		play script
	}{
		{"crash", crash(1)},
		{"isolate", isolateLeader},
		{"handover", transfer},
	}
	for _, bb := range benchmarks {
		for _, e := range engines() {
			b.Run(bb.name+"/"+e.name, func(b *testing.B) {
				var took []time.Duration
				overlaps := 0
				for b.Loop() {
					took, overlaps = took[:0], 0
					for seed := range uint64(failoverTrials) {
						w, l, f := settled(b, e, seed, 5)
						began, term := w.now, w.node(l).term
						agree := bb.play(w, l, f)
						if !w.await(10*etMax, agree, term+1) {
							b.Fatalf("seed %d: nobody leads: %v", seed, w.err)
						}
						took = append(took, w.now-began)
						if w.overlapped {
							overlaps++
						}
					}
				}
				slices.Sort(took)
				b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
				b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
				b.ReportMetric(100*float64(overlaps)/failoverTrials, "overlap-%")
			})
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
