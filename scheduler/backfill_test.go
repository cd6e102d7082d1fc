package scheduler

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestBackfill(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("launch", 8, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	job := onlyCPU("job", 8)
	_, err := s.Place(t.Context(), job)
	require.ErrorIs(t, err, ErrUnschedulable, "no promise to leave")
	job.Duration = time.Hour + 1
	_, err = s.Place(t.Context(), job)
	require.ErrorIs(t, err, ErrUnschedulable, "too long")
	job.Duration = time.Hour
	place(t, s, job)
	_, err = s.Place(t.Context(), onlyCPU("other", 1))
	require.ErrorIs(t, err, ErrUnschedulable)
	require.NoError(t, s.Release(t.Context(), "job"))
	c.advance(time.Hour)
	_, err = s.PlaceFromReservation(t.Context(), "launch", onlyCPU("web", 8))
	require.NoError(t, err)
}

func TestOverstayMovesTheSlot(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	require.NoError(t, s.Cordon(t.Context(), "n2"))
	spec := holding("launch", 8, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	job := onlyCPU("job", 8)
	job.Duration = time.Hour
	require.Equal(t, "n1", place(t, s, job).NodeID)
	require.NoError(t, s.Uncordon(t.Context(), "n2"))
	c.advance(time.Hour)
	require.Contains(t, due(t, s), "overstayed job")
	r, err := s.Reservation(t.Context(), "launch")
	require.NoError(t, err)
	require.Equal(t, "n2", r.Slots[0].Node)
	require.Equal(t, int64(0), availableCores(t, s, "n1"), "it counts until it is released")
}

func TestYieldingInstanceIsToldToLeave(t *testing.T) {
	c := newClock()
	var told []reservation.EventKind
	s := newTestScheduler(t, Config{Now: c.Now, Hooks: hookOn(func(_ Event, e *ReservationEvent) { told = append(told, e.Kind) })})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("launch", 8, 1)
	spec.Start, spec.Notice = c.Now().Add(time.Hour), 10*time.Minute
	reserve(t, s, spec)
	batch := onlyCPU("batch", 8)
	batch.Yield = true
	place(t, s, batch)
	c.advance(50 * time.Minute)
	require.Empty(t, due(t, s))
	require.Equal(t, []reservation.EventKind{reservation.Noticed, reservation.YieldDue}, told)
	c.advance(10 * time.Minute)
	require.Empty(t, due(t, s))
	r, err := s.Reservation(t.Context(), "launch")
	require.NoError(t, err)
	require.Equal(t, reservation.Degraded, r.State(), "it remained, and there is no other node")
	require.Equal(t, []string{"batch"}, r.Slots[0].Awaits)
	require.NoError(t, s.Release(t.Context(), "batch"))
	r, err = s.Reservation(t.Context(), "launch")
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State(), "it has cost the time that it lasted")
}

// TestYieldingInstanceCountsBesideWhatHasBegun: where there is room for both,
// a yielding instance stays when a reservation begins, and from then on the
// two take room at the same time.
func TestYieldingInstanceCountsBesideWhatHasBegun(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	batch := onlyCPU("batch", 4)
	batch.Yield = true
	place(t, s, batch)
	spec := holding("launch", 4, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	require.Equal(t, int64(4), availableCores(t, s, "n1"), "one after the other")
	c.advance(time.Hour)
	require.Equal(t, int64(0), availableCores(t, s, "n1"), "one beside the other")
	_, err := s.Place(t.Context(), onlyCPU("more", 4))
	require.ErrorIs(t, err, ErrUnschedulable)
	c.advance(time.Hour)
	require.Equal(t, int64(4), availableCores(t, s, "n1"))
}

func TestExplainKnowsOfBackfill(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	for _, yields := range []bool{false, true} {
		req := onlyCPU("a", 4)
		req.Yield = yields
		if !yields {
			req.Duration = time.Minute
		}
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, 1, e.Fit)
		require.Len(t, e.Candidates, 1)
		v, err := s.ExplainNode(t.Context(), req, "n1")
		require.NoError(t, err)
		require.True(t, v.Fits)
		d, err := s.Schedule(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, d.Score, v.Score)
	}
}

func TestYieldingInstanceIsToldOnce(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Start, spec.Notice = c.Now().Add(time.Hour), time.Minute
	reserve(t, s, spec)
	req := onlyCPU("a", 4)
	req.Yield = true
	place(t, s, req)
	c.advance(59 * time.Minute)
	require.Contains(t, collect(s, func() { _, _ = s.Sweep(t.Context()) }), "reservation")
	kinds := collect(s, func() {
		_, err := s.Resize(t.Context(), "a", placement.Resources{CPU: 3 * placement.Core})
		require.NoError(t, err)
	})
	require.NotContains(t, kinds, "reservation")
}

func TestLongestDuration(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 4, 1)
	spec.Start = time.Now().Add(time.Hour)
	reserve(t, s, spec)
	req := onlyCPU("a", 4)
	req.Duration = math.MaxInt64
	place(t, s, req)
	req.ID = "b"
	_, err := s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrUnschedulable)
	err = s.WriteSnapshot(t.Context(), io.Discard)
	require.NoError(t, err)
}

func TestBackfillAndYieldOnDevices(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	n := testNode("n1", 8)
	n.Devices.Count = 2
	addNodes(t, s, n)
	spec := holding("r", 1, 2)
	spec.Shape.GPU = placement.Device
	spec.Start, spec.Notice = c.Now().Add(time.Hour), time.Minute
	reserve(t, s, spec)

	req := onlyCPU("for ever", 1)
	req.Resources.GPU = 500
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"1 has gpu held by reservations"}, refusals(t, err))
	req.ID, req.Duration = "too long", 2*time.Hour
	_, err = s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrUnschedulable)
	req.ID, req.Duration = "brief", time.Hour
	require.Equal(t, []int{0}, place(t, s, req).Devices)
	req.ID, req.Duration, req.Yield = "yields", 0, true
	req.Resources.GPU = placement.Device
	require.Equal(t, []int{1}, place(t, s, req).Devices)
	req.ID = "no device is left"
	_, err = s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrUnschedulable)

	c.advance(59 * time.Minute)
	events, err := s.Sweep(t.Context())
	require.NoError(t, err)
	var told []string
	for _, e := range events {
		if r, ok := e.Change.(*ReservationEvent); ok && r.Kind == reservation.YieldDue {
			told = append(told, r.Instance)
		}
	}
	require.Equal(t, []string{"yields"}, told)
	require.NoError(t, s.Release(t.Context(), "yields"))
	require.NoError(t, s.Release(t.Context(), "brief"))
	c.advance(time.Minute)
	for i, id := range []string{"a", "b"} {
		claim := onlyCPU(id, 1)
		claim.Resources.GPU = placement.Device
		d, err := s.PlaceFromReservation(t.Context(), "r", claim)
		require.NoError(t, err)
		require.Equal(t, []int{i}, d.Devices)
	}
}

// TestBackfilledInstanceGrows: an instance that will be gone before a hold
// begins may grow into it, and one that stays may not.
func TestBackfilledInstanceGrows(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	n := testNode("n1", 8)
	n.Devices.Count = 2
	addNodes(t, s, n)
	spec := holding("launch", 8, 1)
	spec.Shape.GPU = 2 * placement.Device
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	tests := []struct {
		name     string
		duration time.Duration
		yield    bool
	}{
		{"until the hold", time.Hour, false},
		{"yields", 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := onlyCPU(test.name, 4)
			req.Duration, req.Yield = test.duration, test.yield
			place(t, s, req)
			d, err := s.Resize(t.Context(), req.ID, placement.Resources{CPU: 8 * placement.Core, GPU: 2 * placement.Device})
			require.NoError(t, err)
			require.Equal(t, []int{0, 1}, d.Devices)
			_, err = s.Resize(t.Context(), req.ID, placement.Resources{CPU: 9 * placement.Core})
			require.ErrorIs(t, err, ErrUnschedulable)
			require.NoError(t, s.Release(t.Context(), req.ID))
		})
	}

	req := onlyCPU("too long", 4)
	req.Duration = time.Hour
	place(t, s, req)
	c.advance(time.Hour)
	require.Contains(t, due(t, s), "overstayed too long")
	_, err := s.Resize(t.Context(), req.ID, placement.Resources{CPU: 8 * placement.Core})
	require.ErrorIs(t, err, ErrUnschedulable, "the reservation waits for it to leave")
}

// TestBackfillSpreadsAGroup: of nodes whose holds begin later, the one with
// fewer instances of the group comes first, however full it is.
func TestBackfillSpreadsAGroup(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	spec := holding("r", 8, 2)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	brief := func(id, group string, cores int64) placement.Request {
		req := onlyCPU(id, cores)
		req.Group, req.Duration, req.Preferences = group, time.Minute, placement.Use(placement.Spread)
		return req
	}
	allocate(t, s, "n1", brief("a", "g", 1))
	allocate(t, s, "n2", brief("b", "other", 3))
	require.Equal(t, "n2", place(t, s, brief("c", "g", 1)).NodeID)
}

// TestBackfillLooksAndChangesNothing: to decide on a place within a window
// touches no column of the index, so that what it remembers stays valid.
func TestBackfillLooksAndChangesNothing(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	n := testNode("n1", 8)
	n.MaxInstances = 2
	addNodes(t, s, n)
	spec := holding("launch", 4, 2)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	before := s.state.index.Version()
	job := onlyCPU("job", 1)
	_, err := s.Schedule(t.Context(), job)
	require.ErrorIs(t, err, ErrUnschedulable, "both instances are held")
	job.Duration = time.Minute
	_, err = s.Schedule(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, before, s.state.index.Version())
}

// TestAPlaceUntilAReservationComesIsJudgedByTheStrategy: of a place that is free for the
// request's Duration alone and one that is free for good, each strategy takes the better
// one in its own order. On x the soft rule holds; y is the fuller one by more than that
// is worth.
func TestAPlaceUntilAReservationComesIsJudgedByTheStrategy(t *testing.T) {
	for strategy, want := range map[placement.Strategy]string{
		placement.BinPack: "y", placement.Spread: "x", placement.Random: "x",
		placement.Affinity: "x", placement.LeastFragmentation: "x",
	} {
		t.Run(strategy.String(), func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			for _, id := range []string{"x", "y"} {
				n := testNode(id, 8)
				n.Labels = map[string]string{"host": id}
				addNodes(t, s, n)
			}
			spec := holding("r", 8, 1)
			spec.Node, spec.Start = "x", time.Now().Add(time.Hour)
			reserve(t, s, spec)
			allocate(t, s, "y", onlyCPU("filler", 4))
			req := onlyCPU("a", 1)
			req.Duration = time.Minute
			req.Preferences = placement.Use(strategy).Prefer(placement.Equal("host", "x"), 1)
			explained, err := s.Explain(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, want, explained.Candidates[0].NodeID)
			require.Equal(t, want, place(t, s, req).NodeID)
		})
	}
}
