package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestHistoryIsBoundedByBytes counts events with all that they point to: large
// ones push out more of the others, and a late watcher sees the same gap.
func TestHistoryIsBoundedByBytes(t *testing.T) {
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(Event) {}}})
	addNodes(t, s, testNode("n1", 8))
	large := func(i int) placement.Request {
		req := testRequest(fmt.Sprint("a", i), 1)
		value := fmt.Sprint(i, "-", strings.Repeat("x", 900))
		req.Labels = make(map[string]string)
		for k := range 40 {
			req.Labels[fmt.Sprint("label-", k)] = value
		}
		return req
	}
	for i := range 600 {
		place(t, s, large(i))
		require.NoError(t, s.Release(t.Context(), fmt.Sprint("a", i)))
		require.LessOrEqual(t, s.history.bytes, historyBytes)
	}
	kept := s.history.total - s.history.blocks[0].first
	require.Less(t, kept, uint64(2*(historyBytes/(2*40*900))+2))
	require.Greater(t, kept, uint64(historyBytes/(4*40*900)))
	for e := range s.Watch(t.Context(), 1) {
		require.Equal(t, s.Version()-kept+1, e.Seq)
		break
	}
	var one history
	one.record([]Event{{Seq: 1, Change: &Released{ID: strings.Repeat("x", 2*historyBytes)}}})
	require.Len(t, one.blocks, 1, "the latest is kept however large it is")
	one.record([]Event{{Seq: 2}})
	require.Equal(t, uint64(1), one.blocks[0].first)
	require.Zero(t, one.spare.events[:1][0], "what it pointed to is free")
}

// TestReleasedIDsAreBoundedByBytes: half as many are known that are twice as
// long as they may be on average.
func TestReleasedIDsAreBoundedByBytes(t *testing.T) {
	const limit = 8
	ids := releasedIDs{limit: limit}
	long := func(i int) string { return fmt.Sprint(i%10, strings.Repeat("x", 2*releasedBytes-1)) }
	for i := range 2 * limit {
		ids.add(fmt.Sprint(i))
	}
	require.Len(t, ids.order, limit)
	for i := range 2 * limit {
		ids.add(long(i))
	}
	require.Len(t, ids.order, limit/2)
	require.Equal(t, limit/2, ids.known.Len())
	require.True(t, ids.known.At(long(2*limit-1)))
	ids.add(strings.Repeat("y", (limit+1)*releasedBytes))
	require.Empty(t, ids.order)
	ids.add("short again")
	require.True(t, ids.known.At("short again"))
}

// TestSecondReleaseIsToldFromAWrongID while the ID is remembered.
func TestSecondReleaseIsToldFromAWrongID(t *testing.T) {
	s := newTestScheduler(t, Config{RememberReleased: 1})
	addNodes(t, s, testNode("n1", 8))
	for _, id := range []string{"a", "b"} {
		place(t, s, testRequest(id, 1))
		require.NoError(t, s.Release(t.Context(), id))
		var released *ReleasedError
		require.ErrorAs(t, s.Release(t.Context(), id), &released)
		require.Equal(t, id, released.ID)
		require.ErrorIs(t, released, ErrReleased)
	}
	require.ErrorIs(t, s.Release(t.Context(), "a"), ErrNotFound, "of another since")
	require.ErrorIs(t, s.Release(t.Context(), "wrong"), ErrNotFound)
}
