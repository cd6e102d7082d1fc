package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// burstingQuota lets a namespace use more than one core for so long.
func burstingQuota(burstFor time.Duration) quota.Spec {
	return quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: placement.Core, BurstPercent: 400, BurstFor: burstFor},
	}}
}

// sweep returns the changes that are due.
func sweep(t testHelper, s *Scheduler) []Event {
	t.Helper()
	events, err := s.Sweep(t.Context())
	require.NoError(t, err)
	return events
}

// TestBurstExpired: the end of a burst is a deadline and an event, told once for
// each burst at its own instant, by whatever call comes next, and by a replay.
func TestBurstExpired(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	var told []string
	cfg := Config{Now: c.Now, Journal: journal, Hooks: hookOn(func(e Event, b *BurstExpired) {
		require.Equal(t, b.BurstEnd, e.Time)
		told = append(told, b.Namespace+" "+string(b.Resource)+" "+e.Time.Format(time.TimeOnly))
	})}
	s := open(t, cfg)
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), burstingQuota(time.Minute))
	require.NoError(t, err)
	place(t, s, testRequest("a", 1))
	_, ok := s.NextDeadline()
	require.False(t, ok, "at Soft nothing ends")
	place(t, s, testRequest("b", 1))
	next, ok := s.NextDeadline()
	require.True(t, ok)
	require.Equal(t, c.Now().Add(time.Minute), next)

	seq := s.Version()
	c.advance(time.Minute - 1)
	require.Empty(t, sweep(t, s))
	require.Equal(t, seq, s.Version(), "nothing was due, so there is no entry")
	c.advance(time.Hour)
	_, err = s.Place(t.Context(), testRequest("c", 1))
	require.ErrorIs(t, err, quota.ErrExceeded)
	require.Equal(t, []string{"ns cpu 03:05:05"}, told, "at its own instant, though the call came later")
	require.Equal(t, seq+1, s.Version())
	require.Empty(t, sweep(t, s))
	require.Equal(t, seq+1, s.Version(), "it is told once")
	_, ok = s.NextDeadline()
	require.False(t, ok)

	require.NoError(t, s.Release(t.Context(), "b"))
	place(t, s, testRequest("b", 1)) // the next burst
	c.advance(time.Minute)
	require.Len(t, sweep(t, s), 1)
	require.NoError(t, s.Checkpoint(t.Context()))
	live := snapshot(t, s)
	told = nil
	require.Equal(t, live, snapshot(t, open(t, Config{Now: c.Now, Journal: journal})))

	restored := open(t, Config{Now: c.Now, Journal: journal})
	require.Empty(t, sweep(t, restored), "what the snapshot saw expire is not told again")
	_, err = restored.UpdateQuota(t.Context(), burstingQuota(2*time.Minute))
	require.NoError(t, err)
	next, ok = restored.NextDeadline()
	require.True(t, ok, "a burst with more time goes on")
	require.Equal(t, c.Now().Add(time.Minute), next)
	kinds := collect(restored, func() {
		_, err = restored.UpdateQuota(t.Context(), burstingQuota(time.Second))
		require.NoError(t, err)
	})
	require.Equal(t, []string{"quota-updated", "quota-over", "burst-expired"}, kinds, "with less it ends at once, in the same entry")
}

// TestBurstExpiresInOrder: at one instant reservations come first, since what
// they free may bring usage back to Soft; then bursts, then evictions.
func TestBurstExpiresInOrder(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), burstingQuota(time.Minute))
	require.NoError(t, err)
	spec := holding("r", 1, 1)
	spec.Namespace, spec.Duration = "ns", time.Minute
	reserve(t, s, spec)
	place(t, s, testRequest("a", 1))
	c.advance(time.Minute)
	for _, e := range sweep(t, s) {
		require.NotEqual(t, kindBurstExpired, e.Change.changeKind(), "the end of the reservation has ended it")
	}

	req := testRequest("b", 1)
	req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("k").AtMost(60))
	place(t, s, req)
	require.NoError(t, s.Release(t.Context(), "a"))
	req.ID, req.Duration = "c", time.Minute
	place(t, s, req)
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("k")))
	c.advance(time.Minute)
	var kinds []changeKind
	for _, e := range sweep(t, s) {
		kinds = append(kinds, e.Change.changeKind())
	}
	require.Equal(t, []changeKind{kindOverstayed, kindBurstExpired, kindEvictionDue, kindEvictionDue}, kinds)
}
