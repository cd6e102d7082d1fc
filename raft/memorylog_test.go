package raft_test

import (
	"hash/crc32"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

// entriesFrom returns entries of these terms from an index on.
func entriesFrom(index uint64, terms ...uint64) []raft.Entry {
	var entries []raft.Entry
	for i, term := range terms {
		entries = append(entries, raft.Entry{Index: index + uint64(i), Term: term, Kind: raft.EntryCommand})
	}
	return entries
}

func positionAt(term, index uint64) raft.Position { return raft.Position{Term: term, Index: index} }

// keep writes and keeps a snapshot.
func keep(t *testing.T, l raft.Log, last raft.Position, contents string) raft.Snapshot {
	t.Helper()
	w, err := l.CreateSnapshot()
	require.NoError(t, err)
	_, err = io.WriteString(w, contents)
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	s := raft.Snapshot{
		Last: last, Size: int64(len(contents)),
		Checksum: crc32.Checksum([]byte(contents), crc32.MakeTable(crc32.Castagnoli)),
	}
	require.NoError(t, w.Keep(s))
	require.NoError(t, w.Discard())
	return s
}

// reopened returns what a log holds after Close and Open.
func reopened(t *testing.T, l raft.Log) raft.StoredLog {
	t.Helper()
	require.NoError(t, l.Close())
	stored, err := l.Open(raft.StoreID{1}, false)
	require.NoError(t, err)
	return stored
}

func TestMemoryLogAppends(t *testing.T) {
	l := new(raft.MemoryLog)
	require.Error(t, l.Append(entriesFrom(1, 1)), "it is not open")
	stored, err := l.Open(raft.StoreID{1}, false)
	require.NoError(t, err)
	require.Equal(t, raft.StoredLog{}, stored)
	_, err = l.Open(raft.StoreID{1}, false)
	require.ErrorIs(t, err, raft.ErrLocked)
	require.NoError(t, l.Append(entriesFrom(1, 1, 1, 1)))
	require.Error(t, l.Append(entriesFrom(5, 1)), "there is a gap")
	require.NoError(t, l.Append(entriesFrom(2, 2)))
	require.Equal(t, entriesFrom(1, 1, 2), reopened(t, l).Entries)
}

func TestMemoryLogKeepsSnapshots(t *testing.T) {
	l := new(raft.MemoryLog)
	_, err := l.Open(raft.StoreID{1}, false)
	require.NoError(t, err)
	_, err = l.OpenSnapshot()
	require.Error(t, err, "there is none")
	require.NoError(t, l.Append(entriesFrom(1, 1, 1, 1, 2, 2)))

	w, err := l.CreateSnapshot()
	require.NoError(t, err)
	require.Error(t, w.Keep(raft.Snapshot{Last: positionAt(1, 3), Size: 1}), "nothing was written")
	require.NoError(t, w.Discard())

	first := keep(t, l, positionAt(1, 3), "first")
	require.Equal(t, raft.StoredLog{Snapshot: first, Entries: entriesFrom(1, 1, 1, 1, 2, 2)}, reopened(t, l))
	require.NoError(t, l.Compact(5), "no more than the snapshot has")
	require.Equal(t, raft.StoredLog{Snapshot: first, Entries: entriesFrom(3, 1, 2, 2)}, reopened(t, l))
	require.Error(t, l.Append(entriesFrom(2, 2)))

	r, err := l.OpenSnapshot()
	require.NoError(t, err)
	second := keep(t, l, positionAt(3, 5), "second")
	require.Equal(t, raft.StoredLog{Snapshot: second}, reopened(t, l), "the log had another entry there")
	require.Equal(t, first, r.Snapshot())
	contents, err := io.ReadAll(io.NewSectionReader(r, 0, first.Size))
	require.NoError(t, err)
	require.Equal(t, "first", string(contents), "it can be read until it is closed")
	require.NoError(t, r.Close())

	require.NoError(t, l.Append(entriesFrom(6, 3)))
	third := keep(t, l, positionAt(3, 9), "third")
	require.Equal(t, raft.StoredLog{Snapshot: third}, reopened(t, l), "the log ended before")
}
