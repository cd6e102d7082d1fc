package raftjournal

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/transport"
)

// restored returns a member that begins with the snapshot of another.
func restored(t require.TestingT, of *Machine) *Machine {
	var written bytes.Buffer
	n, err := of.Snapshot().WriteTo(&written)
	require.NoError(t, err)
	require.EqualValues(t, written.Len(), n)
	m := new(Machine)
	require.NoError(t, m.Restore(&written))
	return m
}

// TestMembersAgree applies a log to a member, to one that begins with a snapshot of
// it again and again, and its batches to a journal in memory: all have the same.
func TestMembersAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var model scheduler.MemoryJournal
		all, joins := new(Machine), new(Machine)
		seq, token, index, part := uint64(0), uint64(0), uint64(0), 0
		apply := func(command []byte) {
			index++
			for _, m := range []*Machine{all, joins} {
				m.Apply(raft.Entry{Index: index, Term: 1, Kind: raft.EntryCommand, Data: command})
			}
		}
		for call := range uint64(rapid.IntRange(1, 30).Draw(t, "calls")) {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				token = rapid.Uint64Range(0, token+2).Draw(t, "token")
				_ = model.Acquire(t.Context(), token)
				apply(codec.Write(new(codec.Coder), nil, &command{token: token, caller: 7, call: call}, commandFields))
			case 1:
				joins = restored(t, joins)
			default:
				records, end, next := drawRecords(t, seq, part)
				commands := appendCommands(command{token: token, caller: 7, call: call}, records,
					rapid.IntRange(1, 40).Draw(t, "piece"))
				given := rapid.IntRange(0, len(commands)).Draw(t, "pieces that come")
				if rapid.Bool().Draw(t, "all of them") {
					given = len(commands)
				}
				for i, command := range commands[:given] {
					apply(command)
					if i == 0 && rapid.Bool().Draw(t, "restored between") {
						joins = restored(t, joins)
					}
				}
				if given == len(commands) && model.Append(t.Context(), token, records) == nil {
					seq, part = end, next
				}
			}
			require.Empty(t, cmp.Diff(model.Contents(), all.records.Contents()))
			require.Empty(t, cmp.Diff(model.Contents(), joins.records.Contents()))
		}
	})
}

// drawRecords returns records that may follow, and what may follow those.
func drawRecords(t *rapid.T, seq uint64, part int) (records []scheduler.Record, end uint64, next int) {
	for range rapid.IntRange(0, 4).Draw(t, "records") {
		data := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			records = append(records, scheduler.Record{Seq: 1, Part: part, Kind: scheduler.RecordSnapshotPart, Data: data})
			part++
		case 1:
			records = append(records, scheduler.Record{Seq: 1, Part: part, Kind: scheduler.RecordSnapshot, Data: data})
			part = 0
		default:
			seq++
			records = append(records, scheduler.Record{Seq: seq, Kind: scheduler.RecordEntry, Data: data})
		}
	}
	return records, seq, part
}

// TestRunningAgainAppliesNothingTwice: a node that runs again begins with the
// snapshot and the log, and the journal with what it has.
func TestRunningAgainAppliesNothingTwice(t *testing.T) {
	t.Parallel()
	m := new(Machine)
	entries := []raft.Entry{
		{Index: 1, Term: 1, Kind: raft.EntryStart},
		{Index: 2, Term: 1, Kind: raft.EntryCommand, Data: codec.Write(new(codec.Coder), nil, &command{token: 1}, commandFields)},
		{Index: 3, Term: 1, Kind: raft.EntryCommand, Data: appendCommands(command{token: 1}, []scheduler.Record{
			{Seq: 1, Kind: scheduler.RecordEntry, Data: []byte("x")},
		}, 100)[0]},
	}
	var earlier bytes.Buffer
	for i, e := range entries {
		m.Apply(e)
		if i == 1 {
			_, err := m.Snapshot().WriteTo(&earlier)
			require.NoError(t, err)
		}
	}
	want := m.records.Contents()
	require.Len(t, want.Records, 1)
	require.NoError(t, m.Restore(&earlier))
	require.Equal(t, want, m.records.Contents(), "who follows sees no step back")
	for _, e := range entries[2:] {
		m.Apply(e)
	}
	require.Equal(t, want, m.records.Contents())
}

// TestCommandsOfOthersAreIgnored on every member alike.
func TestCommandsOfOthersAreIgnored(t *testing.T) {
	t.Parallel()
	m := new(Machine)
	m.Apply(raft.Entry{Index: 1, Term: 1, Kind: raft.EntryCommand, Data: []byte("not of this package")})
	m.Apply(raft.Entry{Index: 2, Term: 1, Kind: raft.EntryCommand, Data: codec.Write(new(codec.Coder), nil,
		&command{batch: &piece{first: true, last: true, data: []byte("no batch")}}, commandFields)})
	require.Empty(t, m.records.Contents())
	require.EqualValues(t, 2, m.applied)
}

// TestOnlyOwnCallsAreAnswered: another journal's call may have the same number.
func TestOnlyOwnCallsAreAnswered(t *testing.T) {
	t.Parallel()
	m := new(Machine)
	outcome := make(chan error, 1)
	m.expect(ticket{caller: 5, call: 1}, outcome)
	for i, caller := range []uint64{7, 5} {
		require.Empty(t, outcome)
		m.Apply(raft.Entry{Index: uint64(i + 1), Term: 1, Kind: raft.EntryCommand, Data: codec.Write(new(codec.Coder), nil,
			&command{token: 3, caller: caller, call: 1}, commandFields)})
	}
	var fenced *scheduler.FencedError
	require.ErrorAs(t, <-outcome, &fenced)
}

// TestStoppedNodeAnswers: a call whose command is committed does not wait for a
// node that has stopped before it was applied.
func TestStoppedNodeAnswers(t *testing.T) {
	t.Parallel()
	network, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(t, err)
	endpoint, err := network.Join("a")
	require.NoError(t, err)
	machine := new(Machine)
	node, err := raft.New(raft.Config{
		Cluster: "test", ID: "a", Start: raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}),
		Store: new(raft.MemoryStore), Log: new(raft.MemoryLog), Machine: machine, Transport: endpoint,
	})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_ = node.Run(ended)
	err = New(node, machine).await(t.Context(), make(chan error))
	require.ErrorIs(t, err, raft.ErrOutcomeUnknown)
	require.ErrorIs(t, err, raft.ErrStopped)
}

// FuzzReadSnapshot: what is read is written again with the same contents, and nothing
// panics.
func FuzzReadSnapshot(f *testing.F) {
	m := new(Machine)
	var written bytes.Buffer
	_, _ = m.Snapshot().WriteTo(&written)
	f.Add(slices.Clone(written.Bytes()))
	f.Add([]byte{})
	f.Add([]byte{0, 2, 8, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readSnapshot(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		_, err = s.WriteTo(&again)
		require.NoError(t, err)
		twice, err := readSnapshot(&again)
		require.NoError(t, err)
		require.Equal(t, s, twice)
	})
}
