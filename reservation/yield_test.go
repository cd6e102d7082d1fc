package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// lasting is a request of an instance that lasts so many seconds; 0 is for
// ever.
func lasting(id string, n int64, seconds float64) placement.Request {
	req := request(id, n)
	req.Duration = time.Duration(seconds * float64(time.Second))
	return req
}

func yielding(id string, n int64) placement.Request {
	req := request(id, n)
	req.Yield = true
	return req
}

func TestBackfillEndsBeforeTheStart(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("launch", 8, 3600, 7200))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Place(request("for ever", 1))
		return err
	})
	var refused *reservation.RefusedError
	_, err := d.Place(lasting("too long", 1, 3600.001))
	require.ErrorAs(t, err, &refused)
	require.Equal(t, d.second(7200), refused.Earliest)
	require.Equal(t, []reservation.Holder{{ID: "launch", Window: reservation.Window{Start: d.second(3600), End: d.second(7200)}}}, refused.Holders)
	require.Equal(t, reservation.Window{Start: d.second(0), End: d.second(3600.001)}, refused.Window)

	stay, err := d.Place(lasting("just right", 8, 3600))
	require.NoError(t, err)
	require.Equal(t, "n1", stay.Node)
	again, err := d.Place(lasting("just right", 8, 3600))
	require.NoError(t, err)
	require.Equal(t, stay, again)
	_, err = d.Place(lasting("just right", 7, 3600))
	require.ErrorIs(t, err, reservation.ErrConflict)
}

func TestOverstayMovesTheSlotThatBegins(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	_, err := d.Place(lasting("batch", 8, 60))
	require.NoError(t, err)
	d.reserve(d.during("next", 8, 60, 120))
	d.reserve(d.during("elsewhere", 8, 0, 60)) // n2, until then
	d.Sweep()
	d.at(60)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{
		reservation.Over, reservation.Overstayed, reservation.Started, reservation.SlotMoved,
	}, kindsOf(events))
	require.Equal(t, []string{"batch"}, events[3].Because)
	require.Equal(t, "n2", events[3].Node)
	require.Zero(t, d.freeNow("n1"), "an overstay counts until it is gone")
	require.NoError(t, d.Remove("batch"))
	require.Equal(t, int64(8), d.freeNow("n1"))
}

func TestOverstayWithoutRoomElsewhereIsWaitedFor(t *testing.T) {
	d := newDesk(t)
	_, err := d.Place(lasting("batch", 8, 60))
	require.NoError(t, err)
	d.reserve(d.during("next", 8, 60, 120))
	d.at(60)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{
		reservation.Overstayed, reservation.Started, reservation.SlotWaiting,
	}, kindsOf(events))
	require.Equal(t, []string{"batch"}, events[2].Because)
	require.Equal(t, reservation.Degraded, d.state("next"))
	var short *reservation.ShortError
	require.ErrorAs(t, d.claim("next", "i", 1), &short)
	require.Equal(t, 1, short.Waiting)
	require.Equal(t, []string{"batch"}, short.Awaits)
	d.at(70)
	require.NoError(t, d.Remove("batch"))
	require.Equal(t, []reservation.EventKind{reservation.SlotRegained}, d.kinds())
	require.Equal(t, reservation.Active, d.state("next"))
	require.NoError(t, d.claim("next", "i", 8))
}

func TestOverstayedClaimTakesThePlaceOfTheNext(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("first", 8, 0, 60))
	require.NoError(t, d.claim("first", "i", 1))
	d.reserve(d.during("next", 8, 60, 120))
	d.Sweep()
	d.at(61)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{
		reservation.Over, reservation.Overstayed, reservation.Started, reservation.SlotWaiting,
	}, kindsOf(events))
	require.Equal(t, d.second(60), events[0].At, "told late, but as of when it was due")
	require.Equal(t, []string{"i"}, events[3].Because)
}

func TestYieldStandsOnFutureHolds(t *testing.T) {
	d := newDesk(t, node("n2", 1))
	launch := d.during("launch", 6, 60, 120)
	launch.Notice = 10 * time.Second
	d.reserve(launch)
	for _, id := range []string{"old", "new"} {
		_, err := d.Place(yielding(id, 4))
		require.NoError(t, err)
		d.at(1)
	}
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Place(yielding("one too many", 2))
		return err
	})
	d.Sweep()
	next, _ := d.NextDeadline()
	require.Equal(t, d.second(50), next)

	d.at(50)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.Noticed, reservation.YieldDue, reservation.YieldDue}, kindsOf(events))
	require.Equal(t, "new", events[1].Instance, "the newest leaves first")
	for _, e := range events {
		require.Equal(t, d.second(60), e.Due)
	}
	require.NoError(t, d.Remove("new"))
	require.NoError(t, d.Remove("old"))
	d.at(60)
	require.Equal(t, []reservation.EventKind{reservation.Started}, d.kinds())
	require.NoError(t, d.claim("launch", "i", 6))
}

func TestYieldTellsNoMoreThanNeeded(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("launch", 4, 60, 120))
	_, err := d.Place(yielding("old", 4))
	require.NoError(t, err)
	d.at(1)
	_, err = d.Place(yielding("new", 4))
	require.NoError(t, err)
	d.Sweep()
	d.at(60)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{
		reservation.Started, reservation.YieldDue, reservation.SlotWaiting,
	}, kindsOf(events))
	require.Equal(t, "new", events[1].Instance)
	require.Equal(t, []string{"new"}, events[2].Because)
}

// TestYieldTellsNobodyWhoTakesNothingOfWhatIsShort, be it the newest.
func TestYieldTellsNobodyWhoTakesNothingOfWhatIsShort(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("launch", 8, 60, 120))
	d.place(yielding("core", 1))
	d.at(1)
	memory := yielding("memory", 0)
	memory.Resources.Memory = placement.GiB
	d.place(memory)
	d.Sweep()
	d.at(60)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.Started, reservation.YieldDue, reservation.SlotWaiting}, kindsOf(events))
	require.Equal(t, "core", events[1].Instance)
}

func TestYieldIsToldAgainstTheNewStart(t *testing.T) {
	d := newDesk(t)
	launch := d.during("launch", 8, 60, 120)
	launch.Notice = 30 * time.Second
	d.reserve(launch)
	d.at(40)
	_, err := d.Update("launch", 0, reservation.Params{Start: d.second(100)})
	require.NoError(t, err)
	_, err = d.Place(yielding("y", 1))
	require.NoError(t, err)
	require.Equal(t, []reservation.EventKind{reservation.Noticed}, d.kinds(), "there is time again")
	d.at(70)
	require.Equal(t, []reservation.EventKind{reservation.Noticed, reservation.YieldDue}, d.kinds())
}

func TestYieldInsideTheNoticeIsToldAtOnce(t *testing.T) {
	d := newDesk(t)
	launch := d.during("launch", 8, 60, 120)
	launch.Notice = 30 * time.Second
	d.reserve(launch)
	d.at(40)
	d.Sweep()
	_, err := d.Place(yielding("late", 1))
	require.NoError(t, err)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.YieldDue}, kindsOf(events))
	require.Equal(t, d.second(60), events[0].Due, "when it begins, not as long after as the notice lasts")
}

func TestYieldGivesNoRoomToWhatBeginsNow(t *testing.T) {
	d := newDesk(t)
	_, err := d.Place(yielding("y", 4))
	require.NoError(t, err)
	var refused *reservation.RefusedError
	_, err = d.Reserve(spec("now", 8))
	require.ErrorAs(t, err, &refused)
	require.Equal(t, d.zero.Add(1), refused.Earliest, "it can be told to leave for anything later")
	d.reserve(d.during("later", 8, 0.001, 10))
}

func TestClaimPastItsDurationIsOverstayed(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	_, c, err := d.Claim("r", lasting("i", 4, 10))
	require.NoError(t, err)
	require.Equal(t, d.second(10), c.Until)
	d.Sweep()
	d.at(10)
	require.Equal(t, []reservation.EventKind{reservation.Overstayed}, d.kinds())
	d.at(60)
	require.Equal(t, []reservation.EventKind{reservation.Over}, d.kinds(), "it is told once")
	require.Equal(t, int64(4), d.freeNow("n1"))
}

func TestKeepLeavesInstancesAlone(t *testing.T) {
	d := newDesk(t)
	keep := spec("r", 8)
	keep.AtEnd = reservation.Keep
	d.reserve(keep)
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(d.during("next", 4, 60, 120)) // it may be there for ever
		return err
	})
	require.NoError(t, d.claim("r", "i", 4))
	d.Sweep()
	d.at(60)
	require.Equal(t, []reservation.EventKind{reservation.Over}, d.kinds())
	require.Equal(t, int64(4), d.freeNow("n1"), "what was not claimed is free")
	d.reserve(d.during("next", 4, 60, 120))
	require.NoError(t, d.Remove("i"))
	require.Equal(t, int64(4), d.freeNow("n1"))
}

func kindsOf(events []reservation.Event) []reservation.EventKind {
	var kinds []reservation.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// TestYieldOfTheLowestPriorityFirst: then the newest.
func TestYieldOfTheLowestPriorityFirst(t *testing.T) {
	d := newDesk(t)
	for _, y := range []struct {
		id       string
		priority int32
	}{{"old", 5}, {"cheap", 1}, {"dear", 100}, {"new", 5}} {
		req := yielding(y.id, 2)
		req.Priority = y.priority
		_, err := d.Place(req)
		require.NoError(t, err)
		d.at(d.clock.Sub(d.zero).Seconds() + 1)
	}
	d.reserve(d.during("r", 6, 60, 120))
	d.Sweep()
	d.at(60)
	var told []string
	for _, e := range d.Sweep() {
		if e.Kind == reservation.YieldDue {
			told = append(told, e.Instance)
		}
	}
	require.Equal(t, []string{"cheap", "new", "old"}, told)
}
