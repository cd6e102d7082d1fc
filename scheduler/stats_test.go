package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestHistogramCountsEachValueOnce: under the least bound that it does not pass.
func TestHistogramCountsEachValueOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Histogram
		value := rapid.Int64().Draw(t, "value")
		if rapid.Bool().Draw(t, "near a bound") {
			value = h.Bound(rapid.IntRange(0, histogramBounds-1).Draw(t, "i")) + rapid.Int64Range(-1, 1).Draw(t, "by")
		}
		h.add(value)
		require.Equal(t, uint64(1), h.Total())
		require.Equal(t, max(0, value), h.Sum)
		for i := range histogramBounds {
			above := i == 0 || value > h.Bound(i-1)
			require.Equal(t, above && value <= h.Bound(i), h.Counts[i] == 1, "%d", i)
		}
	})
}

func TestDecisionsAreCountedByWhatBecameOfThem(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	tainted := testNode("n2", 1)
	tainted.Taints = []placement.Taint{{Key: "k", Effect: placement.NoSchedule}}
	place := func(req placement.Request) { _, _ = s.Place(ctx, req) }
	place(testRequest("none", 1)) // there is no node
	addNodes(t, s, testNode("n1", 8), tainted)
	place(testRequest("a", 1))
	place(testRequest("a", 1))
	place(testRequest("a", 2))  // a conflict
	place(testRequest("b", 64)) // one node lacks CPU, one has a taint: the first in filter order
	_, err := s.CreateQuota(ctx, quota.Spec{Namespace: "poor", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {}}})
	require.NoError(t, err)
	poor := testRequest("c", 1)
	poor.Namespace = "poor"
	place(poor)
	poor.Resources.CPU = 64 * placement.Core // refused by both
	place(poor)
	place(placement.Request{})                      // invalid: not counted
	_, _ = s.Schedule(ctx, testRequest("looks", 1)) // changes nothing: not counted
	_, err = s.PlaceAll(ctx, testRequest("d", 1), testRequest("a", 1), testRequest("e", 64))
	require.NoError(t, err)
	allocate(t, s, "n1", testRequest("f", 1))
	_, err = s.PlaceFromReservation(ctx, "unknown", testRequest("g", 1))
	require.ErrorIs(t, err, ErrNotFound)
	reserve(t, s, reservation.Spec{ID: "r", Namespace: "ns", Shape: placement.Resources{CPU: 1000}, Count: 1, Duration: time.Hour})
	_, err = s.PlaceFromReservation(ctx, "r", testRequest("h", 1))
	require.NoError(t, err)
	_, err = s.Move(ctx, "f", "n1") // where it is
	require.NoError(t, err)

	got := s.Stats().Decisions
	require.Equal(t, uint64(1), got.Time.Total(), "the first of 16")
	got.Time = Histogram{}
	require.Equal(t, DecisionStats{
		Placed: 4, Existing: 3, Unschedulable: 4, QuotaExceeded: 1, Refused: 2,
		Reasons: map[placement.ReasonKind]uint64{placement.ReasonTaint: 3},
	}, got)

	f, err := s.Fork(ctx)
	require.NoError(t, err)
	_, err = f.Place(ctx, testRequest("tried", 1))
	require.NoError(t, err)
	require.Equal(t, uint64(4), s.Stats().Decisions.Placed, "what is tried on a fork is not counted")
}

func TestOneDecisionInSixteenIsTimed(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for range 33 {
		_, _ = s.Place(t.Context(), testRequest("a", 1))
	}
	require.Equal(t, uint64(3), s.Stats().Decisions.Time.Total())
}

func TestJournalStatsCountWhatIsDurable(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.PlaceAll(t.Context(), testRequest("a", 1), testRequest("b", 1))
	require.NoError(t, err)
	place(t, s, testRequest("c", 1))
	bytes := uint64(0)
	for _, r := range records(t, journal) {
		bytes += uint64(len(r.Data))
	}
	got := s.Stats().Journal
	require.Equal(t, uint64(3), got.Time.Total())
	require.Equal(t, []uint64{3, 3, bytes}, []uint64{got.Appends, got.Entries, got.Bytes})
	require.Equal(t, Histogram{Counts: [histogramBounds + 1]uint64{3}, Sum: 3}, got.Batch)

	require.NoError(t, s.Checkpoint(t.Context()))
	require.Equal(t, []uint64{1, 0}, []uint64{s.Stats().Checkpoint.Written, s.Stats().Checkpoint.Failures})
	require.Equal(t, got, s.Stats().Journal, "a checkpoint is no entry")
	again := open(t, Config{Journal: journal})
	require.Zero(t, again.Stats().Journal, "what was read is not counted")
	require.ErrorIs(t, s.Checkpoint(t.Context()), ErrFenced)
	require.Equal(t, uint64(1), s.Stats().Checkpoint.Failures)
}

func TestStatsCountEvictions(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	req := testRequest("a", 1)
	tolerated := placement.TolerateExists("k").AtMost(60)
	req.Preferences = req.Preferences.Tolerate(tolerated)
	place(t, s, req)
	counts := func() []int { return []int{s.Stats().Evictions, s.Stats().Leaving} }
	require.Equal(t, []int{0, 0}, counts())
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("k")))
	require.Equal(t, []int{1, 0}, counts())
	c.advance(time.Minute)
	due(t, s)
	require.Equal(t, []int{0, 1}, counts())
	require.NoError(t, s.Release(t.Context(), "a"))
	require.Equal(t, []int{0, 0}, counts())
}
