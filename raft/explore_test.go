package raft

import (
	"os"
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

// The real core, in every history of three nodes within each scope. With little
// time only the nearest worlds are visited; CONSTELLATION_LONG has the walks go
// to their ends, except for the last, whose end is too far.
func TestExplore(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *scope)
	}{
		{"one term, one crash", func(s *scope) { s.terms, s.inFlight, s.crashes = 1, 1, 1 }},
		{"one term, two messages", func(s *scope) { s.terms = 1 }},
		{"two terms", func(s *scope) { s.inFlight = 1 }},
		{"two terms, one transfer", func(s *scope) { s.inFlight, s.transfers = 1, 1 }},
		{"two terms, one crash", func(s *scope) { s.inFlight, s.crashes = 1, 1 }},
		{"skewed clocks", func(s *scope) { s.inFlight, s.skew, s.electionTimeout, s.lease = 1, 1, 3, worldTick }},
		{"two terms, two messages, one crash", func(s *scope) { s.crashes, s.states = 1, 5_000_000 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := small()
			tt.change(&s)
			if !isLong() {
				s.states = 10_000
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
			s.campaigns, s.off.campaignWhileBound = 1, true
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
