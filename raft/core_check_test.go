package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A member compares the running hash of what it has applied with the leader's,
// whichever of both comes first.
func TestCheckpointsAreCompared(t *testing.T) {
	heartbeat := func(s *solo, p Checkpoint) Message {
		m := s.from("B", Heartbeat, 2)
		m.Check = p
		return m
	}
	same, other := Checkpoint{checkEvery, 7}, Checkpoint{checkEvery, 8}
	for _, first := range []bool{true, false} {
		s := newSoloLog(t)
		compare := func(ours, theirs Checkpoint) uint64 {
			if first {
				s.last = s.Checked(s.now, ours)
				require.Zero(t, s.last.Diverged)
				s.step(heartbeat(s, theirs))
			} else {
				s.step(heartbeat(s, theirs))
				require.Zero(t, s.last.Diverged)
				s.last = s.Checked(s.now, ours)
			}
			return s.last.Diverged
		}
		require.Zero(t, compare(same, same))
		s = newSoloLog(t)
		require.Zero(t, compare(same, Checkpoint{2 * checkEvery, 8}), "of another entry")
		s = newSoloLog(t)
		require.EqualValues(t, checkEvery, compare(same, other))
		s = newSoloLog(t)
		s.faults.neverCompare = true
		require.Zero(t, compare(same, other))
	}
}

// The hash depends on all that an entry has, and on all before it.
func TestChainOfEntries(t *testing.T) {
	e := Entry{Index: 3, Term: 2, Kind: EntryCommand, Data: []byte("data")}
	hashes := map[uint64]bool{e.Chain(1): true}
	for _, bend := range []func(e *Entry){
		func(e *Entry) { e.Index++ },
		func(e *Entry) { e.Term++ },
		func(e *Entry) { e.Kind = EntryStart },
		func(e *Entry) { e.Data = []byte("date") },
		func(e *Entry) { e.Data = nil },
	} {
		o := e
		bend(&o)
		require.NotContains(t, hashes, o.Chain(1))
		hashes[o.Chain(1)] = true
	}
	require.NotContains(t, hashes, e.Chain(2))
}
