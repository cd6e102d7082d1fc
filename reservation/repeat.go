package reservation

import (
	"errors"
	"iter"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Period is how often a reservation repeats.
type Period string

// The periods, by the calendar of a place.
const (
	Daily  Period = "daily"
	Weekly Period = "weekly"
)

// days returns the length of the period, 0 if there is no such period.
func (p Period) days() int {
	switch p {
	case Daily:
		return 1
	case Weekly:
		return 7
	default:
		return 0
	}
}

// length returns the length of the period where no clocks change.
func (p Period) length() time.Duration { return time.Duration(p.days()) * 24 * time.Hour }

// Repeat makes one reservation of many windows: the first is the one of its spec,
// and each other one begins at the same time of day, a number of days later.
//
// The times of day are those of a place. If the reservation has an End, its windows end
// at the same time of day too; if it has a Duration, they last as long. A time of day
// that the clocks skip, when they are put forward, is the instant at which they are;
// one that they show twice is the first of both. A window of which nothing is left then
// does not take place. A window ends where the next begins, at the latest.
//
// The instants are worked out once, when the reservation is made. What is recorded
// are these, so that a replay needs no time zones and a later change of their rules
// moves nothing.
type Repeat struct {
	// Every day or week.
	Every Period `json:"every"`
	// No window begins at Until or later.
	Until time.Time `json:"until"`
	// Location is the name of a place in the IANA time zone database, such as
	// Europe/Berlin; empty is UTC. The machine that decides has to know it.
	Location string `json:"location,omitempty"`
}

// IsZero reports whether nothing repeats.
func (r Repeat) IsZero() bool { return r.Every == "" && r.Until.IsZero() && r.Location == "" }

// Equal reports whether both repeat in the same way.
func (r Repeat) Equal(other Repeat) bool {
	return r.Every == other.Every && r.Until.Equal(other.Until) && r.Location == other.Location
}

// MaxWindows is the largest number of windows of one reservation. Together they
// have at most MaxCount slots.
const MaxWindows = 1000

// occurrence is one window of a reservation.
type occurrence struct {
	id     string // of the reservation, with the date of the window if it repeats
	date   string // of a window of one that repeats
	params Params
}

// of returns the spec of a window: s itself if it does not repeat.
func (s *Spec) of(window occurrence) Spec {
	one := s.Clone()
	one.ID = window.id
	if window.date != "" {
		one.Start, one.End, one.Duration, one.Repeat = window.params.Start, window.params.End, 0, Repeat{}
	}
	return one
}

// dateSuffix is what the date adds to the ID of a reservation that repeats.
const dateSuffix = "@" + time.DateOnly

// occurrences checks s at an instant and returns its windows: those that have not
// ended, of which one may have begun. All mistakes are reported at once.
func (s *Spec) occurrences(now int64) ([]occurrence, error) {
	if s.Repeat.IsZero() {
		params, err := s.params(now)
		return []occurrence{{id: s.ID, params: params}}, err
	}
	loc, err := s.validateRepeat()
	first := *s
	if s.Start.IsZero() {
		first.Start = instant(now)
	}
	// The first window may be long over.
	params, others := first.params(-forever)
	if err := errors.Join(err, others); err != nil {
		return nil, err
	}
	series := series{spec: s, first: Window{params.Start, params.End}, loc: loc}
	if !s.End.IsZero() && clocks(params.End, loc).Sub(clocks(params.Start, loc)) > s.Repeat.Every.length()-s.Grace {
		return nil, invalid("repeat.every", s.Repeat.Every, "shorter than a window, with the grace")
	}
	var all []occurrence
	for w, date := range series.windows(now) {
		if len(all) == min(MaxWindows, MaxCount/max(1, s.Count)) {
			return nil, invalid("repeat.until", s.Repeat.Until, "want at most 1000 windows, with 10000 slots together")
		}
		all = append(all, occurrence{s.ID + "@" + date, date, Params{w.Start, w.End, s.Shape.Clone(), s.Count}})
	}
	if len(all) == 0 {
		return nil, invalid("repeat.until", s.Repeat.Until, "no window is left before it")
	}
	return all, s.validateSize(s.Shape, s.Count*len(all))
}

func (s *Spec) validateRepeat() (*time.Location, error) {
	var errs []error
	refuse := func(field string, value any, reason string) {
		errs = append(errs, invalid("repeat."+field, value, reason))
	}
	length := s.Repeat.Every.length()
	switch {
	case length == 0:
		refuse("every", s.Repeat.Every, "want daily or weekly")
	case s.Duration > length-s.Grace:
		refuse("every", s.Repeat.Every, "shorter than a window, with the grace")
	}
	if s.Repeat.Until.IsZero() || !inRange(s.Repeat.Until) {
		refuse("until", s.Repeat.Until, "missing or out of range")
	}
	if s.AtEnd == Keep {
		refuse("every", s.Repeat.Every, "what is kept would meet the next window")
	}
	if len(s.ID) > placement.MaxIDBytes-len(dateSuffix) {
		errs = append(errs, invalid("id", s.ID, "too long for one that repeats"))
	}
	loc, err := time.LoadLocation(s.Repeat.Location)
	if err != nil || s.Repeat.Location == "Local" {
		refuse("location", s.Repeat.Location, "unknown")
	}
	return loc, errors.Join(errs...)
}

// series is what repeats: where, and from which window on.
type series struct {
	spec  *Spec
	first Window
	loc   *time.Location
}

// windows yields those that have not ended, with their dates.
func (s series) windows(now int64) iter.Seq2[Window, string] {
	return func(yield func(Window, string) bool) {
		days := s.spec.Repeat.Every.days()
		passed := instant(now).Sub(s.first.Start) / s.spec.Repeat.Every.length()
		for n := max(0, int(passed)-1); s.start(n * days).Before(s.spec.Repeat.Until); n++ {
			w, date := s.window(n * days)
			if w.start() >= w.end() || w.end() <= now || w.Start.In(s.loc).Format(time.DateOnly) != date {
				continue
			}
			w.Start = instant(max(w.start(), now))
			if !yield(w, date) {
				return
			}
		}
	}
}

// window returns the window some days after the first, and its date.
func (s series) window(days int) (Window, string) {
	w := Window{s.start(days), s.end(days)}
	if next := s.start(days + s.spec.Repeat.Every.days()).Add(-s.spec.Grace); w.End.After(next) {
		w.End = next
	}
	return w, clocks(s.first.Start, s.loc).AddDate(0, 0, days).Format(time.DateOnly)
}

func (s series) start(days int) time.Time {
	if days == 0 {
		return s.first.Start
	}
	return firstAt(clocks(s.first.Start, s.loc).AddDate(0, 0, days), s.loc)
}

func (s series) end(days int) time.Time {
	switch {
	case s.spec.Duration > 0:
		return s.start(days).Add(s.spec.Duration)
	case days == 0:
		return s.first.End
	default:
		return firstAt(clocks(s.first.End, s.loc).AddDate(0, 0, days), s.loc)
	}
}

// clocks returns what the clocks of a place show at an instant, written in UTC.
func clocks(at time.Time, loc *time.Location) time.Time {
	_, offset := at.In(loc).Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// firstAt returns the first instant at which the clocks of a place show that time
// or a later one: a function that never decreases.
func firstAt(show time.Time, loc *time.Location) time.Time {
	// No place is two days ahead or behind.
	for at := show.Add(-48 * time.Hour); ; {
		_, offset := at.In(loc).Zone()
		_, change := at.In(loc).ZoneBounds()
		shown := show.Add(-time.Duration(offset) * time.Second)
		switch {
		case shown.Before(at):
			return at.UTC() // The clocks were put forward over it.
		case change.IsZero() || shown.Before(change):
			return shown
		}
		at = change
	}
}
