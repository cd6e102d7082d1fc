package raft

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// isLong reports whether there is time for long walks.
func isLong() bool { return os.Getenv("CONSTELLATION_LONG") != "" }

// small is the scope that the others vary: a minimal election timeout of two
// ticks, and a lease a little shorter.
func small() scope {
	return scope{terms: 2, inFlight: 2, electionTimeout: 2, lease: 2*worldTick - worldTick/5}
}

// The real core, in every history of three nodes within each scope: the walks
// go to their ends, but for the two last, which are bounded; the longer ones are
// walked with CONSTELLATION_LONG only.
func TestExplore(t *testing.T) {
	tests := []struct {
		name   string
		long   bool
		change func(s *scope)
	}{
		{"one term, one crash", false, func(s *scope) { s.terms, s.inFlight, s.crashes = 1, 1, 1 }},
		{"one term, two messages", false, func(s *scope) { s.terms = 1 }},
		{"two terms", false, func(s *scope) { s.inFlight = 1 }},
		{"two terms, one transfer", false, func(s *scope) { s.inFlight, s.transfers = 1, 1 }},
		{"two terms, one crash", false, func(s *scope) { s.inFlight, s.crashes = 1, 1 }},
		{"two terms, one crash, one transfer, a witness", false, func(s *scope) {
			s.inFlight, s.crashes, s.transfers, s.witness = 1, 1, 1, true
		}},
		{"skewed clocks", false, func(s *scope) { s.inFlight, s.skew, s.electionTimeout, s.lease = 1, 1, 3, worldTick }},
		{"two terms, two messages, one crash", true, func(s *scope) { s.crashes = 1 }},
		{"two terms, two messages, one crash, a witness", true, func(s *scope) { s.crashes, s.witness = 1, true }},
		{"two terms, two messages, one transfer", true, func(s *scope) { s.transfers = 1 }},
		{"two terms, two messages, skewed clocks", true, func(s *scope) { s.skew, s.electionTimeout, s.lease = 1, 3, worldTick }},
		{"three terms, two messages, two crashes", true, func(s *scope) { s.terms, s.crashes, s.states = 3, 2, 3_000_000 }},
		{"three terms, three messages, one crash", true, func(s *scope) { s.terms, s.inFlight, s.crashes, s.states = 3, 3, 1, 10_000_000 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.long && !isLong() {
				t.Skip("takes half a minute to hours: set CONSTELLATION_LONG=1")
			}
			s := small()
			tt.change(&s)
			if testing.Short() || RaceEnabled {
				s.states = Share(10_000)
			}
			x := newExplorer(t, s)
			bad := x.walk(x.start())
			t.Logf("%d worlds in %d layers", len(x.seen), x.depth)
			if bad != nil {
				t.Fatal(x.retold(bad))
			}
		})
	}
}

// With a rule switched off, the walk finds what is wrong.
func TestExploreNegativeControls(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *scope)
		from   func(x *explorer) *world
		want   string
	}{
		{"lease renewed after TimeoutNow", func(s *scope) {
			s.transfers, s.off.renewAfterTransfer = 1, true
		}, (*explorer).start, "O7"},
		{"vote reset by a heartbeat", func(s *scope) {
			s.off.resetVoteOnEqualTerm = true
		}, (*explorer).start, "O3"},
		{"no silence after a restart", func(s *scope) {
			s.inFlight, s.crashes, s.off.noBlackout = 1, 1, true
		}, (*explorer).elected, "O6"},
		{"campaign while bound", func(s *scope) {
			s.off.campaignWhileBound = true
		}, (*explorer).elected, "O6"},
		{"lease from the receipt", func(s *scope) {
			s.off.leaseFromReceipt = true
		}, (*explorer).elected, "O6"},
		{"margin below twice the skew", func(s *scope) {
			s.skew, s.electionTimeout, s.lease = 1, 3, 2*worldTick
		}, (*explorer).elected, "O6"},
		{"pre-campaign kept after a grant", func(s *scope) {
			s.off.keepPreCampaign = true
		}, (*explorer).latePreVote, "O6"},
		{"promise cleared by a term", func(s *scope) {
			s.terms, s.off.clearPromiseOnTerm = 3, true
		}, (*explorer).lateAnswer, "O6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			skipUnderRace(t)
			s := small()
			tt.change(&s)
			if !isLong() {
				s.states = 200_000
			}
			x := newExplorer(t, s)
			bad := x.walk(tt.from(x))
			t.Logf("%d worlds in %d layers", len(x.seen), x.depth)
			require.NotNil(t, bad)
			require.Contains(t, bad.broken, tt.want)
		})
	}
}

// The walks rest on it that two worlds of one fingerprint have the same futures.
// Here random walks, which keep messages that are said to mean nothing, come to
// most fingerprints in many ways, and each time the worlds one action away must
// be the same and break the same oracles; with a rule off, some do.
func TestExploreFingerprint(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *scope)
	}{
		{"transfer", func(s *scope) { s.inFlight, s.transfers = 1, 1 }},
		{"crash", func(s *scope) { s.inFlight, s.crashes = 1, 1 }},
		{"two messages", func(s *scope) { s.terms = 1 }},
		{"witness", func(s *scope) { s.inFlight, s.crashes, s.witness = 1, 1, true }},
		{"skewed clocks", func(s *scope) { s.inFlight, s.skew, s.electionTimeout, s.lease = 1, 1, 3, worldTick }},
		{"no silence after a restart", func(s *scope) { s.crashes, s.off.noBlackout = 1, true }},
		{"campaign while bound", func(s *scope) { s.off.campaignWhileBound = true }},
		{"promise cleared by a term", func(s *scope) { s.off.clearPromiseOnTerm = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := small()
			tt.change(&s)
			s.litter = 2
			x := newExplorer(t, s)
			random := rand.New(rand.NewPCG(1, 1))
			futures := make(map[uint64][]uint64)
			visits := make(map[uint64]int)
			walks, met := Share(60), 0
			if isLong() {
				walks = 2_000
			}
			for range walks {
				w := x.start()
				for step := 0; step < 60 && w.broken == ""; step++ {
					own, future := x.future(w)
					if visits[own]++; visits[own] > 1 {
						met++
						require.Equal(t, futures[own], future)
					}
					futures[own] = future
					w = x.wander(w, random, visits)
				}
			}
			t.Logf("%d fingerprints, met %d times more", len(futures), met)
		})
	}
}

// future returns the fingerprints of a world and of all others one action away.
func (x *explorer) future(w *world) (own uint64, future []uint64) {
	own = w.fingerprint(&x.enc)
	x.next(w, func(_ string, next *world) bool {
		f := next.fingerprint(&x.enc)
		if next.broken != w.broken {
			f = ^f // To break an oracle is a future of its own.
		}
		if f != own {
			future = append(future, f)
		}
		return true
	})
	slices.Sort(future)
	return own, slices.Compact(future)
}

// wander returns a world one action away, a random one of those that were
// visited least.
func (x *explorer) wander(w *world, random *rand.Rand, visits map[uint64]int) *world {
	var ahead []*world
	least := 0
	x.next(w, func(_ string, next *world) bool {
		n := visits[next.fingerprint(&x.enc)]
		if len(ahead) == 0 || n < least {
			ahead, least = ahead[:0], n
		}
		if n == least {
			ahead = append(ahead, next)
		}
		return true
	})
	return ahead[random.IntN(len(ahead))]
}
