package raft

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyName draws a name, often a plain one.
func anyName() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"A", "B", "C", ""}), rapid.StringN(0, 16, MaxIDSize))
}

func anyStoreID() *rapid.Generator[StoreID] {
	return rapid.Custom(func(t *rapid.T) StoreID {
		return testStore(rapid.SampledFrom([]string{"", "A", "B", "C", "X"}).Draw(t, "store"))
	})
}

// anyNumber draws numbers with a liking for the ends.
func anyNumber() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64(), rapid.Just(uint64(math.MaxUint64)))
}

// anyConfiguration draws a valid configuration, or none.
func anyConfiguration() *rapid.Generator[Configuration] {
	return rapid.Custom(func(t *rapid.T) Configuration {
		if rapid.Bool().Draw(t, "none") {
			return Configuration{}
		}
		names := rapid.SliceOfNDistinct(rapid.StringN(1, 4, 8), 1, 6, rapid.ID[string]).Draw(t, "names")
		var members []Member
		for i, name := range names {
			members = append(members, Member{
				ID: name, Voter: i == 0 || rapid.Bool().Draw(t, "voter"),
				Witness:  i > 0 && rapid.Bool().Draw(t, "witness"),
				Priority: rapid.IntRange(MinPriority, 0).Draw(t, "priority"),
				Data:     rapid.StringN(0, 4, 16).Draw(t, "data"),
				StoreID:  anyStoreID().Draw(t, "bound"),
			})
		}
		c, err := NewConfiguration(members...)
		if err != nil {
			t.Fatal(err)
		}
		c.Term = rapid.Uint64Range(0, 5).Draw(t, "term")
		c.Version = rapid.Uint64Range(1, 5).Draw(t, "version")
		c.Level = rapid.Uint32Range(1, 3).Draw(t, "level")
		return c
	})
}

// anyMessage draws a message that can be encoded, sensible or not.
func anyMessage() *rapid.Generator[Message] {
	return rapid.Custom(func(t *rapid.T) Message {
		m := Message{
			Kind:    MessageKind(rapid.IntRange(0, int(lastMessageKind)+1).Draw(t, "kind")),
			Cluster: rapid.SampledFrom([]string{"test", "other"}).Draw(t, "cluster"),
			From:    anyName().Draw(t, "from"), To: anyName().Draw(t, "to"),
			StoreID:     anyStoreID().Draw(t, "store"),
			Incarnation: anyNumber().Draw(t, "incarnation"),
			Boot:        anyNumber().Draw(t, "boot"),
			Term:        anyNumber().Draw(t, "term"),
			Sequence:    anyNumber().Draw(t, "sequence"),
			Asker:       anyNumber().Draw(t, "asker"),
			Granted:     rapid.Bool().Draw(t, "granted"),
			Abstains:    rapid.Bool().Draw(t, "abstains"),
			Reason:      RefusalReason(rapid.IntRange(0, int(lastReason)+1).Draw(t, "reason")),
			Promise:     time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "promise")),
			Transfer:    anyNumber().Draw(t, "transfer"),
			Level:       rapid.Uint32().Draw(t, "level"),
			ConfigurationID: ConfigurationID{
				Term: anyNumber().Draw(t, "config term"), Version: anyNumber().Draw(t, "version"),
			},
			Digest:        anyNumber().Draw(t, "digest"),
			Configuration: anyConfiguration().Draw(t, "configuration"),
			Last:          Position{Term: anyNumber().Draw(t, "last"), Index: anyNumber().Draw(t, "index")},
			Previous:      anyPosition().Draw(t, "previous"),
			Commit:        anyNumber().Draw(t, "commit"),
			Match:         anyNumber().Draw(t, "match"),
			Conflict:      anyPosition().Draw(t, "conflict"),
			Check:         Checkpoint{anyNumber().Draw(t, "checked"), anyNumber().Draw(t, "hash")},
		}
		m.Entries = anyEntries(m.Previous).Draw(t, "entries")
		if rapid.IntRange(0, 2).Draw(t, "snapshot") == 0 {
			m.Snapshot = Snapshot{
				Last: anyPosition().Draw(t, "end"), Size: rapid.Int64().Draw(t, "size"),
				Checksum: rapid.Uint32().Draw(t, "checksum"), Hash: rapid.Uint64().Draw(t, "hash"),
			}
		}
		if m.Snapshot != (Snapshot{}) {
			m.Offset = rapid.Int64().Draw(t, "offset")
			m.Chunk = rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "chunk")
		}
		return m
	})
}

func anyPosition() *rapid.Generator[Position] {
	return rapid.Custom(func(t *rapid.T) Position {
		return Position{Term: anyNumber().Draw(t, "term"), Index: anyNumber().Draw(t, "index")}
	})
}

// anyEntries draws entries that follow a position, often none.
func anyEntries(previous Position) *rapid.Generator[[]Entry] {
	return rapid.Custom(func(t *rapid.T) []Entry {
		var entries []Entry
		for i := range min(rapid.Uint64Range(0, 3).Draw(t, "entries"), math.MaxUint64-previous.Index) {
			e := Entry{Index: previous.Index + 1 + i, Term: anyNumber().Draw(t, "term")}
			e.Kind = EntryKind(rapid.Byte().Draw(t, "kind"))
			if data := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "data"); len(data) > 0 {
				e.Data = data
			}
			entries = append(entries, e)
		}
		return entries
	})
}

func checkMessageRoundTrip(t *rapid.T) {
	m := anyMessage().Draw(t, "message")
	prefix := []byte("prefix")
	b, err := m.AppendBinary(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, prefix) {
		t.Fatal("what was there is gone")
	}
	var decoded Message
	if err := decoded.UnmarshalBinary(b[len(prefix):]); err != nil {
		t.Fatal(err)
	}
	if !sameMessage(m, decoded) {
		t.Fatalf("%+v came back as %+v", m, decoded)
	}
}

// sameMessage compares messages, which == cannot.
func sameMessage(a, b Message) bool {
	same := a.Configuration.Equal(b.Configuration) && slices.EqualFunc(a.Entries, b.Entries, sameEntry)
	a.Configuration, b.Configuration = Configuration{}, Configuration{}
	x, _ := a.AppendBinary(nil)
	y, _ := b.AppendBinary(nil)
	return same && bytes.Equal(x, y) && a.Kind == b.Kind && a.Granted == b.Granted && a.Abstains == b.Abstains
}

func sameEntry(a, b Entry) bool {
	return a.position() == b.position() && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
}

func TestMessageRoundTrip(t *testing.T)   { rapid.Check(t, checkMessageRoundTrip) }
func FuzzMessageRoundTrip(f *testing.F)   { f.Fuzz(rapid.MakeFuzz(checkMessageRoundTrip)) }
func FuzzHardStateRoundTrip(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkHardStateRoundTrip)) }
func TestHardStateRoundTrip(t *testing.T) { rapid.Check(t, checkHardStateRoundTrip) }
func exampleMessage(tb testing.TB) Message {
	tb.Helper()
	c, err := NewConfiguration(append(voters(3), Member{ID: "D", Data: "d:1", Priority: -2, Witness: true})...)
	require.NoError(tb, err)
	return Message{
		Kind: VoteRequest, Cluster: "test", From: "A", To: "B", StoreID: testStore("A"), Incarnation: 2, Boot: 3,
		Term: 4, Sequence: 5, Asker: 8, Promise: 150 * ms, Transfer: 3, Level: 1, ConfigurationID: c.ConfigurationID,
		Digest: c.Digest(), Configuration: c, Last: Position{Term: 6, Index: 7},
	}
}

func checkHardStateRoundTrip(t *rapid.T) {
	s := HardState{
		Identity: Identity{
			Cluster: anyName().Draw(t, "cluster"), Node: anyName().Draw(t, "node"),
			StoreID: anyStoreID().Draw(t, "store"), Incarnation: anyNumber().Draw(t, "incarnation"),
		},
		Term:           rapid.Uint64Range(0, math.MaxUint64-1).Draw(t, "term"),
		Vote:           anyName().Draw(t, "vote"),
		LongestPromise: time.Duration(rapid.Int64Range(0, int64(MaxPromise)).Draw(t, "promise")),
		Configuration:  anyConfiguration().Draw(t, "configuration"),
		HasLog:         rapid.Bool().Draw(t, "log"),
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var decoded HardState
	if err := decoded.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if !s.Equal(decoded) {
		t.Fatalf("%+v came back as %+v", s, decoded)
	}
}

// Whatever bytes arrive: no panic, and what is accepted is encoded to the same
// meaning again.
func FuzzMessageDecode(f *testing.F) {
	m := exampleMessage(f)
	whole, err := m.AppendBinary(nil)
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:messageHeaderSize+6])
	f.Add(append(slices.Clone(whole), 0, 9, 0, 1, 7))
	entries := exampleAppend()
	whole, err = entries.AppendBinary(nil)
	require.NoError(f, err)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		decoded := Message{Term: 99}
		if err := decoded.UnmarshalBinary(b); err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			require.Equal(t, Message{Term: 99}, decoded)
			return
		}
		again, err := decoded.AppendBinary(nil)
		require.NoError(t, err)
		var twice Message
		require.NoError(t, twice.UnmarshalBinary(again))
		require.True(t, sameMessage(decoded, twice))
	})
}

func FuzzHardStateDecode(f *testing.F) {
	s := HardState{Identity: Identity{"test", "A", testStore("A"), 1}, Term: 2, Vote: "B", LongestPromise: ms}
	s.Configuration = exampleMessage(f).Configuration
	b, err := s.AppendBinary(nil)
	require.NoError(f, err)
	f.Add(b)
	s.HasLog = true
	b, err = s.AppendBinary(nil)
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var decoded HardState
		if decoded.UnmarshalBinary(b) != nil {
			return
		}
		again, err := decoded.AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, b, again, "the encoding is canonical")
	})
}

func TestMessageDecodeRefuses(t *testing.T) {
	m := exampleMessage(t)
	good, err := m.AppendBinary(nil)
	require.NoError(t, err)
	extensions := messageHeaderSize + 3 + len("test"+"A"+"B")
	tests := []struct {
		name string
		bend func(b []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"cut in the header", func(b []byte) []byte { return b[:messageHeaderSize-1] }},
		{"cut in a name", func(b []byte) []byte { return b[:messageHeaderSize+2] }},
		{"cut in an extension", func(b []byte) []byte { return b[:len(b)-1] }},
		{"other version", func(b []byte) []byte { b[0] = 2; return b }},
		{"unknown flag", func(b []byte) []byte { b[2] |= 4; return b }},
		{"negative promise", func(b []byte) []byte { b[60] = 0x80; return b }},
		{"name of 65 bytes", func(b []byte) []byte { b[messageHeaderSize] = 65; return b }},
		{"configuration twice", func(b []byte) []byte { return append(b, b[extensions:]...) }},
		{"members out of order", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), "\x01A\x00\x00", "\x01Z\x00\x00", 1))
		}},
		{"too large", func(b []byte) []byte {
			b = binary.BigEndian.AppendUint16(b, 99)
			b = binary.BigEndian.AppendUint16(b, MaxMessageSize)
			return append(b, make([]byte, MaxMessageSize)...)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var decoded Message
			require.ErrorIs(t, decoded.UnmarshalBinary(tt.bend(slices.Clone(good))), ErrMalformed)
			require.Zero(t, decoded)
		})
	}

	// Extensions that this version does not know are skipped.
	var decoded Message
	require.NoError(t, decoded.UnmarshalBinary(append(slices.Clone(good), 0, 9, 0, 2, 'h', 'i')))
	require.True(t, sameMessage(m, decoded))
}

// TestFailedDecodeLeavesTheValueAlone: what is cut short or bent replaces nothing of
// a value that was there before.
func TestFailedDecodeLeavesTheValueAlone(t *testing.T) {
	m := exampleMessage(t)
	state := HardState{Identity: Identity{"test", "A", testStore("A"), 1}, Term: 2, Vote: "B", LongestPromise: ms}
	state.Configuration = m.Configuration
	for name, encode := range map[string]func([]byte) ([]byte, error){
		"message": m.AppendBinary, "state": state.AppendBinary, "configuration": m.Configuration.AppendBinary,
	} {
		good, err := encode(nil)
		require.NoError(t, err)
		bent := make([][]byte, 0, 2*len(good))
		for i := range good {
			flipped := slices.Clone(good)
			flipped[i] ^= 0x80
			bent = append(bent, good[:i], flipped)
		}
		for _, b := range bent {
			kept := Message{Term: 7}
			keptState, keptConfiguration := HardState{Term: 7, Vote: "kept"}, Configuration{Level: 7}
			switch name {
			case "message":
				err = kept.UnmarshalBinary(b)
			case "state":
				err = keptState.UnmarshalBinary(b)
			default:
				err = keptConfiguration.UnmarshalBinary(b)
			}
			if err == nil {
				continue // another value
			}
			require.ErrorIs(t, err, ErrMalformed)
			require.Equal(t, Message{Term: 7}, kept)
			require.Equal(t, HardState{Term: 7, Vote: "kept"}, keptState)
			require.Equal(t, Configuration{Level: 7}, keptConfiguration)
		}
	}
}

func TestMessageEncodeRefuses(t *testing.T) {
	for _, bend := range []func(m *Message){
		func(m *Message) { m.From = strings.Repeat("x", 65) },
		func(m *Message) { m.Promise = -1 },
		func(m *Message) { m.Configuration.Level = 0 },
	} {
		m := exampleMessage(t)
		bend(&m)
		b, err := m.AppendBinary([]byte("kept"))
		require.ErrorIs(t, err, ErrConfig)
		require.Equal(t, "kept", string(b))
	}
}

// The largest message there can be is within the limit.
func TestLargestMessageFits(t *testing.T) {
	long := strings.Repeat("x", MaxIDSize-2)
	var members []Member
	for i := range MaxMembers {
		members = append(members, Member{ID: long + string([]byte{'a' + byte(i/26), 'a' + byte(i%26)}), Voter: true})
	}
	c, err := NewConfiguration(members...)
	require.NoError(t, err)
	members[0].Data = strings.Repeat("d", MaxConfigurationSize-c.size())
	c, err = NewConfiguration(members...)
	require.NoError(t, err)
	require.Equal(t, MaxConfigurationSize, c.size())
	m := Message{
		Kind: VoteRequest, Cluster: long, From: members[0].ID, To: members[1].ID,
		ConfigurationID: c.ConfigurationID, Configuration: c,
	}
	b, err := m.AppendBinary(nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), MaxMessageSize)
	state, err := HardState{
		Identity: Identity{Cluster: long, Node: long}, Vote: long, Configuration: c,
	}.AppendBinary(nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(state), 3840)

	members[0].Data += "d"
	_, err = NewConfiguration(members...)
	require.ErrorIs(t, err, ErrConfig)
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	m := exampleMessage(t)
	b := make([]byte, 0, MaxMessageSize)
	require.Zero(t, testing.AllocsPerRun(100, func() { b, _ = m.AppendBinary(b[:0]) }))
}

func TestKindAndRoleNames(t *testing.T) {
	for k := PreVoteRequest; k <= lastMessageKind; k++ {
		require.NotContains(t, k.String(), "Kind")
	}
	require.Equal(t, "MessageKind(99)", MessageKind(99).String())
	for k := EntryStart; k <= lastEntryKind; k++ {
		require.NotContains(t, k.String(), "Kind")
	}
	require.Equal(t, "EntryKind(9)", EntryKind(9).String())
	for r := Follower; r <= Leader; r++ {
		require.NotContains(t, r.String(), "Role")
	}
	require.Equal(t, "Role(9)", Role(9).String())
	reasons := make(map[string]RefusalReason)
	for r := RefusedWiped; r <= lastReason; r++ {
		require.NotContains(t, r.String(), "Reason")
		reasons[r.String()] = r
	}
	require.Len(t, reasons, int(lastReason))
	require.Equal(t, "RefusalReason(9)", RefusalReason(9).String())
}
