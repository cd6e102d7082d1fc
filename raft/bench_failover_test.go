package raft_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/rads-project/constellation/internal/sim"
)

// failoverTrials is how many failovers each sub-benchmark measures, in each
// iteration the same ones.
const failoverTrials = 3_000

// BenchmarkFailover measures in virtual time how long five nodes of 150 to
// 300 ms, with heartbeats 50 ms apart, 0.15 to 0.35 ms of latency and 1 ms per
// save, take from the end of one reign's leader, at an instant drawn uniformly,
// until all that are left know the next one.
//
//   - crash: the leader's process ends.
//   - handover: the leader transfers to another voter.
//   - isolate: the leader is cut off from all others, and still runs.
//
// p50-ms and p99-ms are simulated; ns/op is what 3,000 trials cost. overlaps
// counts the trials in which two nodes led at once.
func BenchmarkFailover(b *testing.B) {
	benchmarks := []struct {
		name string
		fail func(w *sim.World, leader string)
	}{
		{"crash", func(w *sim.World, leader string) { w.Crash(leader) }},
		{"handover", func(w *sim.World, leader string) { w.Transfer(leader, successorOf(leader)) }},
		{"isolate", func(w *sim.World, leader string) { w.Isolate(leader) }},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			var took []time.Duration
			overlaps := 0
			for b.Loop() {
				took, overlaps = took[:0], 0
				for seed := range uint64(failoverTrials) {
					w, leader := electedWorld(b, seed, 5, 0)
					began, old := w.Now(), w.Reigns()
					bb.fail(w, leader)
					if !w.RunUntil(10*time.Second, func() bool { return w.AgreedWithout(leader) }) && w.Err() == nil {
						b.Fatalf("seed %d: nobody leads", seed)
					}
					took = append(took, w.Now()-began)
					if all := w.Reigns(); w.Err() != nil || all[len(all)-1].Begin < all[len(old)-1].End {
						overlaps++
					}
				}
			}
			slices.Sort(took)
			b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
			b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
			b.ReportMetric(float64(overlaps), "overlaps")
		})
	}
}

// electedWorld returns a world without faults in which everybody has followed a
// leader for a second or so. What comes next comes at any point between two
// heartbeats.
func electedWorld(tb testing.TB, seed uint64, voters int, drift int64) (w *sim.World, leader string) {
	tb.Helper()
	const save = time.Millisecond
	w, err := sim.New(sim.Config{
		Seed: seed, Voters: voters, SaveMin: save, SaveMax: save, DriftPPM: drift,
		Network: faultnet.Faults{LatencyMin: 150 * time.Microsecond, LatencyMax: 350 * time.Microsecond},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if !w.RunUntil(5*time.Second, w.Agreed) {
		tb.Fatalf("seed %d: nobody leads: %v", seed, w.Err())
	}
	random := rand.New(rand.NewPCG(seed, 2))
	w.Run(500*time.Millisecond + time.Duration(random.Int64N(int64(500*time.Millisecond))))
	return w, w.Leader()
}

// successorOf returns another of five nodes.
func successorOf(leader string) string {
	if leader == "E" {
		return "A"
	}
	return string(leader[0] + 1)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
