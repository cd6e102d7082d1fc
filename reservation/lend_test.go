package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// lending is a single slot of so many cores for a minute, starting now, that is
// lent while nobody claims it, and claimed back with ten seconds' notice.
func lending(id string, n int64) reservation.Spec {
	s := spec(id, n)
	s.Lend, s.Notice = true, 10*time.Second
	return s
}

func (d *desk) place(req placement.Request) {
	d.t.Helper()
	_, err := d.Place(req)
	require.NoError(d.t, err)
}

// refused runs a call that must be refused, and returns what it says of slots.
func (d *desk) short(from, id string, n int64) *reservation.ShortError {
	d.t.Helper()
	var short *reservation.ShortError
	require.ErrorAs(d.t, d.claim(from, id, n), &short)
	return short
}

func TestYieldStandsInASlotThatIsLent(t *testing.T) {
	d := newDesk(t, node("n2", 2))
	d.reserve(lending("lent", 8))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Place(request("firm", 3))
		return err
	})
	d.place(yielding("y", 5))
	d.place(yielding("z", 3))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Place(yielding("one too many", 3))
		return err
	})
	require.Equal(t, reservation.Active, d.state("lent"))

	d = newDesk(t)
	d.reserve(spec("kept", 8))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Place(yielding("y", 1))
		return err
	})
}

func TestClaimOfALentSlotWaitsForWhoYields(t *testing.T) {
	d := newDesk(t)
	d.reserve(lending("lent", 8))
	d.place(yielding("y", 5))
	d.Sweep()
	d.at(20)
	for range 2 { // The same claim is the same answer.
		short := d.short("lent", "i", 8)
		require.ErrorIs(t, short, reservation.ErrWaiting)
		require.Equal(t, 1, short.Waiting)
		require.Equal(t, []string{"y"}, short.Awaits)
		require.Equal(t, d.second(30), short.Due)
		d.clock = d.clock.Add(time.Second)
	}
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.YieldDue, reservation.SlotWaiting}, kindsOf(events))
	require.Equal(t, "y", events[0].Instance)
	require.Equal(t, d.second(30), events[0].Due)
	require.Equal(t, []string{"y"}, events[1].Because)
	require.Equal(t, reservation.Degraded, d.state("lent"))

	require.NoError(t, d.Remove("y"))
	require.Equal(t, []reservation.EventKind{reservation.SlotRegained}, d.kinds())
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Place(yielding("late", 1))
		return err
	})
	other := d.short("lent", "j", 1)
	require.Equal(t, 1, other.Kept, "the slot is kept for i")
	require.NotErrorIs(t, other, reservation.ErrWaiting)
	require.NoError(t, d.claim("lent", "i", 7))
	require.NoError(t, d.claim("lent", "j", 1), "what i has left")

	require.NoError(t, d.Unclaim("i"))
	d.unchanged(reservation.ErrRefused, func() error { // It is not idle yet.
		_, err := d.Place(yielding("late", 1))
		return err
	})
	require.NoError(t, d.Unclaim("j"))
	d.place(yielding("late", 8))
}

func TestClaimBesideWhoYieldsIsGrantedAtOnce(t *testing.T) {
	d := newDesk(t)
	d.reserve(lending("lent", 8))
	low, high := yielding("low", 3), yielding("high", 2)
	high.Priority = 1
	d.place(low)
	d.place(high)
	d.Sweep()
	require.NoError(t, d.claim("lent", "i", 3))
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.YieldDue, reservation.YieldDue}, kindsOf(events),
		"both stand in the slot, which is not idle any more")
	require.Equal(t, reservation.Active, d.state("lent"))

	short := d.short("lent", "j", 5)
	require.Equal(t, []string{"high", "low"}, short.Awaits)
	require.ErrorIs(t, short, reservation.ErrWaiting)
	require.NoError(t, d.Remove("low"))
	require.NoError(t, d.claim("lent", "k", 3))
	require.Empty(t, d.kinds())
	require.NoError(t, d.Remove("high"))
	require.NoError(t, d.claim("lent", "j", 2))
}

// TestClaimBesideWhoYieldsSparesWhatOthersHold: who claims what was lent waits for
// whoever stands there, and not who holds what was never lent.
func TestClaimBesideWhoYieldsSparesWhatOthersHold(t *testing.T) {
	d := newDesk(t)
	d.reserve(lending("lent", 6))
	d.place(yielding("y", 3))
	d.reserve(spec("firm", 2))
	d.Sweep()
	short := d.short("lent", "i", 4)
	require.ErrorIs(t, short, reservation.ErrWaiting)
	require.Equal(t, []string{"y"}, short.Awaits)
	require.NoError(t, d.claim("firm", "j", 2))
	require.NoError(t, d.Remove("y"))
	require.NoError(t, d.claim("lent", "i", 4))
}

func TestNoMoreThanNeedBeAreAskedForAClaim(t *testing.T) {
	d := newDesk(t, node("n1", 16))
	s := lending("lent", 8)
	s.Shape.Memory = 8 * placement.GiB
	d.reserve(s)
	cache := yielding("cache", 0) // of memory there is enough
	cache.Resources.Memory = 8 * placement.GiB
	d.place(cache)
	low, high := yielding("low", 8), yielding("high", 8)
	high.Priority = 1
	d.place(low)
	d.place(high)
	require.Equal(t, []string{"low"}, d.short("lent", "i", 8).Awaits)
}

func TestLentSlotBeginsOverWhoYields(t *testing.T) {
	d := newDesk(t)
	later := lending("lent", 8)
	later.Start = d.second(30)
	d.reserve(later)
	d.place(yielding("y", 5))
	d.at(40)
	require.Equal(t, []reservation.EventKind{reservation.Noticed, reservation.Started}, d.kinds())
	require.Equal(t, reservation.Active, d.state("lent"))
	now := lending("now", 2)
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Reserve(now); return err })

	d = newDesk(t)
	d.place(yielding("y", 5))
	d.reserve(lending("lent", 8)) // now, over y
	require.Equal(t, []string{"y"}, d.short("lent", "i", 4).Awaits)
}

func TestUnclaimGivesUpAClaimThatWaits(t *testing.T) {
	d := newDesk(t)
	d.reserve(lending("lent", 8))
	d.place(yielding("y", 5))
	_ = d.short("lent", "i", 8)
	require.NoError(t, d.Unclaim("i"))
	require.Equal(t, reservation.Active, d.state("lent"))
	d.place(yielding("z", 3))
	d.unchanged(reservation.ErrNotFound, func() error { return d.Unclaim("i") })
	require.NoError(t, d.claim("lent", "small", 0))
}

func TestClaimThatWaitsIsOfOneReservation(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	for _, id := range []string{"a", "b"} {
		d.reserve(lending(id, 8))
		d.place(yielding("in "+id, 8))
	}
	_ = d.short("a", "i", 8)
	d.unchanged(reservation.ErrConflict, func() error { return d.claim("b", "i", 8) })
	require.NoError(t, d.Unclaim("i"))
	_ = d.short("b", "i", 8)
}

// TestClaimThatWaitsTakesAnotherSlot: as soon as one is free, and keeps none then.
func TestClaimThatWaitsTakesAnotherSlot(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	s := lending("lent", 8)
	s.Count = 2
	d.reserve(s)
	d.place(yielding("y", 8))
	require.NoError(t, d.claim("lent", "j", 8))
	_ = d.short("lent", "i", 8)
	require.NoError(t, d.Unclaim("j"))
	require.NoError(t, d.claim("lent", "i", 8))
	require.NoError(t, d.Remove("y"))
	require.NoError(t, d.claim("lent", "k", 8), "nothing is kept for i any more")
}

// TestLentSlotMovesRatherThanAskAnybodyToLeave: where another node has room for all of
// it, and the claim may stand there.
func TestLentSlotMovesRatherThanAskAnybodyToLeave(t *testing.T) {
	d := newDesk(t, node("n2", 8), node("n3", 8))
	d.reserve(lending("lent", 8))
	d.place(yielding("y", 8))
	d.place(request("firm", 1)) // on n2
	d.Sweep()
	move := request("i", 4)
	move.Resources.Memory = placement.GiB
	at, claim, err := d.Claim("lent", move)
	require.NoError(t, err)
	require.Equal(t, "n3", at)
	require.Equal(t, placement.GiB, int(claim.Excess.Resources.Memory))
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.SlotMoved}, kindsOf(events))
	require.Equal(t, []string{"y"}, events[0].Because)
	r := d.lookup("lent")
	require.Equal(t, "n3", r.Slots[0].Node)
	require.NoError(t, d.claim("lent", "j", 4))
	at, _, err = d.Claim("lent", move)
	require.NoError(t, err)
	require.Equal(t, "n3", at)

	d = newDesk(t, node("n2", 8))
	d.reserve(lending("lent", 4))
	d.place(yielding("y", 8))
	huge := request("i", 4)
	huge.Resources.Memory = 33 * placement.GiB // no node has that
	before := d.Snapshot()
	_, _, err = d.Claim("lent", huge)
	require.ErrorIs(t, err, reservation.ErrRefused)
	require.Equal(t, before, d.Snapshot())
	picky := request("j", 4)
	picky.Preferences = picky.Preferences.Require(placement.Equal("zone", "a"))
	_, _, err = d.Claim("lent", picky)
	require.ErrorIs(t, err, reservation.ErrRefused)
	require.NotErrorIs(t, err, reservation.ErrWaiting)
}

// TestNobodyIsAskedToLeaveForAClaimThatOutstays: others hold the node after the
// reservation, so the instance would have no room there even if nobody else stood in
// the slot.
func TestNobodyIsAskedToLeaveForAClaimThatOutstays(t *testing.T) {
	d := newDesk(t)
	d.reserve(lending("lent", 8))
	d.reserve(d.during("next", 8, 60, 120))
	d.place(yielding("y", 8))
	d.unchanged(reservation.ErrRefused, func() error {
		_, _, err := d.Claim("lent", lasting("too long", 4, 61))
		require.NotErrorIs(t, err, reservation.ErrWaiting)
		return err
	})
	_, _, err := d.Claim("lent", lasting("as long", 4, 60))
	require.ErrorIs(t, err, reservation.ErrWaiting)
}

// Of several slots that could be had once others have left, the first in the order
// of filling is asked for, and nobody leaves for another.
func TestClaimAsksForTheFirstSlotOfThoseThatAreLent(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	s := lending("lent", 8)
	s.Count = 2
	d.reserve(s)
	d.place(yielding("first", 8))
	d.place(yielding("second", 8))
	require.ErrorIs(t, d.short("lent", "i", 8), reservation.ErrWaiting)
	lent, err := d.Reservation("lent")
	require.NoError(t, err)
	require.Equal(t, "i", lent.Slots[0].Recalled)
	require.Len(t, lent.Slots[0].Awaits, 1)
	require.Empty(t, lent.Slots[1].Recalled)
	require.Empty(t, lent.Slots[1].Awaits)
}

// TestClaimTakesTheSlotThatIsKeptForIt, though another is used more and has room: who
// yields has left for that one.
func TestClaimTakesTheSlotThatIsKeptForIt(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	s := lending("lent", 8)
	s.Count = 2
	d.reserve(s)
	d.place(yielding("y", 8))
	require.NoError(t, d.claim("lent", "j", 4))
	require.ErrorIs(t, d.short("lent", "i", 8), reservation.ErrWaiting)
	require.NoError(t, d.Remove("y"))
	require.NoError(t, d.claim("lent", "i", 4))
	for _, slot := range d.lookup("lent").Slots {
		require.Len(t, slot.Claims, 1)
		require.Empty(t, slot.Recalled)
	}
}

// TestClaimThatWaitsAsksForOneSlotOnly, however often it is repeated.
func TestClaimThatWaitsAsksForOneSlotOnly(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	two := lending("lent", 8)
	two.Count = 2
	d.reserve(two)
	for _, id := range []string{"y", "z"} {
		d.place(yielding(id, 8))
	}
	d.Sweep()
	for range 3 {
		require.ErrorIs(t, d.claim("lent", "web", 8), reservation.ErrWaiting)
	}
	require.Equal(t, []reservation.EventKind{reservation.YieldDue, reservation.SlotWaiting}, d.kinds())
}

// TestYieldSparesDevicesThatAreLent as long as it finds another.
func TestYieldSparesDevicesThatAreLent(t *testing.T) {
	gpus := node("gpus", 1)
	gpus.Devices.Count = 2
	d := newDesk(t, gpus)
	for i, id := range []string{"lent", "later"} {
		s := lending(id, 0)
		s.Shape = placement.Resources{GPU: placement.Device}
		s.Lend, s.Start, s.Duration = i == 0, d.second(float64(60*i)), 2*time.Minute
		d.reserve(s)
	}
	for i, id := range []string{"y", "z"} {
		req := yielding(id, 0)
		req.Resources = placement.Resources{GPU: placement.Device}
		stay, err := d.Place(req)
		require.NoError(t, err)
		require.Equal(t, []int{1 - i}, stay.Devices)
	}
}
