package raft_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/rads-project/constellation/internal/sim"
	"github.com/rads-project/constellation/raft"
)

// Whoever leads is cut off, at any instant, with clocks as wrong as
// they may be; the old reign has always ended before the new one begins.
func TestSimulatedIsolationOfTheLeader(t *testing.T) {
	trials := seeds(t, 2_000)
	shortest := time.Hour
	for seed := range uint64(trials) {
		w, leader := electedWorld(t, seed, 3+2*int(seed%2), 5_000)
		old := len(w.Reigns()) - 1
		w.Isolate(leader)
		require.True(t, w.RunUntil(10*time.Second, func() bool { return w.AgreedWithout(leader) }), "seed %d: %v", seed, w.Err())
		reigns := w.Reigns()
		require.Equal(t, leader, reigns[old].Node)
		between := reigns[old+1].Begin - reigns[old].End
		require.Positive(t, between, "seed %d: %+v", seed, reigns[old:])
		shortest = min(shortest, between)

		w.Rejoin(leader)
		w.Settle()
		require.NoError(t, w.Err())
		require.Len(t, w.Reigns(), len(reigns), "seed %d: the old leader disturbs the new one", seed)
	}
	t.Logf("%d isolations, at least %v without a leader", trials, shortest)
}

// The network loses and doubles a third of all messages and brings
// the rest within two election timeouts, in any order, for a thousand timeouts.
func TestSimulatedStorm(t *testing.T) {
	storm := faultnet.Faults{LatencyMax: 600 * time.Millisecond, Loss: 300, Duplication: 300, Reordering: faultnet.Always}
	for seed := range uint64(seeds(t, 20)) {
		w, err := sim.New(sim.Config{Seed: seed, Voters: 3 + 2*int(seed%2), Network: storm, SaveMax: 2 * time.Millisecond, DriftPPM: 5_000})
		require.NoError(t, err)
		w.Run(1_000 * 300 * time.Millisecond)
		require.NoError(t, w.Err())
		require.NoError(t, w.Network().SetFaults(sim.Good()))
		w.Settle()
		require.NoError(t, w.Err())
	}
}

// Votes reach two of five nodes late, or come late from three, by
// one to two election timeouts.
func TestSimulatedSlowVotes(t *testing.T) {
	tests := []struct {
		name string
		slow func(m *raft.Message) bool
	}{
		{"requests to two", func(m *raft.Message) bool {
			return (m.Kind == raft.PreVoteRequest || m.Kind == raft.VoteRequest) && m.To >= "D"
		}},
		{"answers from three", func(m *raft.Message) bool {
			return (m.Kind == raft.PreVoteAnswer || m.Kind == raft.VoteAnswer) && m.From >= "C"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(seeds(t, 100)) {
				random := rand.New(rand.NewPCG(seed, 3))
				w, err := sim.New(sim.Config{
					Seed: seed, Voters: 5, Network: sim.Good(), SaveMax: 2 * time.Millisecond, DriftPPM: 5_000,
					Delay: func(m *raft.Message) time.Duration {
						if !tt.slow(m) {
							return 0
						}
						return 300*time.Millisecond + time.Duration(random.Int64N(int64(300*time.Millisecond)))
					},
				})
				require.NoError(t, err)
				for range 3 {
					require.True(t, w.RunUntil(time.Minute, w.Agreed), "seed %d: %v", seed, w.Err())
					leader := w.Leader()
					w.Crash(leader)
					require.True(t, w.RunUntil(time.Minute, w.Agreed), "seed %d: %v", seed, w.Err())
					w.Start(leader)
				}
				w.Settle()
				require.NoError(t, w.Err())
			}
		})
	}
}

// The leader and some others, a minority or not, are cut off from
// everybody and come back, ten times.
func TestSimulatedPartitionsOfTheLeader(t *testing.T) {
	for seed := range uint64(seeds(t, 100)) {
		w, leader := electedWorld(t, seed, 5, 5_000)
		random := rand.New(rand.NewPCG(seed, 4))
		for range 10 {
			lonely := map[string]bool{leader: true}
			for range random.IntN(4) {
				lonely[string(rune('A'+random.IntN(5)))] = true
			}
			for _, id := range []string{"A", "B", "C", "D", "E"} {
				if lonely[id] {
					w.Isolate(id)
				}
			}
			w.Run(time.Second)
			require.NoError(t, w.Err())
			if len(lonely) > 2 {
				require.Empty(t, w.Leader(), "seed %d: no majority is connected", seed)
			} else {
				require.NotContains(t, lonely, w.Leader())
				require.NotEmpty(t, w.Leader(), "seed %d", seed)
			}
			w.Network().Heal()
			w.Settle()
			require.NoError(t, w.Err())
			leader = w.Leader()
		}
	}
}
