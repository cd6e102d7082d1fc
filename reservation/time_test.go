package reservation_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestClockStepsBackAndForth(t *testing.T) {
	d := newDesk(t)
	d.at(3600)
	d.reserve(d.during("a", 8, 3600, 3660))
	require.Equal(t, []reservation.EventKind{reservation.Started}, d.kinds())
	d.at(0) // an hour back
	require.Empty(t, d.kinds())
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(spec("b", 1)) // now is still 3600
		return err
	})
	require.NoError(t, d.claim("a", "i", 8))
	d.at(7200) // two hours forth
	require.Equal(t, []reservation.EventKind{reservation.Over, reservation.Overstayed}, d.kinds())
	d.at(3601)
	require.Empty(t, d.kinds())
	require.ErrorIs(t, d.claim("a", "j", 1), reservation.ErrState)
}

// TestClocksOfAllAges: a clock may begin at the zero time as well as at ours;
// where time can not be counted, what needs it is refused.
func TestClocksOfAllAges(t *testing.T) {
	year := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, zero := range []time.Time{{}, year(100), year(1824), year(1970), year(2026), year(2261)} {
		d := &desk{t: t, clock: zero, zero: zero}
		book, err := reservation.New(reservation.Config{Now: func() time.Time { return d.clock }})
		require.NoError(t, err)
		d.Book = book
		require.NoError(t, d.SetNode(node("n1", 8)))
		evict := d.during("r", 8, 60, 120)
		evict.AtEnd, evict.Grace, evict.Notice = reservation.Evict, time.Minute, math.MaxInt64
		d.reserve(evict)
		_, err = d.Place(lasting("s", 8, 60))
		require.NoError(t, err)
		require.NoError(t, d.Remove("s"))
		d.at(60)
		require.NoError(t, d.claim("r", "i", 8))
		d.at(180)
		var got []string
		for _, e := range d.Sweep() {
			got = append(got, fmt.Sprint(e.At.Sub(zero).Seconds(), " ", e.Kind))
		}
		require.Equal(t, []string{"60 started", "120 expired", "180 eviction-due", "180 over"}, got, "%v", zero)
	}
	for _, now := range []time.Time{year(-1000), year(148), year(1500), year(1822), year(2263), year(12000)} {
		book, err := reservation.New(reservation.Config{Now: func() time.Time { return now }})
		require.NoError(t, err)
		require.NoError(t, book.SetNode(node("n1", 8)))
		if now.Year() > 0 {
			_, err = book.Reserve(spec("r", 1))
			require.ErrorIs(t, err, reservation.ErrInvalid, "%v", now)
			_, err = book.Place(lasting("s", 1, 60))
			require.ErrorIs(t, err, reservation.ErrInvalid, "%v", now)
		}
		s := spec("r", 1)
		s.Start = now
		_, err = book.Reserve(s)
		require.ErrorIs(t, err, reservation.ErrInvalid, "%v", now)
	}
}

func TestOneInstantEndsBeforeGraceBeforeStart(t *testing.T) {
	d := newDesk(t)
	evict := d.during("b grace", 1, 0, 50)
	evict.AtEnd, evict.Grace = reservation.Evict, 10*time.Second
	d.reserve(evict)
	require.NoError(t, d.claim("b grace", "i", 1))
	d.reserve(d.during("a start", 1, 60, 70))
	d.reserve(d.during("z end", 1, 0, 60))
	d.reserve(d.during("y end", 1, 0, 60))
	_, err := d.Place(lasting("stay", 1, 60))
	require.NoError(t, err)
	d.Sweep()
	d.at(100)
	var got []string
	for _, e := range d.Sweep() {
		got = append(got, fmt.Sprint(e.At.Sub(d.zero).Seconds(), " ", e.Kind, " ", e.Reservation, e.Instance))
	}
	require.Equal(t, []string{
		"50 expired b grace",
		"60 over y end",
		"60 over z end",
		"60 eviction-due b gracei",
		"60 over b grace",
		"60 overstayed stay",
		"60 started a start",
		"70 over a start",
	}, got)
}

func TestRestartDeliversWhatWasDue(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("a", 4, 0, 60))
	require.NoError(t, d.claim("a", "i", 2))
	d.reserve(d.during("b", 8, 60, 120))
	_, err := d.Place(lasting("s", 1, 30))
	require.NoError(t, err)
	d.Sweep()
	data, err := json.Marshal(d.Snapshot())
	require.NoError(t, err)

	var snapshot reservation.Snapshot
	require.NoError(t, json.Unmarshal(data, &snapshot))
	book, err := reservation.New(reservation.Config{
		Now: func() time.Time { return d.second(90) }, Snapshot: &snapshot,
	})
	require.NoError(t, err)
	require.NoError(t, book.SetNode(node("n1", 8)))
	require.Equal(t, []reservation.EventKind{
		reservation.Overstayed, reservation.Over, reservation.Overstayed, reservation.Started,
		reservation.SlotLost, reservation.AllLost,
	}, kindsOf(book.Sweep()))
	again, err := json.Marshal(reservation.Restore(snapshot).Snapshot())
	require.NoError(t, err)
	require.Equal(t, string(data), string(again))
}

func TestEventsBeyondTheBacklogAreAGap(t *testing.T) {
	clock := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	book, err := reservation.New(reservation.Config{Now: func() time.Time { return clock }, Backlog: 3})
	require.NoError(t, err)
	require.NoError(t, book.SetNode(node("n1", 8)))
	for range 5 {
		_, err := book.Reserve(spec("", 8))
		require.NoError(t, err)
		clock = clock.Add(time.Minute)
	}
	events := book.Sweep()
	require.Len(t, events, 3)
	require.Equal(t, uint64(8), events[0].Seq)
	require.Empty(t, book.Sweep())

	_, err = reservation.New(reservation.Config{Backlog: -1})
	require.ErrorIs(t, err, reservation.ErrInvalid)
}

// TestSleeper runs the loop that doc.go shows, on the clock of the bubble.
func TestSleeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book, err := reservation.New(reservation.Config{})
		require.NoError(t, err)
		require.NoError(t, book.SetNode(node("n1", 8)))
		start := time.Now()
		heard := make(chan reservation.Event, 16)
		go func() {
			for {
				changed := book.DeadlineChanged()
				var due <-chan time.Time
				if next, ok := book.NextDeadline(); ok {
					due = time.After(time.Until(next))
				}
				for _, e := range book.Sweep() {
					heard <- e
				}
				select {
				case <-due:
				case <-changed:
				case <-t.Context().Done():
					return
				}
			}
		}()
		synctest.Wait()
		_, err = book.Reserve(spec("r", 8))
		require.NoError(t, err)
		require.Equal(t, reservation.Started, (<-heard).Kind)
		_, err = book.Extend("r", start.Add(time.Hour))
		require.NoError(t, err)
		e := <-heard
		require.Equal(t, reservation.Over, e.Kind)
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestBadInput(t *testing.T) {
	d := newDesk(t)
	d.at(100)
	d.reserve(spec("taken", 1))
	tests := []struct {
		name   string
		change func(*reservation.Spec)
		field  string
	}{
		{"no count", func(s *reservation.Spec) { s.Count = 0 }, "count"},
		{"negative count", func(s *reservation.Spec) { s.Count = -1 }, "count"},
		{"too many", func(s *reservation.Spec) { s.Count = reservation.MaxCount + 1 }, "count"},
		{"no shape", func(s *reservation.Spec) { s.Shape = cores(0) }, "shape"},
		{"negative shape", func(s *reservation.Spec) { s.Shape.CPU = -1 }, ""},
		{"shape times count", func(s *reservation.Spec) { s.Shape.Disk, s.Count = math.MaxInt64, 2 }, "shape"},
		{"one and a half GPUs", func(s *reservation.Spec) { s.Shape.GPU = 1500 }, ""},
		{"no duration", func(s *reservation.Spec) { s.Duration = 0 }, "duration"},
		{"negative duration", func(s *reservation.Spec) { s.Duration = -1 }, "duration"},
		{"endless duration", func(s *reservation.Spec) { s.Duration = math.MaxInt64 }, "duration"},
		{"duration and end", func(s *reservation.Spec) { s.End = d.second(200) }, "end"},
		{"end in the past", func(s *reservation.Spec) { s.Duration, s.End = 0, d.second(99) }, "end"},
		{"end now", func(s *reservation.Spec) { s.Duration, s.End = 0, d.second(100) }, "end"},
		{"end before start", func(s *reservation.Spec) { s.Start, s.Duration, s.End = d.second(300), 0, d.second(200) }, "end"},
		{"over before now", func(s *reservation.Spec) { s.Start = d.second(10) }, "end"},
		{"far start", func(s *reservation.Spec) { s.Start = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "start"},
		{"far end", func(s *reservation.Spec) { s.Duration, s.End = 0, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "end"},
		{"grace without evict", func(s *reservation.Spec) { s.Grace = 1 }, "grace"},
		{"negative grace", func(s *reservation.Spec) { s.AtEnd, s.Grace = reservation.Evict, -1 }, "grace"},
		{"endless grace", func(s *reservation.Spec) { s.AtEnd, s.Grace = reservation.Evict, math.MaxInt64 }, "end"},
		{"negative notice", func(s *reservation.Spec) { s.Notice = -1 }, "notice"},
		{"unknown ending", func(s *reservation.Spec) { s.AtEnd = 9 }, "atEnd"},
		{"unknown node", func(s *reservation.Spec) { s.Node = "n9" }, "node"},
		{"empty owner", func(s *reservation.Spec) { s.Owners = []string{""} }, "owners"},
		{"owner twice", func(s *reservation.Spec) { s.Owners = []string{"a", "a"} }, "owners"},
		{"bad rule", func(s *reservation.Spec) {
			s.Preferences = placement.Preferences{}.Require(placement.In("zone"))
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d.t = t
			bad := spec("r", 1)
			test.change(&bad)
			d.unchanged(reservation.ErrInvalid, func() error {
				_, err := d.Reserve(bad)
				var invalid *reservation.InvalidError
				if test.field != "" {
					require.ErrorAs(t, err, &invalid)
					require.Equal(t, test.field, invalid.Field, "%v", err)
					require.NotContains(t, err.Error(), "\n", "one mistake")
				}
				return err
			})
		})
	}
}

// TestMistakesAreReportedAtOnce: one call tells of all that is wrong.
func TestMistakesAreReportedAtOnce(t *testing.T) {
	d := newDesk(t)
	_, err := d.Reserve(reservation.Spec{
		ID: "r", Shape: placement.Resources{}, Count: -1, Node: "n9", Duration: -1, Grace: -1, Notice: -1,
		Owners: []string{""}, AtEnd: 9,
	})
	require.ErrorIs(t, err, reservation.ErrInvalid)
	for _, field := range []string{"shape", "count", "node", "duration", "grace", "notice", "owners", "atEnd"} {
		require.ErrorContains(t, err, "reservation: invalid "+field+" ")
	}
	_, err = d.Reserve(reservation.Spec{Shape: placement.Resources{CPU: -1}, Count: -1, Duration: 1})
	require.ErrorContains(t, err, "reservation: invalid shape.cpu")
	require.ErrorContains(t, err, "reservation: invalid count")
}

// TestMistakesOfPlacement: what package placement finds is an error of both
// packages, and comes with all else.
func TestMistakesOfPlacement(t *testing.T) {
	d := newDesk(t)
	soft := placement.Use(placement.Spread).Prefer(placement.Equal("", "v"), 0)
	bad := placement.Request{Resources: placement.Resources{CPU: -1}, Preferences: soft}
	tests := []struct {
		name  string
		call  func() error
		texts []string
	}{
		{"reserve", func() error {
			_, err := d.Reserve(reservation.Spec{Shape: placement.Resources{GPU: 1001}, Count: 1, Duration: -1, Preferences: soft})
			return err
		}, []string{"preferences.strategy", "preferences.preferred", "preferences.preferred[0].constraint", "preferences.preferred[0].weight", "shape.gpu", "duration"}},
		{"claim", func() error { _, _, err := d.Claim("r", bad); return err }, []string{"preferences.strategy", "preferences.preferred", "id", "resources.cpu", "preferences.preferred[0].constraint", "preferences.preferred[0].weight"}},
		{"place", func() error { _, err := d.Place(bad); return err }, []string{"preferences.strategy", "preferences.preferred", "id", "resources.cpu", "preferences.preferred[0].constraint", "preferences.preferred[0].weight"}},
		{"node", func() error { return d.SetNode(placement.Node{MaxInstances: -1}) }, []string{"node.id", "node.maxInstances"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := d.Snapshot()
			err := test.call()
			require.ErrorIs(t, err, reservation.ErrInvalid)
			require.ErrorIs(t, err, placement.ErrInvalid)
			require.ErrorAs(t, err, new(*reservation.InvalidError))
			require.ErrorAs(t, err, new(*placement.InvalidError))
			for line := range strings.Lines(err.Error()) {
				require.Regexp(t, "^reservation: invalid ", line)
			}
			for _, field := range test.texts {
				require.ErrorContains(t, err, "invalid "+field+" ")
			}
			require.Equal(t, before, d.Snapshot())
		})
	}
}

func TestBadCalls(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 1))
	tests := []struct {
		name string
		want error
		call func() error
	}{
		{"claim without ID", reservation.ErrInvalid, func() error { return d.claim("r", "", 1) }},
		{"claim from nothing", reservation.ErrNotFound, func() error { return d.claim("x", "i", 1) }},
		{"place without ID", reservation.ErrInvalid, func() error { _, err := d.Place(request("", 1)); return err }},
		{"place for ever and a day", reservation.ErrInvalid, func() error {
			_, err := d.Place(placement.Request{ID: "i", Duration: math.MaxInt64})
			return err
		}},
		{"claim for ever and a day", reservation.ErrInvalid, func() error {
			_, _, err := d.Claim("r", placement.Request{ID: "i", Namespace: "team", Duration: math.MaxInt64})
			return err
		}},
		{"unclaim nothing", reservation.ErrNotFound, func() error { return d.Unclaim("i") }},
		{"remove nothing", reservation.ErrNotFound, func() error { return d.Remove("i") }},
		{"release nothing", reservation.ErrNotFound, func() error { return d.Release("x", true) }},
		{"extend nothing", reservation.ErrNotFound, func() error { _, err := d.Extend("x", d.second(9)); return err }},
		{"extend out of range", reservation.ErrInvalid, func() error {
			_, err := d.Extend("r", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
			return err
		}},
		{"look at nothing", reservation.ErrNotFound, func() error { _, err := d.Reservation("x"); return err }},
		{"bad node", reservation.ErrInvalid, func() error { return d.SetNode(placement.Node{}) }},
		{"remove unknown node", reservation.ErrNotFound, func() error { return d.RemoveNode("x") }},
		{"use unknown node", reservation.ErrNotFound, func() error { return d.SetUsed("x", reservation.Load{}) }},
		{"use less than nothing", reservation.ErrInvalid, func() error {
			return d.SetUsed("n1", reservation.Load{Instances: -1})
		}},
		{"use GPUs that are not there", reservation.ErrInvalid, func() error {
			return d.SetUsed("n1", reservation.Load{}, 100)
		}},
		{"free of unknown node", reservation.ErrNotFound, func() error {
			_, err := d.Free("x", reservation.Window{})
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d.t = t
			d.unchanged(test.want, test.call)
		})
	}
}

func TestErrorTexts(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		err  error
		text string
	}{
		{&reservation.InvalidError{Field: "count", Value: "0", Reason: "want 1"}, `reservation: invalid count "0": want 1`},
		{&reservation.StateError{ID: "r", State: reservation.Ended, Action: "claim from"}, `reservation: can not claim from "r": it is ended`},
		{&reservation.OwnerError{ID: "r", Namespace: "a", Owners: []string{"b"}}, `reservation: "r" is not for namespace "a" but for ["b"]`},
		{&reservation.ConflictError{ID: "r", Taken: "another claim"}, `reservation: ID "r" is taken by another claim`},
		{&reservation.InUseError{ID: "r", Instances: []string{"i"}}, `reservation: "r" is in use by ["i"]`},
		{&reservation.VersionError{ID: "r", Want: 1, Has: 2}, `reservation: "r" has version 2, not 1`},
		{
			&reservation.ShortError{ID: "r", Asked: cores(4), Left: cores(2), Rules: 1, Excess: 2},
			`reservation: "r" has no slot for cpu=4: cpu=2 left, 1 on nodes excluded by the instance's rules, 2 on nodes without room for the rest`,
		},
		{
			&reservation.RefusedError{
				Window: reservation.Window{Start: at}, Shape: cores(4), Missing: 1, Count: 2, Node: "n1",
				Holders: []reservation.Holder{{ID: "a"}, {ID: "b"}}, Earliest: at.Add(time.Hour),
			},
			"reservation: no room for 1 of 2 × cpu=4 in [2030-01-01T00:00:00Z, ∞): the largest single fit is none on n1; " +
				"held by a, b; the earliest start is 2030-01-01T01:00:00Z",
		},
	}
	for _, test := range tests {
		require.EqualError(t, test.err, test.text)
	}
}

func TestUnknownChangesAreRefused(t *testing.T) {
	var change reservation.Change
	require.NoError(t, json.Unmarshal([]byte(`{"kind":"withdraw","id":"r"}`), &change))
	require.Equal(t, reservation.Change{Kind: reservation.Withdraw, ID: "r"}, change)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"kind":"explode"}`), &change), reservation.ErrInvalid)
}

func TestAtEndText(t *testing.T) {
	for _, a := range []reservation.AtEnd{reservation.Drain, reservation.Evict, reservation.Keep} {
		text, err := a.MarshalText()
		require.NoError(t, err)
		var back reservation.AtEnd
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, a, back)
	}
	_, err := reservation.AtEnd(9).MarshalText()
	require.ErrorIs(t, err, reservation.ErrInvalid)
	require.Equal(t, "atEnd(9)", reservation.AtEnd(9).String())
	require.ErrorIs(t, new(reservation.AtEnd).UnmarshalText([]byte("later")), reservation.ErrInvalid)
}
