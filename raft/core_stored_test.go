package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a disk holds is a log only if it goes with its snapshot: one that ends before, or
// is of another history, must not be taken for what follows it.
func TestStoredLog(t *testing.T) {
	entries := func(index uint64, terms ...uint64) []Entry {
		var entries []Entry
		for i, term := range terms {
			entries = append(entries, Entry{Index: index + uint64(i), Term: term, Kind: EntryCommand})
		}
		return entries
	}
	at := func(term, index uint64) Snapshot { return Snapshot{Last: Position{term, index}} }
	tests := []struct {
		name     string
		snapshot Snapshot
		entries  []Entry
		base     Position
		last     Position
		corrupt  bool
	}{
		{name: "nothing"},
		{name: "entries alone", entries: entries(1, 1, 2), last: Position{2, 2}},
		{name: "snapshot alone", snapshot: at(2, 4), base: Position{2, 4}, last: Position{2, 4}},
		{name: "behind the snapshot", snapshot: at(2, 4), entries: entries(5, 2, 3), base: Position{2, 4}, last: Position{3, 6}},
		{name: "from the beginning", snapshot: at(2, 2), entries: entries(1, 1, 2, 3), last: Position{3, 3}},
		{name: "from within the snapshot", snapshot: at(2, 4), entries: entries(3, 1, 2, 3), base: Position{1, 3}, last: Position{3, 5}},
		{name: "the end of the snapshot alone", snapshot: at(2, 4), entries: entries(4, 2), base: Position{2, 4}, last: Position{2, 4}},
		{name: "ends before the snapshot", snapshot: at(2, 4), entries: entries(1, 1, 1, 2), corrupt: true},
		{name: "another entry ends the snapshot", snapshot: at(2, 4), entries: entries(3, 1, 1, 3), corrupt: true},
		{name: "a gap behind the snapshot", snapshot: at(2, 4), entries: entries(6, 2), corrupt: true},
		{name: "a gap", entries: append(entries(1, 1), entries(3, 1)...), corrupt: true},
		{name: "no beginning", entries: entries(2, 1), corrupt: true},
		{name: "entry 0", snapshot: at(1, 1), entries: entries(0, 1, 1), corrupt: true},
		{name: "a later term", entries: entries(1, 4), corrupt: true},
		{name: "a later snapshot", snapshot: at(4, 4), corrupt: true},
		{name: "no snapshot's end", snapshot: at(0, 4), corrupt: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := StoredLog{Snapshot: tt.snapshot, Entries: tt.entries}
			if tt.corrupt {
				require.ErrorIs(t, stored.validate(3), ErrCorrupt)
				return
			}
			require.NoError(t, stored.validate(3))
			l := newEntryLog(stored)
			require.Equal(t, tt.base, l.base)
			require.Equal(t, tt.last, l.last())
			require.Equal(t, tt.last.Index, l.durable)
			require.Equal(t, tt.snapshot.Last.Index, l.commit)
			require.Zero(t, l.applied, "the application has yet to take in the snapshot")
			for i := l.base.Index + 1; i <= l.last().Index; i++ {
				term, found := l.term(i)
				require.True(t, found)
				require.Equal(t, tt.entries[i-tt.entries[0].Index].Term, term)
			}
		})
	}
}
