package scheduler

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReplaceIsAsAppended: who follows a journal is woken, and gets what is new; what
// cannot be the contents of a journal changes nothing.
func TestReplaceIsAsAppended(t *testing.T) {
	t.Parallel()
	var j MemoryJournal
	require.NoError(t, j.Acquire(t.Context(), 1))
	require.NoError(t, j.Append(t.Context(), 1, []Record{{Seq: 1, Kind: RecordEntry}}))
	ctx, cancel := context.WithTimeout(t.Context(), memoryIdle/2) // so that it did not look by itself
	defer cancel()
	var kinds []RecordKind
	for r, err := range j.Follow(ctx, 1) {
		require.NoError(t, err)
		kinds = append(kinds, r.Kind)
		switch len(kinds) {
		case 1:
			bad := MemoryContents{Token: 9, Records: []Record{{Seq: 4, Part: 3, Kind: RecordSnapshot}}}
			require.Error(t, j.Replace(bad))
			require.Equal(t, uint64(1), j.Contents().Token)
			require.NoError(t, j.Replace(MemoryContents{Token: 3, Records: []Record{
				{Seq: 5, Kind: RecordSnapshot}, {Seq: 6, Kind: RecordEntry}, {Seq: 6, Kind: RecordSnapshotPart},
			}}))
			continue
		case 4:
			cancel()
		default:
			continue
		}
		break
	}
	require.Equal(t, []RecordKind{RecordCurrent, RecordSnapshot, RecordEntry, RecordCurrent}, kinds)
	require.Len(t, j.Contents().Records, 3)
	require.NoError(t, j.Append(t.Context(), 3, []Record{{Seq: 6, Part: 1, Kind: RecordSnapshot}}))
}
