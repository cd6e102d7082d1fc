package reservation_test

import (
	"encoding/json"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones are the same on every machine

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// place is a time zone with the days on which its clocks change in 2026.
type place struct {
	name                  string
	forward, back         string        // dates
	skipped, shown, twice string        // a time of day that is skipped, what the clocks go on with, one shown twice
	by                    time.Duration // by how much
}

func places() []place {
	return []place{
		{"Europe/Berlin", "2026-03-29", "2026-10-25", "02:30", "03:00", "02:30", time.Hour},
		{"America/New_York", "2026-03-08", "2026-11-01", "02:30", "03:00", "01:30", time.Hour},
		{"Pacific/Auckland", "2026-09-27", "2026-04-05", "02:30", "03:00", "02:30", time.Hour},
		{"Australia/Lord_Howe", "2026-10-04", "2026-04-05", "02:15", "02:30", "01:45", 30 * time.Minute},
	}
}

func (p place) at(t *testing.T, date, clock string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(p.name)
	require.NoError(t, err)
	at, err := time.ParseInLocation("2006-01-02 15:04", date+" "+clock, loc)
	require.NoError(t, err)
	return at
}

// around returns a desk whose clock shows noon two days before a date, and a daily
// reservation that begins on the day before the date and has three windows.
func (p place) around(t *testing.T, date, start string) (*desk, reservation.Spec) {
	t.Helper()
	first := p.at(t, p.at(t, date, "12:00").AddDate(0, 0, -1).Format(time.DateOnly), start)
	d := newDeskAt(t, first.AddDate(0, 0, -1))
	s := spec("ci", 8)
	s.Start, s.Repeat = first, reservation.Repeat{Every: reservation.Daily, Until: first.AddDate(0, 0, 3), Location: p.name}
	return d, s
}

// windows returns those of a reservation that repeats.
func (d *desk) windows(series string) []reservation.Window {
	var all []reservation.Window
	for r := range d.Reservations() {
		if r.Series == series {
			all = append(all, reservation.Window{Start: r.Params.Start, End: r.Params.End})
		}
	}
	return all
}

// TestWindowsKeepTheTimeOfDay across both changes of the clocks, in four zones:
// with an End both ends of a window do, with a Duration its length.
func TestWindowsKeepTheTimeOfDay(t *testing.T) {
	for _, p := range places() {
		for _, change := range []struct {
			date string
			by   time.Duration
		}{{p.forward, -p.by}, {p.back, p.by}} {
			t.Run(p.name+" "+change.date, func(t *testing.T) {
				d, s := p.around(t, change.date, "00:00")
				s.End, s.Duration = s.Start.Add(12*time.Hour), 0
				d.reserve(s)
				all := d.windows("ci")
				require.Len(t, all, 3)
				for i, w := range all {
					day := p.at(t, change.date, "00:00").AddDate(0, 0, i-1)
					require.Equal(t, day.UTC(), w.Start)
					length := 12 * time.Hour
					if i == 1 {
						length += change.by
					}
					require.Equal(t, length, w.End.Sub(w.Start))
				}

				d, s = p.around(t, change.date, "00:00")
				s.Duration = 12 * time.Hour
				d.reserve(s)
				for i, w := range d.windows("ci") {
					require.Equal(t, all[i].Start, w.Start)
					require.Equal(t, 12*time.Hour, w.End.Sub(w.Start))
				}
			})
		}
	}
}

// TestTimeOfDayThatIsSkippedOrShownTwice: the first is the instant of the change,
// the second its first showing.
func TestTimeOfDayThatIsSkippedOrShownTwice(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			d, s := p.around(t, p.forward, p.skipped)
			s.Duration = time.Hour
			d.reserve(s)
			begins := p.at(t, p.forward, p.shown).UTC()
			require.Equal(t, begins, d.windows("ci")[1].Start)
			require.Equal(t, begins.Add(time.Hour), d.windows("ci")[1].End)

			d, s = p.around(t, p.forward, p.skipped)
			s.End, s.Duration = s.Start.Add(10*time.Minute), 0
			d.reserve(s)
			require.Len(t, d.windows("ci"), 2, "the one that is skipped as a whole does not take place")
			_, err := d.Reservation("ci@" + p.forward)
			require.ErrorIs(t, err, reservation.ErrNotFound)

			d, s = p.around(t, p.back, p.twice)
			s.Duration = time.Minute
			d.reserve(s)
			first := d.windows("ci")[1].Start
			again := first.Add(p.by).In(p.at(t, p.back, "00:00").Location())
			require.Equal(t, p.twice, again.Format("15:04"), "it is shown again later")
			require.Equal(t, p.twice, first.In(again.Location()).Format("15:04"))
		})
	}
}

// TestDayThatIsSkipped: Samoa went to the other side of the date line.
func TestDayThatIsSkipped(t *testing.T) {
	apia := place{name: "Pacific/Apia"}
	d, s := apia.around(t, "2011-12-31", "09:00")
	s.Start, s.Repeat.Until = apia.at(t, "2011-12-29", "09:00"), apia.at(t, "2012-01-01", "09:00")
	s.Duration = time.Hour
	d.reserve(s)
	all := d.windows("ci")
	require.Len(t, all, 2)
	require.Equal(t, 24*time.Hour, all[1].Start.Sub(all[0].Start))
	_, err := d.Reservation("ci@2011-12-31")
	require.NoError(t, err)
}

// TestWindowsThatMeetDoNotOverlap: a day that is shorter ends where the next begins.
func TestWindowsThatMeetDoNotOverlap(t *testing.T) {
	p := places()[0]
	d, s := p.around(t, p.forward, "12:00")
	s.Duration = 24 * time.Hour
	d.reserve(s)
	all := d.windows("ci")
	require.Equal(t, all[1].Start, all[0].End)
	require.Equal(t, 23*time.Hour, all[0].End.Sub(all[0].Start))
	require.Equal(t, 24*time.Hour, all[1].End.Sub(all[1].Start))
}

func TestWeeklyWindowsAreAWeekApart(t *testing.T) {
	p := places()[1]
	d, s := p.around(t, p.back, "18:00")
	s.Duration = 2 * time.Hour
	s.Repeat.Every, s.Repeat.Until = reservation.Weekly, s.Start.AddDate(0, 0, 15)
	d.reserve(s)
	all := d.windows("ci")
	require.Len(t, all, 3)
	require.Equal(t, 7*24*time.Hour+time.Hour, all[1].Start.Sub(all[0].Start), "over the change")
	require.Equal(t, 7*24*time.Hour, all[2].Start.Sub(all[1].Start))
}

// daily is one slot of so many cores for a minute, now and on the next two days.
func (d *desk) daily(id string, n int64) reservation.Spec {
	s := spec(id, n)
	s.Start, s.Repeat = d.clock, reservation.Repeat{Every: reservation.Daily, Until: d.clock.Add(60 * time.Hour)}
	return s
}

// TestWindowThatDoesNotFitIsToldByItsDate and changes nothing.
func TestWindowThatDoesNotFitIsToldByItsDate(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("other", 4, 24*3600+30, 24*3600+90))
	var refused *reservation.RefusedError
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(d.daily("ci", 8))
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, "on 2030-01-02")
		return err
	})
	require.Equal(t, "2030-01-02", refused.Date)
	require.Equal(t, "other", refused.Holders[0].ID)
	require.Zero(t, refused.Earliest)
	d.reserve(d.daily("ci", 4))
}

// TestEachWindowFindsItsOwnNode: no node is free on all days.
func TestEachWindowFindsItsOwnNode(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	d.reserve(d.during("today", 8, 0, 60))
	tomorrow := d.during("tomorrow", 8, 24*3600, 24*3600+60)
	tomorrow.Node = "n2"
	d.reserve(tomorrow)
	d.reserve(d.daily("ci", 8))
	first, second := d.lookup("ci@2030-01-01"), d.lookup("ci@2030-01-02")
	require.Equal(t, "n2", first.Slots[0].Node)
	require.Equal(t, "n1", second.Slots[0].Node)
}

// TestRepeatingReservationIsUsedUnderOneID from its first window to its last.
func TestRepeatingReservationIsUsedUnderOneID(t *testing.T) {
	d := newDesk(t)
	asked := d.daily("ci", 8)
	r := d.reserve(asked)
	require.Equal(t, "ci@2030-01-01", r.Spec.ID)
	require.Equal(t, "ci", r.Series)
	again := d.reserve(asked)
	require.Equal(t, r, again)
	other := asked
	other.Priority = 1
	d.unchanged(reservation.ErrConflict, func() error { _, err := d.Reserve(other); return err })
	d.unchanged(reservation.ErrConflict, func() error { _, err := d.Reserve(spec("ci", 1)); return err })
	for day := range 3 {
		d.at(float64(day) * 24 * 3600)
		events := d.Sweep()
		require.Equal(t, "ci", events[len(events)-1].Series)
		require.Equal(t, reservation.Started, events[len(events)-1].Kind)
		require.NoError(t, d.claim("ci", "i", 8))
		require.NoError(t, d.claim("ci", "i", 8), "the same claim")
		_, reservedAs, ok := d.claimOf("i")
		require.True(t, ok)
		require.Equal(t, events[len(events)-1].Reservation, reservedAs)
		require.NoError(t, d.Remove("i"))
		d.clock = d.clock.Add(time.Minute)
		if day < 2 {
			require.Equal(t, reservation.Pending, d.state("ci"), "the next window")
		}
	}
	var state *reservation.StateError
	require.ErrorAs(t, d.claim("ci", "i", 8), &state)
	require.Equal(t, reservation.Ended, state.State)
	d.reserve(d.daily("ci", 1)) // The ID is free again.
}

// TestALateClaimIsFoundInTheWindowBefore: the instance has outlived its window, and
// the ID of the reservation means the next one by then.
func TestALateClaimIsFoundInTheWindowBefore(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.daily("ci", 4))
	require.NoError(t, d.claim("ci", "i", 4))
	d.at(24 * 3600)
	before := d.Snapshot()
	require.NoError(t, d.claim("ci", "i", 4), "the same claim")
	require.Equal(t, before, d.Snapshot())
	_, window, _ := d.claimOf("i")
	require.Equal(t, "ci@2030-01-01", window)
	d.unchanged(reservation.ErrConflict, func() error { return d.claim("ci", "i", 3) })
}

func (d *desk) claimOf(instance string) (reservation.Claim, string, bool) {
	for r := range d.Reservations() {
		for c := range r.Claims() {
			if c.ID == instance {
				return c, r.Spec.ID, true
			}
		}
	}
	return reservation.Claim{}, "", false
}

func TestRepeatingReservationIsChangedAsOne(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.daily("ci", 4))
	d.reserve(d.during("other", 2, 24*3600, 24*3600+60))
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Resize("ci", cores(8), 0); return err })
	_, err := d.Resize("ci", cores(6), 0)
	require.NoError(t, err)
	for r := range d.Reservations() {
		if r.Series != "" {
			require.Equal(t, cores(6), r.Params.Shape)
		}
	}
	d.unchanged(placement.ErrInvalid, func() error { _, err := d.Extend("ci", d.second(90)); return err })
	_, err = d.Extend("ci@2030-01-03", d.second(48*3600+90))
	require.NoError(t, err)

	require.NoError(t, d.Release("ci@2030-01-02", false))
	require.Len(t, d.windows("ci"), 2, "one day off")
	require.NoError(t, d.claim("ci", "i", 1))
	d.unchanged(reservation.ErrInUse, func() error { return d.Release("ci", false) })
	require.NoError(t, d.Release("ci", true))
	require.Equal(t, reservation.Ended, d.state("ci"), "i is there yet")
	require.NoError(t, d.Remove("i"))
	d.unchanged(reservation.ErrState, func() error { return d.Release("ci", true) })
}

// TestWindowsGrowBesideInstancesOfTheWindowBefore: one that has said that it outlasts
// its window is in the way of the next.
func TestWindowsGrowBesideInstancesOfTheWindowBefore(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.daily("ci", 4))
	_, _, err := d.Claim("ci", lasting("i", 4, 24*3600+30))
	require.NoError(t, err)
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Resize("ci", cores(5), 0); return err })
	require.NoError(t, d.Remove("i"))
	_, err = d.Resize("ci", cores(5), 0)
	require.NoError(t, err)
}

func TestRepeatingReservationSurvivesASnapshot(t *testing.T) {
	d := newDesk(t)
	asked := d.daily("ci", 4)
	d.reserve(asked)
	text, err := json.Marshal(d.Snapshot())
	require.NoError(t, err)
	var snapshot reservation.Snapshot
	require.NoError(t, json.Unmarshal(text, &snapshot))
	d.Book, err = reservation.New(reservation.Config{Now: func() time.Time { return d.clock }, Snapshot: &snapshot})
	require.NoError(t, err)
	require.Equal(t, snapshot, d.Snapshot())
	require.Equal(t, "ci@2030-01-01", d.reserve(asked).Spec.ID)

	for _, damage := range []func(*reservation.Snapshot){
		func(s *reservation.Snapshot) { s.Series = nil },
		func(s *reservation.Snapshot) { s.Reservations = nil },
		func(s *reservation.Snapshot) { s.Series = append(s.Series, s.Series[0]) },
		func(s *reservation.Snapshot) { s.Series[0].ID = s.Reservations[0].Spec.ID },
		func(s *reservation.Snapshot) { s.Series[0].Count = 0 },
	} {
		damaged := snapshot
		damaged.Series = append([]reservation.Spec(nil), snapshot.Series...)
		damage(&damaged)
		_, err := reservation.New(reservation.Config{Snapshot: &damaged})
		require.ErrorIs(t, err, reservation.ErrInvalid)
	}
}

// TestWindowThatIsOnBeginsNow, and is the first.
func TestWindowThatIsOnBeginsNow(t *testing.T) {
	d := newDesk(t)
	s := d.daily("ci", 1)
	s.Start = d.clock.Add(-30 * time.Second)
	d.reserve(s)
	require.Equal(t, reservation.Window{Start: d.clock, End: d.clock.Add(30 * time.Second)}, d.windows("ci")[0])
}

// TestExplainIsAboutTheWindowThatFindsNoRoom.
func TestExplainIsAboutTheWindowThatFindsNoRoom(t *testing.T) {
	h := newHost(t, node("n1", 8))
	day := 24 * 60 * 60
	h.carry(h.plan.Reserve(h, h.later("busy", 8, day)))
	s := h.later("ci", 1, 0)
	s.Repeat = reservation.Repeat{Every: reservation.Daily, Until: h.second(2 * day)}
	rooms, err := h.plan.Explain(h, s)
	require.NoError(t, err)
	require.Zero(t, rooms[0].Slots)
	require.Equal(t, "busy", rooms[0].Holders[0].ID)
}

func TestInvalidRepeats(t *testing.T) {
	d := newDesk(t)
	valid := d.daily("ci", 1)
	for name, spoil := range map[string]func(*reservation.Spec){
		"period":      func(s *reservation.Spec) { s.Repeat.Every = "yearly" },
		"no end":      func(s *reservation.Spec) { s.Repeat.Until = time.Time{} },
		"nothing":     func(s *reservation.Spec) { s.Repeat.Until = d.clock },
		"place":       func(s *reservation.Spec) { s.Repeat.Location = "Europe/Atlantis" },
		"this place":  func(s *reservation.Spec) { s.Repeat.Location = "Local" },
		"kept":        func(s *reservation.Spec) { s.AtEnd = reservation.Keep },
		"too long":    func(s *reservation.Spec) { s.Duration = 24*time.Hour + 1 },
		"with grace":  func(s *reservation.Spec) { s.AtEnd, s.Grace, s.Duration = reservation.Evict, 1, 24*time.Hour },
		"end too far": func(s *reservation.Spec) { s.Duration, s.End = 0, s.Start.Add(25*time.Hour) },
		"windows":     func(s *reservation.Spec) { s.Repeat.Until = s.Start.AddDate(3, 0, 0) },
		"slots":       func(s *reservation.Spec) { s.Count = 5000 },
		"amounts":     func(s *reservation.Spec) { s.Shape.CPU = 1 << 62 },
		"long ID":     func(s *reservation.Spec) { s.ID = string(make([]byte, placement.MaxIDBytes-10)) },
		"no duration": func(s *reservation.Spec) { s.Duration = 0 },
	} {
		s := valid
		spoil(&s)
		d.unchanged(reservation.ErrInvalid, func() error { _, err := d.Reserve(s); t.Log(name, err); return err })
	}
	past := valid
	past.Start, past.Repeat.Until = d.clock.AddDate(0, 0, -1000), d.clock.AddDate(0, 0, 2)
	d.reserve(past)
	require.Len(t, d.windows("ci"), 2, "those that are over do not count")
}
