package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// prior is a spec of a priority.
func prior(id string, n int64, priority int32) reservation.Spec {
	s := spec(id, n)
	s.Priority = priority
	return s
}

func (d *desk) states(ids ...string) []reservation.State {
	var states []reservation.State
	for _, id := range ids {
		states = append(states, d.state(id))
	}
	return states
}

func TestDisplacedSlotMovesIfItCan(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("low", 8, 0))
	require.NoError(t, d.SetNode(node("n2", 8)))
	bound := prior("high", 8, 1)
	bound.Node = "n1"
	d.reserve(bound)
	events := d.Sweep()
	require.Equal(t, reservation.SlotMoved, events[1].Kind)
	require.Equal(t, []string{"high"}, events[1].Because)
	low := d.lookup("low")
	require.Equal(t, reservation.Active, low.State())
	require.Equal(t, "n2", low.Slots[0].Node)
}

func TestDisplacesLowestThenNewestAndNoMoreThanNeeded(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("older", 2, 1))
	d.reserve(prior("newer", 2, 1))
	d.reserve(prior("lowest", 2, 0))
	d.reserve(prior("dear", 2, 2))
	d.reserve(prior("first", 2, 9))
	require.Equal(t, []reservation.State{reservation.Active, reservation.Active, reservation.Displaced, reservation.Active},
		d.states("older", "newer", "lowest", "dear"))
	d.reserve(prior("second", 2, 9))
	require.Equal(t, []reservation.State{reservation.Active, reservation.Displaced, reservation.Active},
		d.states("older", "newer", "dear"))
}

func TestDisplacesOneLargeInsteadOfManySmall(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("small", 1, 0))
	d.reserve(prior("large", 7, 1))
	d.reserve(prior("high", 7, 9))
	require.Equal(t, []reservation.State{reservation.Active, reservation.Displaced}, d.states("small", "large"))
}

func TestDisplacesWhereItHurtsLeast(t *testing.T) {
	d := newDesk(t, node("n2", 8), node("n3", 8))
	for i, id := range []string{"n1", "n2", "n3"} {
		s := prior("on "+id, 8, []int32{3, 1, 2}[i])
		s.Node = id
		d.reserve(s)
	}
	require.Equal(t, "n2", d.reserve(prior("high", 8, 9)).Slots[0].Node)
}

func TestDisplacesTheFewest(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	low := prior("low", 4, 0)
	low.Count = 3 // two on n1, one on n2
	d.reserve(low)
	require.Equal(t, "n2", d.reserve(prior("high", 8, 1)).Slots[0].Node)
}

func TestPastReservationsAreRemembered(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("low", 8, 0))
	d.reserve(prior("high", 8, 1))
	var wrong *reservation.StateError
	require.ErrorAs(t, d.claim("low", "i", 1), &wrong)
	require.Equal(t, reservation.Displaced, wrong.State)
	d.at(60)
	require.ErrorAs(t, d.claim("low", "i", 1), &wrong)
	require.Equal(t, reservation.Ended, wrong.State)
	require.ErrorIs(t, d.claim("never", "i", 1), reservation.ErrNotFound)
}

// TestTheLatest1024AreRemembered, by a book and by one that goes on from its snapshot.
func TestTheLatest1024AreRemembered(t *testing.T) {
	d := newDesk(t)
	for range 1025 {
		require.NoError(t, d.Release(d.reserve(spec("", 1)).Spec.ID, false))
	}
	snapshot := d.Snapshot()
	require.Len(t, snapshot.Past, 1024)
	restored, err := reservation.New(reservation.Config{Now: func() time.Time { return d.clock }, Snapshot: &snapshot})
	require.NoError(t, err)
	for _, book := range []*reservation.Book{d.Book, restored} {
		_, err := book.Reservation("reservation-1")
		require.ErrorIs(t, err, reservation.ErrNotFound)
		_, err = book.Reservation("reservation-2")
		require.ErrorIs(t, err, reservation.ErrState)
	}
}

func TestDisplacesOnlyWhatOverlaps(t *testing.T) {
	d := newDesk(t)
	before, after := d.during("before", 8, 0, 10), d.during("after", 8, 20, 30)
	d.reserve(before)
	d.reserve(after)
	high := d.during("high", 8, 10, 25)
	high.Priority = 1
	d.reserve(high)
	require.Equal(t, []reservation.State{reservation.Active, reservation.Displaced}, d.states("before", "after"))
}

func TestDisplacesPartOfACount(t *testing.T) {
	d := newDesk(t)
	low := prior("low", 4, 0)
	low.Count = 2
	d.reserve(low)
	require.NoError(t, d.claim("low", "i", 1))
	d.reserve(prior("high", 4, 1))
	r := d.lookup("low")
	require.Equal(t, reservation.Degraded, r.State())
	require.Equal(t, 1, r.Missing())
	require.Equal(t, placement.Amounts{Resources: cores(4), Instances: 1}, r.Owes())
	require.NoError(t, d.claim("low", "j", 3), "what is left can be claimed")
}

func TestRefusedDisplacementChangesNothing(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("low", 4, 0))
	d.reserve(prior("equal", 4, 5))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(prior("high", 8, 5))
		return err
	})
	d.unchanged(reservation.ErrRefused, func() error {
		several := prior("high", 4, 5)
		several.Count = 2
		_, err := d.Reserve(several)
		var refused *reservation.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, []int{1, 2}, []int{refused.Missing, refused.Count})
		require.Equal(t, d.second(60), refused.Earliest)
		return err
	})
}

func TestEarliestStartOfSeveralSlots(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	d.reserve(d.during("a", 8, 0, 10))
	d.reserve(d.during("b", 8, 0, 20))
	d.reserve(d.during("c", 4, 15, 40))
	several := d.during("r", 4, 0, 30)
	several.Count = 3
	var refused *reservation.RefusedError
	_, err := d.Reserve(several)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, d.second(20), refused.Earliest)
	several.Start, several.End = d.second(20), d.second(50)
	d.reserve(several)
}

func TestSmallerNodeLosesTheLeastImportantSlots(t *testing.T) {
	d := newDesk(t)
	d.reserve(prior("low", 2, 0))
	d.reserve(prior("high", 2, 1))
	d.reserve(prior("claimed", 2, 0))
	require.NoError(t, d.claim("claimed", "i", 1))
	require.NoError(t, d.SetNode(node("n1", 4)))
	require.Equal(t, []reservation.State{reservation.Displaced, reservation.Active, reservation.Active},
		d.states("low", "high", "claimed"))
	require.NoError(t, d.SetUsed("n1", placement.Amounts{Resources: cores(2), Instances: 1}))
	require.Equal(t, []reservation.State{reservation.Displaced, reservation.Active}, d.states("high", "claimed"),
		"instances stand fast")
}

func TestInstancesOnALostNodeComeBackWithIt(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 3))
	_, err := d.Place(lasting("s", 0, 10))
	require.NoError(t, err)
	require.NoError(t, d.RemoveNode("n1"))
	require.ErrorIs(t, d.claim("r", "j", 1), reservation.ErrState)
	require.NoError(t, d.SetNode(node("n1", 8)))
	require.Equal(t, int64(5), d.freeNow("n1"), "the instance is still there, its slot is not")
	d.Sweep()
	d.at(60)
	require.Contains(t, d.kinds(), reservation.Overstayed)
	require.NoError(t, d.Remove("i"))
	require.NoError(t, d.Remove("s"))
	require.Equal(t, int64(8), d.freeNow("n1"))
}

func TestResizeTheCount(t *testing.T) {
	d := newDesk(t)
	s := spec("r", 2)
	s.Count = 3
	d.reserve(s)
	require.NoError(t, d.claim("r", "i", 2))
	r, err := d.Resize("r", placement.Resources{}, 4)
	require.NoError(t, err)
	require.Len(t, r.Slots, 4)
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Resize("r", placement.Resources{}, 5)
		return err
	})
	r, err = d.Resize("r", placement.Resources{}, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"i"}, r.Instances())
	require.Equal(t, int64(6), d.freeNow("n1"))
	r, err = d.Resize("r", cores(8), 1)
	require.NoError(t, err)
	require.Equal(t, cores(8), r.Params.Shape)
	d.unchanged(reservation.ErrInvalid, func() error {
		_, err := d.Resize("r", placement.Resources{CPU: -1}, -1)
		return err
	})
}

func TestForcedRelease(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 3))
	d.unchanged(reservation.ErrInUse, func() error { return d.Release("r", false) })
	require.NoError(t, d.Release("r", true))
	require.Equal(t, reservation.Ended, d.state("r"))
	require.Equal(t, int64(5), d.freeNow("n1"))
	r := d.lookup("r")
	require.Equal(t, cores(3), r.Owes().Resources, "what still stands there is paid for")
	d.unchanged(reservation.ErrState, func() error { return d.Release("r", true) })
	require.NoError(t, d.Remove("i"))
	d.unchanged(reservation.ErrState, func() error { return d.Release("r", true) })
}
