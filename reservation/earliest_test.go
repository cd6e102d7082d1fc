package reservation_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// smallWorld is a book of a few nodes, with holds and instances in a time of
// so few nanoseconds that every start can be tried.
type smallWorld struct {
	start    time.Time
	clock    time.Time
	nodes    []placement.Node
	snapshot *reservation.Snapshot
}

const smallTime = 40

func (w *smallWorld) at(n int) time.Time { return w.start.Add(time.Duration(n)) }

func (w *smallWorld) book(t require.TestingT) *reservation.Book {
	book, err := reservation.New(reservation.Config{Now: func() time.Time { return w.clock }, Snapshot: w.snapshot})
	require.NoError(t, err)
	for _, n := range w.nodes {
		require.NoError(t, book.SetNode(n))
	}
	return book
}

func drawSmallSpec(t *rapid.T, w *smallWorld, id string) reservation.Spec {
	s := reservation.Spec{
		ID: id, Count: rapid.IntRange(1, 4).Draw(t, "count"),
		Shape: placement.Resources{
			CPU: rapid.Int64Range(0, 3).Draw(t, "cpu"),
			GPU: rapid.SampledFrom([]int64{0, 0, 300, 500, 1000, 2000}).Draw(t, "gpu"),
		},
		Start:    w.at(rapid.IntRange(0, smallTime).Draw(t, "start")),
		Duration: time.Duration(rapid.IntRange(1, 12).Draw(t, "duration")),
		Priority: rapid.Int32Range(0, 1).Draw(t, "priority"),
		AtEnd:    rapid.SampledFrom([]reservation.AtEnd{reservation.Drain, reservation.Drain, reservation.Evict, reservation.Keep}).Draw(t, "atEnd"),
	}
	if s.AtEnd == reservation.Evict {
		s.Grace = 3
	}
	switch rapid.IntRange(0, 3).Draw(t, "rule") {
	case 0:
		s.Preferences = s.Preferences.Across(placement.AtMostPer("", 1))
	case 1:
		s.Preferences = s.Preferences.Across(placement.EvenlyOver("zone", 1))
	}
	return s
}

func drawSmallWorld(t *rapid.T) *smallWorld {
	w := &smallWorld{start: time.Unix(1_900_000_000, 0)}
	w.clock = w.start
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		n := placement.Node{
			ID:       fmt.Sprint("n", i),
			Capacity: placement.Resources{CPU: rapid.Int64Range(1, 6).Draw(t, "cores")},
			Labels:   map[string]string{"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone")},
		}
		n.Devices.Count = rapid.IntRange(0, 3).Draw(t, "devices")
		if n.Devices.Count == 3 {
			n.Devices.Broken = []int{1}
		}
		n.MaxInstances = rapid.SampledFrom([]int64{0, 0, 2}).Draw(t, "instances")
		w.nodes = append(w.nodes, n)
	}
	book := w.book(t)
	for i := range rapid.IntRange(1, 12).Draw(t, "holds") {
		if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
			_, _ = book.Place(placement.Request{
				ID: fmt.Sprint("i", i), Resources: placement.Resources{CPU: rapid.Int64Range(1, 3).Draw(t, "used")},
				Duration: time.Duration(rapid.IntRange(1, 20).Draw(t, "for")), Yield: rapid.Bool().Draw(t, "yield"),
			})
			continue
		}
		_, _ = book.Reserve(drawSmallSpec(t, w, fmt.Sprint("r", i)))
	}
	snapshot := book.Snapshot()
	w.snapshot = &snapshot
	return w
}

// earliestIsFirst: a refused reservation is told the very first start from
// which it would be accepted, as trying every one shows.
func earliestIsFirst(t *rapid.T) {
	w := drawSmallWorld(t)
	asked := drawSmallSpec(t, w, "asked")
	_, err := w.book(t).Reserve(asked)
	var refused *reservation.RefusedError
	if !errors.As(err, &refused) {
		return
	}
	first := time.Time{}
	for n := int(asked.Start.Sub(w.start)); n <= 3*smallTime; n++ {
		again := asked
		again.Start = w.at(n)
		if _, err := w.book(t).Reserve(again); err == nil {
			first = again.Start.UTC()
			break
		}
	}
	require.Equal(t, first, refused.Earliest)
}

func TestEarliestIsFirst(t *testing.T) { rapid.Check(t, earliestIsFirst) }

func FuzzEarliestIsFirst(f *testing.F) { f.Fuzz(rapid.MakeFuzz(earliestIsFirst)) }

// TestEarliestIsFarAway: two nodes take turns for three thousand periods; two
// slots have to wait until both are free.
func TestEarliestIsFarAway(t *testing.T) {
	const turns = 3000
	d := newDesk(t, node("n2", 8))
	for i := range turns {
		s := d.during(fmt.Sprint("turn ", i), 8, float64(10*i), float64(10*i+10))
		s.Node = []string{"n1", "n2"}[i%2]
		d.reserve(s)
	}
	for _, rule := range []placement.Preferences{{}, placement.Preferences{}.Across(placement.AtMostPer("", 1))} {
		s := spec("both", 8)
		s.Count, s.Preferences = 2, rule
		_, err := d.Reserve(s)
		var refused *reservation.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, d.second(10*turns), refused.Earliest)
	}
}
