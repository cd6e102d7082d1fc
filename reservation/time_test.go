package reservation_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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

// TestClockSetBackDelaysNothingForLong: what is to end ends within twice the
// time, in a book that goes on from a snapshot too.
func TestClockSetBackDelaysNothingForLong(t *testing.T) {
	d := newDesk(t)
	d.at(3600)
	d.reserve(d.during("a", 8, 3600, 3660))
	snapshot := d.Snapshot()
	restored, err := reservation.New(reservation.Config{Now: func() time.Time { return d.clock }, Snapshot: &snapshot})
	require.NoError(t, err)
	for _, book := range []*reservation.Book{d.Book, restored} {
		d.at(0)
		book.Sweep()
		d.at(119)
		_, err = book.Reservation("a")
		require.NoError(t, err)
		d.at(120)
		_, err = book.Reservation("a")
		require.ErrorIs(t, err, reservation.ErrState)
	}
}

// TestClocksOfAllAges: a clock may show any time from 1678 to 2261; where time
// cannot be counted, what needs it is refused.
func TestClocksOfAllAges(t *testing.T) {
	year := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, zero := range []time.Time{year(1678), year(1824), year(1970), year(2026), year(2261)} {
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
		require.Equal(t, []string{"0 noticed", "60 started", "120 expired", "180 eviction-due", "180 over"}, got, "%v", zero)
	}
	for _, now := range []time.Time{{}, year(-1000), year(148), year(1677), year(2263), year(12000)} {
		book, err := reservation.New(reservation.Config{Now: func() time.Time { return now }})
		require.NoError(t, err)
		require.NoError(t, book.SetNode(node("n1", 8)))
		_, err = book.Reserve(spec("r", 1))
		require.ErrorIs(t, err, reservation.ErrInvalid, "%v", now)
		_, err = book.Place(lasting("s", 1, 60))
		require.ErrorIs(t, err, reservation.ErrInvalid, "%v", now)
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

// TestUpdateRegainsWhatIsLost: a lost slot is looked for under the new terms.
func TestUpdateRegainsWhatIsLost(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.SetNode(node("n1", 4)))
	require.Equal(t, reservation.Displaced, d.state("r"))
	r, err := d.Resize("r", cores(4), 0)
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State())
	require.NoError(t, d.claim("r", "i", 4))
}
