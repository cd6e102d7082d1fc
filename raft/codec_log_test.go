package raft

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func exampleAppend() Message {
	return Message{
		Kind: Append, Cluster: "test", From: "A", To: "B", StoreID: testStore("A"), Incarnation: 2, Boot: 3,
		Term: 4, Sequence: 5, Promise: 150 * ms, Level: 2, Previous: Position{3, 6}, Commit: 5,
		Entries: []Entry{{7, 4, EntryStart, nil}, {8, 4, EntryCommand, []byte("data")}},
	}
}

// The entries that come out share no memory with the frame, nor with each other.
func TestDecodedEntriesAreOwned(t *testing.T) {
	m := exampleAppend()
	m.Entries[0].Data = []byte("first")
	frame, err := m.AppendBinary(nil)
	require.NoError(t, err)
	var decoded Message
	require.NoError(t, decoded.UnmarshalBinary(frame))
	clear(frame)
	_ = append(decoded.Entries[0].Data, "beyond"...)
	require.Equal(t, m.Entries, decoded.Entries)
}

// An Append may be larger than any other message, up to a limit of its own.
func TestAppendHasItsOwnLimit(t *testing.T) {
	m := exampleAppend()
	m.Entries[1].Data = nil
	empty, err := m.AppendBinary(nil)
	require.NoError(t, err)

	m.Entries[1].Data = make([]byte, MaxAppendSize-len(empty))
	frame, err := m.AppendBinary(nil)
	require.NoError(t, err)
	require.Len(t, frame, MaxAppendSize)
	var decoded Message
	require.NoError(t, decoded.UnmarshalBinary(frame))
	require.ErrorIs(t, decoded.UnmarshalBinary(append(frame, 0, 9, 0, 0)), ErrMalformed)

	m.Kind = Heartbeat
	_, err = m.AppendBinary(nil)
	require.ErrorIs(t, err, ErrTooLarge)
	m = exampleAppend()
	m.Entries[1].Data = make([]byte, MaxAppendSize+1)
	_, err = m.AppendBinary(nil)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestLogExtensionsRefuse(t *testing.T) {
	m := exampleAppend()
	m.Match, m.Conflict, m.Check = 3, Position{2, 2}, Checkpoint{1024, 5}
	good, err := m.AppendBinary(nil)
	require.NoError(t, err)
	log := messageHeaderSize + 3 + len("test"+"A"+"B")
	match, conflict, commit := log, log+12, log+32
	check, entries := log+44, log+64
	require.EqualValues(t, tagMatch, good[match+1])
	require.EqualValues(t, tagConflict, good[conflict+1])
	require.EqualValues(t, tagCommit, good[commit+1])
	require.EqualValues(t, tagCheck, good[check+1])
	require.EqualValues(t, tagEntries, binary.BigEndian.Uint16(good[entries:]))
	tests := []struct {
		name string
		bend func(b []byte) []byte
	}{
		{"match twice", func(b []byte) []byte { return append(b, b[match:conflict]...) }},
		{"conflict twice", func(b []byte) []byte { return append(b, b[conflict:commit]...) }},
		{"commit twice", func(b []byte) []byte { return append(b, b[commit:check]...) }},
		{"check twice", func(b []byte) []byte { return append(b, b[check:entries]...) }},
		{"check of nothing", func(b []byte) []byte { clear(b[check+4 : entries]); return b }},
		{"entries twice", func(b []byte) []byte { return append(b, b[entries:]...) }},
		{"match of nothing", func(b []byte) []byte { clear(b[match+4 : conflict]); return b }},
		{"conflict of nothing", func(b []byte) []byte { clear(b[conflict+4 : commit]); return b }},
		{"commit of nothing", func(b []byte) []byte { clear(b[commit+4 : check]); return b }},
		{"no entries after nothing", func(b []byte) []byte {
			return append(b[:entries], 0x80, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		}},
		{"long match", func(b []byte) []byte {
			return append(b[:match], append([]byte{0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0}, b[conflict:]...)...)
		}},
		{"last entry is cut short", func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[entries+2:], binary.BigEndian.Uint32(b[entries+2:])-1)
			return b[:len(b)-1]
		}},
		{"entry of 4 GiB", func(b []byte) []byte {
			copy(b[len(b)-8:], []byte{0xff, 0xff, 0xff, 0xff})
			return b
		}},
		{"entries of 4 GiB", func(b []byte) []byte { copy(b[entries+2:], []byte{0xff, 0xff, 0xff, 0xff}); return b }},
		{"indices that wrap", func(b []byte) []byte {
			binary.BigEndian.PutUint64(b[entries+14:], math.MaxUint64-1)
			return b
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var decoded Message
			require.ErrorIs(t, decoded.UnmarshalBinary(tt.bend(slices.Clone(good))), ErrMalformed)
			require.Zero(t, decoded)
		})
	}

	// Long extensions that this version does not know are skipped, too.
	var decoded Message
	require.NoError(t, decoded.UnmarshalBinary(append(good, 0x80, 99, 0, 0, 0, 2, 'h', 'i')))
	require.True(t, sameMessage(m, decoded))
}

func TestEntriesThatDoNotFollowAreRefused(t *testing.T) {
	for _, bend := range []func(m *Message){
		func(m *Message) { m.Entries[0].Index++ },
		func(m *Message) { m.Entries[1].Index-- },
		func(m *Message) { m.Previous.Index = math.MaxUint64 },
	} {
		m := exampleAppend()
		bend(&m)
		b, err := m.AppendBinary([]byte("kept"))
		require.ErrorIs(t, err, ErrConfig)
		require.True(t, bytes.Equal([]byte("kept"), b))
	}
}
