package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What watchers are told of, and what not (rule 24).
func TestWatchedChanges(t *testing.T) {
	var none Status
	changes := []func(s *Status){
		func(s *Status) { s.Role = Leader },
		func(s *Status) { s.Term = 1 },
		func(s *Status) { s.Leader = "a" },
		func(s *Status) { s.Leading = true },
		func(s *Status) { s.Configuration.Version = 1 },
		func(s *Status) { s.Refused = RefusedTwin },
		func(s *Status) { s.Abstains = AbstainsFailing },
		func(s *Status) { s.Unreleased.Count = 1 },
		func(s *Status) { s.Stopped = true },
	}
	for i, change := range changes {
		var s Status
		change(&s)
		require.NotEqual(t, none.key(), s.key(), "change %d", i)
	}
	s := Status{Unreleased: Unreleased{For: time.Second}, Traffic: Traffic{Sent: 1}, Counters: Counters{Wins: 1}}
	require.Equal(t, none.key(), s.key())
}
