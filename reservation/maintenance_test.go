package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// maintenance closes n1 for a minute from so many seconds on, with ten seconds'
// notice.
func (d *desk) maintenance(id string, from float64) reservation.Spec {
	return reservation.Spec{
		ID: id, Node: "n1", Maintenance: true, Start: d.second(from), Duration: time.Minute, Notice: 10 * time.Second,
	}
}

// TestNothingNewStandsOnANodeUnderMaintenance: until notice is given the node takes
// what does not say that it will be there for longer.
func TestNothingNewStandsOnANodeUnderMaintenance(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.maintenance("repair", 60))
	d.place(request("endless", 1))
	d.place(lasting("short", 1, 60))
	var refused *reservation.RefusedError
	_, err := d.Place(lasting("too long", 1, 61))
	require.ErrorAs(t, err, &refused)
	require.Equal(t, d.second(120), refused.Earliest)
	require.Equal(t, "repair", refused.Holders[1].ID)
	require.ErrorContains(t, err, "closed for maintenance")
	_, err = d.Reserve(d.during("r", 1, 30, 61))
	require.ErrorAs(t, err, &refused)
	require.Equal(t, d.second(120), refused.Earliest)
	d.reserve(d.during("before", 1, 30, 60))
	d.reserve(d.during("after", 1, 120, 180))

	d.at(50)
	for _, req := range []placement.Request{request("late", 1), yielding("yields", 1), lasting("long", 1, 11)} {
		_, err = d.Place(req)
		require.ErrorIs(t, err, reservation.ErrRefused, req.ID)
	}
	d.place(lasting("brief", 1, 10))
	d.at(119)
	_, err = d.Place(lasting("at the last moment", 1, 1))
	require.ErrorIs(t, err, reservation.ErrRefused)
	d.at(120)
	d.place(request("late", 1))
}

// TestWhatRunsIsAskedToLeaveBeforeMaintenance: also what has no end, and stands in
// slots. What has an end is told again if it has not left by then.
func TestWhatRunsIsAskedToLeaveBeforeMaintenance(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("r", 2, 0, 300))
	require.NoError(t, d.claim("r", "claims", 2))
	d.place(yielding("yields", 1))
	d.place(lasting("lasts", 1, 300-240))
	d.reserve(d.maintenance("repair", 60))
	d.Sweep()
	d.at(50)
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{
		reservation.Closing, reservation.YieldDue, reservation.YieldDue, reservation.YieldDue,
	}, kindsOf(events))
	require.Equal(t, "n1", events[0].Node)
	for i, id := range []string{"claims", "lasts", "yields"} {
		require.Equal(t, id, events[i+1].Instance)
		require.Equal(t, "repair", events[i+1].Reservation)
		require.Equal(t, d.second(60), events[i+1].Due)
	}

	d = newDesk(t)
	d.place(yielding("yields", 1))
	sudden := d.maintenance("repair", 0)
	sudden.Notice = 0
	d.reserve(sudden)
	require.Equal(t, []reservation.EventKind{reservation.Closing, reservation.YieldDue, reservation.Started}, d.kinds())
}

// TestMaintenanceAsksWhoStandsOnItsNode, not those of the same reservation elsewhere,
// and gives nobody more time who was asked before.
func TestMaintenanceAsksWhoStandsOnItsNode(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	two := d.during("r", 5, 0, 300)
	two.Count = 2
	d.reserve(two)
	for _, id := range []string{"on n1", "on n2"} {
		require.NoError(t, d.claim("r", id, 5))
	}
	lent := lending("lent", 3)
	lent.Node = "n1"
	d.reserve(lent)
	d.place(yielding("y", 3))
	require.ErrorIs(t, d.claim("lent", "web", 3), reservation.ErrWaiting)
	d.reserve(d.maintenance("repair", 20))
	d.Sweep()
	d.at(10)
	var asked []string
	for _, e := range d.Sweep() {
		if e.Kind == reservation.YieldDue {
			asked = append(asked, e.Instance)
		}
	}
	require.Equal(t, []string{"on n1", "y"}, asked)
	require.Equal(t, d.second(10), d.short("lent", "web", 3).Due, "as it was told by the claim")
}

// TestSlotMovesOnceForAllWindowsOfMaintenance.
func TestSlotMovesOnceForAllWindowsOfMaintenance(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	kept := d.during("kept", 8, 30, 60)
	kept.AtEnd = reservation.Keep
	d.reserve(kept)
	s := d.maintenance("evening", 3600)
	s.Repeat = reservation.Repeat{Every: reservation.Daily, Until: d.zero.AddDate(0, 0, 3)}
	d.reserve(s)
	require.Equal(t, []reservation.EventKind{reservation.SlotMoved}, d.kinds())
	r := d.lookup("kept")
	require.Equal(t, "n2", r.Slots[0].Node)
}

// TestSlotsMoveAwayFromMaintenance whatever their priority, and stay owed where there
// is no room: until it begins on their node, afterwards as lost.
func TestSlotsMoveAwayFromMaintenance(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	important := d.during("important", 8, 30, 90)
	important.Priority = 100
	d.reserve(important)
	d.reserve(d.during("long", 8, 90, 300))
	d.reserve(d.during("clear", 8, 300, 400))
	d.Sweep()
	d.reserve(d.maintenance("repair", 60))
	events := d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.SlotMoved, reservation.SlotMoved}, kindsOf(events))
	require.Equal(t, []string{"repair"}, events[0].Because)
	r := d.lookup("important")
	require.Equal(t, "n2", r.Slots[0].Node)
	r = d.lookup("long")
	require.Equal(t, "n2", r.Slots[0].Node)
	r = d.lookup("clear")
	require.Equal(t, "n1", r.Slots[0].Node, "it does not overlap")

	d = newDesk(t)
	d.reserve(d.during("important", 8, 30, 300))
	d.reserve(d.maintenance("repair", 60))
	require.NoError(t, d.SetNode(node("n1", 8)))
	d.at(59)
	require.Equal(t, reservation.Active, d.state("important"), "it stays as long as it can")
	d.Sweep()
	d.at(60)
	events = d.Sweep()
	require.Equal(t, []reservation.EventKind{reservation.Started, reservation.SlotLost, reservation.AllLost}, kindsOf(events))
	require.Equal(t, []string{"repair"}, events[1].Because)
	require.Equal(t, reservation.Displaced, d.state("important"))
	d.at(120)
	require.Equal(t, []reservation.EventKind{reservation.Over, reservation.SlotRegained}, d.kinds())
	require.Equal(t, reservation.Active, d.state("important"))
}

// TestSlotInUseLeavesMaintenanceWithItsInstance.
func TestSlotInUseLeavesMaintenanceWithItsInstance(t *testing.T) {
	d := newDesk(t, node("n2", 4))
	d.reserve(d.during("r", 4, 0, 300))
	require.NoError(t, d.claim("r", "i", 2))
	d.reserve(d.maintenance("repair", 60))
	d.at(50)
	var short *reservation.ShortError
	require.ErrorAs(t, d.claim("r", "j", 2), &short)
	require.Equal(t, 1, short.Closed)
	brief := lasting("brief", 2, 10)
	_, _, err := d.Claim("r", brief)
	require.NoError(t, err)
	require.NoError(t, d.Remove("brief"))
	d.at(60)
	r := d.lookup("r")
	require.Equal(t, "n1", r.Slots[0].Node)
	require.NoError(t, d.Remove("i"))
	r = d.lookup("r")
	require.Equal(t, "n2", r.Slots[0].Node)
}

func TestMaintenanceIsNobodys(t *testing.T) {
	d := newDesk(t)
	for day := range 2 { // Two on one node do not mind each other.
		s := d.maintenance([]string{"a", "b"}[day], 0)
		s.Priority = -1
		r := d.reserve(s)
		require.Equal(t, reservation.Active, r.State())
		require.True(t, r.Owes().IsZero())
	}
	d.unchanged(reservation.ErrNotOwner, func() error { return d.claim("a", "i", 1) })
	r := spec("r", 1)
	r.Priority = 9
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Reserve(r); return err })
	d.unchanged(reservation.ErrInvalid, func() error { _, err := d.Resize("a", cores(1), 0); return err })
	d.unchanged(reservation.ErrInvalid, func() error { _, err := d.Resize("a", placement.Resources{}, 1); return err })
	require.NoError(t, d.Release("a", false))
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Place(request("i", 1)); return err })
	_, err := d.Extend("b", d.second(30))
	require.NoError(t, err)
	d.at(30)
	d.place(request("i", 1))

	valid := d.maintenance("c", 100)
	for _, spoil := range []func(*reservation.Spec){
		func(s *reservation.Spec) { s.Node = "" },
		func(s *reservation.Spec) { s.Node = "unknown" },
		func(s *reservation.Spec) { s.Shape = cores(1) },
		func(s *reservation.Spec) { s.Count = 1 },
		func(s *reservation.Spec) { s.Owners = []string{"team"} },
		func(s *reservation.Spec) { s.Once = true },
		func(s *reservation.Spec) { s.Lend = true },
		func(s *reservation.Spec) { s.AtEnd = reservation.Keep },
		func(s *reservation.Spec) { s.Preferences = placement.Use(placement.BinPack).TolerateExists("t") },
	} {
		s := valid
		spoil(&s)
		d.unchanged(reservation.ErrInvalid, func() error { _, err := d.Reserve(s); return err })
	}
}

// TestExtendedMaintenanceClosesForLonger, and a reservation does not grow into it.
func TestExtendedMaintenanceClosesForLonger(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.maintenance("repair", 60))
	d.reserve(d.during("after", 8, 125, 300))
	d.reserve(d.during("before", 8, 0, 50))
	_, err := d.Extend("before", d.second(61))
	require.ErrorIs(t, err, reservation.ErrRefused)
	_, err = d.Extend("before", d.second(60))
	require.NoError(t, err)
	d.at(70)
	_, err = d.Extend("repair", d.second(130))
	require.NoError(t, err)
	require.Equal(t, reservation.Displaced, d.state("after"))
	d.at(130)
	require.Equal(t, reservation.Active, d.state("after"))
}

func TestMaintenanceRepeatsEveryWeek(t *testing.T) {
	d := newDesk(t)
	s := d.maintenance("evening", 3600)
	s.Duration, s.Notice = 2*time.Hour, time.Hour
	s.Repeat = reservation.Repeat{Every: reservation.Weekly, Until: d.zero.AddDate(0, 0, 20)}
	d.reserve(s)
	for week := range 3 {
		d.clock = d.zero.AddDate(0, 0, 7*week).Add(3 * time.Hour)
		require.Contains(t, d.kinds(), reservation.Closing)
		d.place(request([]string{"a", "b", "c"}[week], 1))
		d.clock = d.clock.Add(7*24*time.Hour - time.Hour)
		_, err := d.Place(request("late", 1))
		require.Equal(t, week < 2, err != nil)
	}
}

// TestAskedOnNamesEachMaintenanceNearby, but none that the instance leaves before.
func TestAskedOnNamesEachMaintenanceNearby(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	for i, id := range []string{"b", "a", "far"} {
		h.carry(h.plan.Reserve(h, reservation.Spec{
			ID: id, Node: "n1", Maintenance: true, Namespace: "ops", Start: h.second(60 * (i + 1)), Duration: time.Hour, Notice: 130 * time.Second,
		}))
	}
	h.plan.Advance(h.second(30))
	about := func(node string, leaves time.Time) []string {
		var of []string
		for _, e := range h.plan.AskedOn(node, "i", leaves) {
			of = append(of, e.Reservation)
			r, _ := h.plan.Reservation(e.Reservation)
			require.Equal(t, reservation.Event{
				Kind: reservation.YieldDue, At: h.plan.Now(), Reservation: e.Reservation, Namespace: "ops", Instance: "i", Node: "n1",
				Due: r.Params.Start,
			}, e)
		}
		return of
	}
	require.Equal(t, []string{"a", "b"}, about("n1", time.Time{}))
	require.Equal(t, []string{"a", "b"}, about("n1", h.second(29)), "it should have gone")
	require.Equal(t, []string{"a", "b"}, about("n1", h.second(121)))
	require.Equal(t, []string{"b"}, about("n1", h.second(120)))
	require.Empty(t, about("n1", h.second(60)))
	require.Empty(t, about("n2", time.Time{}))
	h.plan.Advance(h.second(90))
	require.Equal(t, h.second(90), h.plan.AskedOn("n1", "i", time.Time{})[1].Due, "b is under way")
}
