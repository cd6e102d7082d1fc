package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestLentSlotIsClaimedBack: an instance that yields stands in a slot that nobody
// has claimed, is asked to leave by the claim, and the same claim has the slot
// when it has gone; a replay ends in the same state.
func TestLentSlotIsClaimedBack(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	s := open(t, Config{Journal: journal, Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	lent := holding("lent", 8, 1)
	lent.Lend, lent.Notice = true, time.Minute
	reserve(t, s, lent)
	_, err := s.Place(t.Context(), onlyCPU("firm", 1))
	require.ErrorIs(t, err, ErrUnschedulable)
	batch := onlyCPU("batch", 8)
	batch.Yield = true
	require.Equal(t, "n1", place(t, s, batch).NodeID)
	late := onlyCPU("late", 1)
	late.Yield = true
	_, err = s.Place(t.Context(), late)
	require.ErrorIs(t, err, ErrUnschedulable)

	web := onlyCPU("web", 6)
	_, err = s.PlaceFromReservation(t.Context(), "lent", web)
	require.ErrorIs(t, err, reservation.ErrWaiting)
	var short *reservation.ShortError
	require.ErrorAs(t, err, &short)
	require.Equal(t, []string{"batch"}, short.Awaits)
	require.Equal(t, c.Now().Add(time.Minute), short.Due)
	asked := snapshot(t, s)
	_, again := s.PlaceFromReservation(t.Context(), "lent", web)
	require.Equal(t, err, again)
	require.Equal(t, asked, snapshot(t, s), "they are asked once")

	require.NoError(t, s.Release(t.Context(), "batch"))
	_, err = s.Place(t.Context(), late)
	require.ErrorIs(t, err, ErrUnschedulable, "the slot is kept")
	d, err := s.PlaceFromReservation(t.Context(), "lent", web)
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)

	again2 := open(t, Config{Journal: journal, Now: c.Now})
	require.Equal(t, snapshot(t, s), snapshot(t, again2))
}

func TestUnclaimGivesUpAClaimThatWaits(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 1))
	lent := holding("lent", 8, 1)
	lent.Lend = true
	reserve(t, s, lent)
	batch := onlyCPU("batch", 4)
	batch.Yield = true
	allocate(t, s, "n1", batch)
	_, err := s.PlaceFromReservation(t.Context(), "lent", onlyCPU("web", 8))
	require.ErrorIs(t, err, reservation.ErrWaiting)
	require.Equal(t, "n2", place(t, s, onlyCPU("web", 1)).NodeID, "it goes elsewhere meanwhile")
	require.NoError(t, s.Unclaim(t.Context(), "web"))
	require.ErrorIs(t, s.Unclaim(t.Context(), "web"), ErrConflict)
	batch.ID = "more"
	allocate(t, s, "n1", batch)
}

// TestYieldingInstanceGrowsIntoALentSlot: Resize asks what Place asks.
func TestYieldingInstanceGrowsIntoALentSlot(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, testNode("n1", 8))
	lent := holding("lent", 8, 1)
	lent.Lend = true
	reserve(t, s, lent)
	batch := onlyCPU("batch", 4)
	batch.Yield = true
	place(t, s, batch)
	_, err := s.Resize(t.Context(), "batch", onlyCPU("", 8).Resources)
	require.NoError(t, err)
	_, err = s.Resize(t.Context(), "batch", onlyCPU("", 9).Resources)
	require.ErrorIs(t, err, ErrUnschedulable)
}

// TestLentSlotMovesRatherThanAskAnybodyToLeave: the claim stands at once, and a
// refusal by quota moves nothing.
func TestLentSlotMovesRatherThanAskAnybodyToLeave(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	cfg := Config{Journal: journal, Now: c.Now}
	s := open(t, cfg)
	addNodes(t, s, testNode("n1", 8), testNode("n2", 16))
	createQuota(t, s, cpuQuota("ns", 12))
	lent := holding("lent", 8, 1)
	lent.Lend = true
	reserve(t, s, lent)
	batch := onlyCPU("batch", 8)
	batch.Yield, batch.Namespace = true, "batch"
	allocate(t, s, "n1", batch)
	web := onlyCPU("web", 8)
	web.Duration = 2 * time.Hour
	reserve(t, s, hourly(c, "next", 5, time.Hour))
	before := snapshot(t, s)
	_, err := s.PlaceFromReservation(t.Context(), "lent", web)
	require.ErrorIs(t, err, quota.ErrExceeded)
	require.Equal(t, before, snapshot(t, s))

	web.Duration = 0
	d, err := s.PlaceFromReservation(t.Context(), "lent", web)
	require.NoError(t, err)
	require.Equal(t, "n2", d.NodeID)
	stay, _ := s.state.plan.Stay("batch")
	require.False(t, stay.Told)
	require.Equal(t, snapshot(t, s), snapshot(t, open(t, cfg)))
}

// TestYieldingInstanceSparesLentDevices: of two GPUs, neither of which is free for
// ever, it takes the one that nobody can claim yet.
func TestYieldingInstanceSparesLentDevices(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, gpuNode("n1", 2))
	for i, id := range []string{"lent", "later"} {
		spec := holding(id, 0, 1)
		spec.Shape = placement.Resources{GPU: placement.Device}
		spec.Lend, spec.Start = i == 0, c.Now().Add(time.Duration(i)*time.Hour)
		spec.Duration = 2 * time.Hour
		reserve(t, s, spec)
	}
	guest := placement.Request{ID: "guest", Yield: true, Resources: placement.Resources{GPU: placement.Device}}
	require.Equal(t, []int{1}, place(t, s, guest).Devices)
	guest.ID = "another"
	require.Equal(t, []int{0}, place(t, s, guest).Devices)
}
