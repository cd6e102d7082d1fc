package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestDurationOverstayed(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	for id, d := range map[string]time.Duration{"a": time.Minute, "b": time.Second, "c": time.Minute} {
		req := testRequest(id, 1)
		req.Duration = d
		place(t, s, req)
	}
	require.NoError(t, s.Release(t.Context(), "c"))
	c.advance(time.Hour)
	require.Equal(t, []string{"overstayed b", "overstayed a"}, due(t, s), "in order of time")
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, a.Overstayed)
}

func TestClockThatStepsBack(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	req := testRequest("a", 1)
	req.Duration = time.Minute
	place(t, s, req)
	c.advance(2 * time.Minute)
	require.Equal(t, []string{"overstayed a"}, due(t, s))
	c.advance(-time.Hour)
	require.Empty(t, due(t, s))
	req.ID = "b"
	place(t, s, req)
	b, err := s.Allocation(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, c.Now().Add(time.Hour), b.Placed, "state time never decreases")
	c.advance(2*time.Minute - 1)
	require.Empty(t, due(t, s))
	c.advance(1)
	require.Equal(t, []string{"overstayed b"}, due(t, s), "it goes at half pace until the clock has caught up")
}

// TestClockBehindTheJournal: the next leader's clock may be behind; state time
// goes on from the journal's.
func TestClockBehindTheJournal(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	s := open(t, Config{Journal: journal, Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	req := testRequest("a", 1)
	req.Duration = time.Minute
	place(t, s, req)
	placed := c.Now()
	c.advance(-time.Hour)
	s = open(t, Config{Journal: journal, Now: c.Now})
	require.Empty(t, due(t, s))
	c.advance(2 * time.Minute)
	require.Equal(t, []string{"overstayed a"}, due(t, s))
	req.ID = "b"
	place(t, s, req)
	b, err := s.Allocation(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, placed.Add(time.Minute), b.Placed)
}

// TestClockThatStartsAtZero: a clock may show the zero time, but what needs a
// later one to be counted is refused until it shows one from 1678 on.
func TestClockThatStartsAtZero(t *testing.T) {
	now := time.Time{}
	s := newTestScheduler(t, Config{Now: func() time.Time { return now }})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 1))
	kinds := collect(s, func() { require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("k"))) })
	require.Equal(t, []string{"node-updated", "eviction-due"}, kinds)

	req := testRequest("b", 1)
	req.Duration, req.Preferences = time.Minute, req.Preferences.Tolerate(placement.TolerateExists("k"))
	_, err := s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrInvalid)
	spec := holding("r", 1, 1)
	spec.Preferences, spec.AtEnd, spec.Notice = req.Preferences, reservation.Evict, time.Hour
	_, err = s.Reserve(t.Context(), spec)
	require.ErrorIs(t, err, reservation.ErrInvalid)

	start := time.Unix(0, 0).UTC()
	now = start
	place(t, s, req)
	reserve(t, s, spec)
	req.ID, req.Duration = "c", 0
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
	require.Empty(t, due(t, s))
	now = now.Add(time.Minute)
	require.Equal(t, []string{"overstayed b"}, due(t, s))
	next, ok := s.NextDeadline()
	require.True(t, ok)
	require.Equal(t, start.Add(time.Hour), next)
	now = next
	_, err = s.Sweep(t.Context())
	require.NoError(t, err)
	r, err := s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, reservation.Ended, r.State())
	now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) // where it was to begin with
	spec.ID = "later"
	require.Equal(t, now.Add(time.Hour), reserve(t, s, spec).Params.End)
}

func TestDurationThatCanNotBeCounted(t *testing.T) {
	now := time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newTestScheduler(t, Config{Now: func() time.Time { return now }})
	addNodes(t, s, testNode("n1", 4))
	req := testRequest("a", 1)
	place(t, s, req)
	before := snapshot(t, s)
	req.ID, req.Duration = "b", time.Hour
	_, err := s.Place(t.Context(), req)
	var invalid *placement.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "duration", invalid.Field)
	require.Equal(t, before, snapshot(t, s))
}

// TestClockBeyondAllRecords: an entry whose time no record can hold would close
// the scheduler; a clock that shows it for a moment does no harm.
func TestClockBeyondAllRecords(t *testing.T) {
	c := newClock()
	s := open(t, Config{Journal: new(MemoryJournal), Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	sane := c.Now()
	for _, mad := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0)} {
		c.now = mad
		var invalid *placement.InvalidError
		_, err := s.Place(t.Context(), testRequest("a", 1))
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "now", invalid.Field)
		_, err = s.Sweep(t.Context())
		require.ErrorAs(t, err, &invalid)
	}
	c.now = sane
	place(t, s, testRequest("a", 1))
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, sane, a.Placed)
}
