package raft

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goldenMessages are messages of each kind.
func goldenMessages(t *testing.T) []Message {
	t.Helper()
	request := exampleMessage(t)
	request.Configuration.Members = request.Configuration.Members[:1]
	request.Digest = request.Configuration.Digest()
	plain := Message{
		Cluster: "test", From: "A", To: "B", StoreID: testStore("A"), Incarnation: 2, Boot: 3, Term: 4,
		Sequence: 5, Level: 1, ConfigurationID: request.ConfigurationID, Digest: request.Digest,
	}
	var messages []Message
	for kind := PreVoteRequest; kind <= lastMessageKind; kind++ {
		m := plain
		switch kind {
		case PreVoteRequest, VoteRequest:
			m = request
		case Heartbeat:
			m.Promise = 150 * ms
		case PreVoteAnswer, VoteAnswer:
			m.Asker, m.Granted = 8, true
		case HeartbeatAnswer:
			m.Asker, m.Granted, m.Abstains = 8, true, true
		case Refusal:
			m.Asker, m.Reason = 8, RefusedTwin
		case Append:
			m.Promise, m.Previous, m.Commit = 150*ms, Position{3, 6}, 5
			m.Entries = []Entry{{7, 4, EntryStart, nil}, {8, 4, EntryCommand, []byte("data")}}
		case AppendAnswer:
			m.Asker, m.Granted, m.Match, m.Conflict = 8, true, 5, Position{2, 6}
		case InstallSnapshot:
			m.Promise, m.Snapshot, m.Offset, m.Chunk = 150*ms, Snapshot{Position{3, 6}, 8, 9, 10}, 4, []byte("data")
		case SnapshotAnswer:
			m.Asker, m.Granted, m.Snapshot, m.Offset = 8, true, Snapshot{Position{3, 6}, 8, 9, 10}, 4
		default:
		}
		m.Kind = kind
		messages = append(messages, m)
	}
	return messages
}

// What members of other versions send and understand is fixed, byte for byte.
func TestGoldenFrames(t *testing.T) {
	const path = "testdata/frames.txt"
	var b strings.Builder
	for _, m := range goldenMessages(t) {
		frame, err := m.AppendBinary(nil)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%v %s\n", m.Kind, hex.EncodeToString(frame))
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}
