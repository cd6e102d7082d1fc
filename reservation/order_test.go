package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// TestAnInstanceOfNothingIsUse: slots are filled one after the other, and one
// with an instance that asks for nothing is not untouched.
func TestAnInstanceOfNothingIsUse(t *testing.T) {
	labelled := node("n2", 8)
	labelled.Labels = map[string]string{"disk": "ssd"}
	d := newDesk(t, labelled)
	s := spec("r", 8)
	s.Count = 2
	d.reserve(s)
	nothing := request("nothing", 0)
	nothing.Preferences = nothing.Preferences.Require(placement.Equal("disk", "ssd"))
	on, _, err := d.Claim("r", nothing)
	require.NoError(t, err)
	require.Equal(t, "n2", on)
	on, _, err = d.Claim("r", request("i", 1))
	require.NoError(t, err)
	require.Equal(t, "n2", on)
}

// TestDisplacesByTheDearestVictim: of two on each node, the one that hurts most
// decides.
func TestDisplacesByTheDearestVictim(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	for _, s := range []struct {
		id, node string
		priority int32
	}{{"a", "n1", 1}, {"b", "n1", 3}, {"c", "n2", 2}, {"d", "n2", 2}} {
		low := prior(s.id, 4, s.priority)
		low.Node = s.node
		d.reserve(low)
	}
	require.Equal(t, "n2", d.reserve(prior("high", 8, 9)).Slots[0].Node)
}

// TestYieldIsToldWhenAReservationGrowsAfterItsNotice: what fitted beside it then
// does not any more.
func TestYieldIsToldWhenAReservationGrowsAfterItsNotice(t *testing.T) {
	d := newDesk(t)
	launch := d.during("launch", 6, 60, 120)
	launch.Notice = 30 * time.Second
	d.reserve(launch)
	_, err := d.Place(yielding("y", 2))
	require.NoError(t, err)
	d.at(40)
	require.Equal(t, []reservation.EventKind{reservation.Noticed}, d.kinds(), "there is room for both")
	_, err = d.Resize("launch", cores(8), 0)
	require.NoError(t, err)
	require.Equal(t, []reservation.EventKind{reservation.YieldDue}, d.kinds())
}

// TestRestoreDoubtsNothingAnew: what was reviewed before the snapshot is not
// reviewed again after it.
func TestRestoreDoubtsNothingAnew(t *testing.T) {
	h := newHost(t, node("n1", 8))
	now := h.plan.Now()
	launch := spec("launch", 6)
	launch.Start, launch.Notice = now.Add(time.Minute), time.Hour
	changes, err := h.plan.Reserve(h, launch)
	require.NoError(t, err)
	h.plan.Apply(changes...)
	changes, err = h.plan.Admit(h, yielding("y", 2))
	require.NoError(t, err)
	h.plan.Apply(changes...)
	require.True(t, h.plan.Unsettled())
	require.True(t, reservation.Restore(h.plan.Snapshot()).Unsettled())
	h.plan.Apply(h.plan.ResolveConflicts(h)...)
	require.False(t, h.plan.Unsettled())
	require.False(t, reservation.Restore(h.plan.Snapshot()).Unsettled())
}

// TestAWaitingSlotIsNotInTheWay of one beside it that fits as long as the
// other one has to wait, however often that is reviewed.
func TestAWaitingSlotIsNotInTheWay(t *testing.T) {
	d := newDesk(t)
	require.NoError(t, d.SetNode(node("n1", 16)))
	_, err := d.Place(yielding("x", 10))
	require.NoError(t, err)
	for _, s := range []struct {
		id       string
		cores    int64
		priority int32
	}{{"large", 8, 100}, {"small", 2, 0}} {
		launch := d.during(s.id, s.cores, 60, 120)
		launch.Priority = s.priority
		d.reserve(launch)
	}
	d.at(60)
	want := []reservation.State{reservation.Degraded, reservation.Active}
	require.Equal(t, want, d.states("large", "small"))
	require.NoError(t, d.SetNode(node("n1", 16)))
	require.Equal(t, want, d.states("large", "small"))
	require.NoError(t, d.claim("small", "i", 2))
	require.NoError(t, d.Remove("x"))
	require.Equal(t, []reservation.State{reservation.Active, reservation.Active}, d.states("large", "small"))
	require.NoError(t, d.claim("large", "j", 8))
}

// TestAWaitingSlotKeepsItsPlace: what has to fit beside it once that has gone
// which it waits for does not take its place.
func TestAWaitingSlotKeepsItsPlace(t *testing.T) {
	d := newDesk(t)
	_, err := d.Place(yielding("x", 4))
	require.NoError(t, err)
	launch := d.during("launch", 8, 60, 120)
	launch.Priority = 1
	d.reserve(launch)
	d.reserve(d.during("later", 4, 120, 180))
	d.at(60)
	require.Equal(t, reservation.Degraded, d.state("launch"))
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Reserve(spec("now", 4)); return err })
	r, err := d.Extend("launch", d.second(110))
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, r.Slots[0].Awaits, "it goes on waiting")
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Extend("launch", d.second(121)); return err })
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Resize("launch", placement.Resources{}, 2); return err })
}

// TestOfDisplacedSlotsTheMostImportantChoosesFirst where to go.
func TestOfDisplacedSlotsTheMostImportantChoosesFirst(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("less", 4, 1))
	d.reserve(prior("more", 4, 2))
	require.NoError(t, d.SetNode(node("n2", 4)))
	high := prior("high", 8, 9)
	high.Node = "n1"
	d.reserve(high)
	require.Equal(t, []reservation.State{reservation.Displaced, reservation.Active}, d.states("less", "more"))
}

// TestNewSlotsKeepTheRulesAmongOldOnes.
func TestNewSlotsKeepTheRulesAmongOldOnes(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	s := spec("r", 2)
	s.Preferences = s.Preferences.Across(placement.AtMostPer("", 1))
	d.reserve(s)
	r, err := d.Resize("r", placement.Resources{}, 2)
	require.NoError(t, err)
	require.Equal(t, "n2", r.Slots[1].Node)
}

// TestWhatFallsDueAtOneInstantIsInTheOrderOfIDs.
func TestWhatFallsDueAtOneInstantIsInTheOrderOfIDs(t *testing.T) {
	d := newDesk(t)
	for _, id := range []string{"c", "a", "b"} {
		d.reserve(d.during(id, 1, 10, 20))
	}
	d.at(10)
	var started []string
	for _, e := range d.Sweep() {
		started = append(started, e.Reservation)
	}
	require.Equal(t, []string{"a", "b", "c"}, started)
}

// TestNewSlotsDoNotStandWhereAnotherWaits for an instance that is still there.
func TestNewSlotsDoNotStandWhereAnotherWaits(t *testing.T) {
	d := newDesk(t)
	require.NoError(t, d.SetNode(node("n1", 16)))
	_, err := d.Place(yielding("x", 10))
	require.NoError(t, err)
	d.reserve(d.during("r", 8, 60, 120))
	d.at(60)
	require.Equal(t, reservation.Degraded, d.state("r"))
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Resize("r", placement.Resources{}, 2); return err })
	require.NoError(t, d.Remove("x"))
	_, err = d.Resize("r", placement.Resources{}, 2)
	require.NoError(t, err)
}

// TestAFractionThatGrowsKeepsItsGPU, or is refused.
func TestAFractionThatGrowsKeepsItsGPU(t *testing.T) {
	d := newDesk(t, gpuNode("n2", 2))
	a, b := gpuSpec("a", 300), gpuSpec("b", 500)
	require.Equal(t, d.reserve(a).Slots[0].Devices, d.reserve(b).Slots[0].Devices)
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Resize("a", gpus(800), 0); return err })
	_, err := d.Resize("a", gpus(500), 0)
	require.NoError(t, err)
}

// TestASlotLeavesASmallNodeWithItsLastInstance: until then it stays.
func TestASlotLeavesASmallNodeWithItsLastInstance(t *testing.T) {
	for _, gone := range []func(*desk) error{
		func(d *desk) error { return d.Unclaim("i") },
		func(d *desk) error { return d.Remove("i") },
	} {
		d := newDesk(t, node("n2", 8))
		d.reserve(spec("r", 8))
		require.NoError(t, d.claim("r", "i", 1))
		require.NoError(t, d.SetNode(node("n1", 4)))
		r := d.lookup("r")
		require.Equal(t, "n1", r.Slots[0].Node)
		require.NoError(t, gone(d))
		r = d.lookup("r")
		require.Equal(t, "n2", r.Slots[0].Node)
	}
}

// TestAReservationIsNotInItsOwnWay: a refused update names the others.
func TestAReservationIsNotInItsOwnWay(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 4))
	d.reserve(spec("other", 4))
	_, err := d.Resize("r", cores(5), 0)
	var refused *reservation.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Holders, 1)
	require.Equal(t, "other", refused.Holders[0].ID)
}
