package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// twin is a scheduler beside a book, each with one and the same node: there is
// nothing to choose, so that the two must agree on everything else.
type twin struct {
	s           *Scheduler
	book        *reservation.Book
	clock       *clock
	told, heard []reservation.Event
}

func newTwin(t *rapid.T) *twin {
	w := &twin{clock: newClock()}
	w.s = newTestScheduler(t, Config{Now: w.clock.Now, Hooks: Hooks{
		Event: func(e Event) {
			switch c := e.Change.(type) {
			case *ReservationEvent:
				w.told = append(w.told, c.Event)
			case *Overstayed:
				w.told = append(w.told, reservation.Event{
					Kind: reservation.Overstayed, At: e.Time, Reservation: c.Reservation, Namespace: "ns",
					Instance: c.ID, Node: c.NodeID,
				})
			}
		},
	}})
	var err error
	w.book, err = reservation.New(reservation.Config{Now: w.clock.Now})
	require.NoError(t, err)
	addNodes(t, w.s, testNode("n1", 4))
	require.NoError(t, w.book.SetNode(testNode("n1", 4)))
	return w
}

// call makes a random call of both, and returns what they answer.
func (w *twin) call(t *rapid.T) (ofScheduler, ofBook error) {
	ctx := t.Context()
	steps := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * 10 * time.Second
	}
	in := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	req := onlyCPU(drawID(t), rapid.Int64Range(1, 3).Draw(t, "cores"))
	req.Duration = steps("duration", 3)
	_, placed := w.s.state.allocations.Get(req.ID)
	switch rapid.IntRange(0, 7).Draw(t, "call") {
	case 0, 1:
		if placed {
			return nil, nil // The two have different ideas of the same request.
		}
		req.Yield = rapid.Bool().Draw(t, "yield")
		_, ofScheduler = w.s.Place(ctx, req)
		_, ofBook = w.book.Place(req)
	case 2:
		if placed {
			return nil, nil
		}
		_, ofScheduler = w.s.PlaceFromReservation(ctx, in, req)
		_, _, ofBook = w.book.Claim(in, req)
	case 3:
		spec := holding(in, rapid.Int64Range(1, 4).Draw(t, "shape"), rapid.IntRange(1, 2).Draw(t, "count"))
		spec.Start, spec.Duration = w.clock.Now().Add(steps("start", 3)), 10*time.Second+steps("lasts", 3)
		spec.Notice, spec.Priority = steps("notice", 2), rapid.Int32Range(0, 1).Draw(t, "priority")
		spec.AtEnd = rapid.SampledFrom([]reservation.AtEnd{reservation.Drain, reservation.Evict, reservation.Keep}).Draw(t, "atEnd")
		if spec.AtEnd == reservation.Evict {
			spec.Grace = steps("grace", 2)
		}
		_, ofScheduler = w.s.Reserve(ctx, spec)
		_, ofBook = w.book.Reserve(spec)
	case 4:
		ofScheduler, ofBook = w.s.Release(ctx, req.ID), w.book.Remove(req.ID)
	case 5:
		end := w.clock.Now().Add(steps("end", 4))
		_, ofScheduler = w.s.Extend(ctx, in, end)
		_, ofBook = w.book.Extend(in, end)
	case 6:
		shape := placement.Resources{CPU: rapid.Int64Range(0, 3).Draw(t, "to") * placement.Core}
		count := rapid.IntRange(0, 2).Draw(t, "count")
		_, ofScheduler = w.s.ResizeReservation(ctx, in, shape, count)
		_, ofBook = w.book.Resize(in, shape, count)
	default:
		force := rapid.Bool().Draw(t, "force")
		ofScheduler, ofBook = w.s.ReleaseReservation(ctx, in, force), w.book.Release(in, force)
	}
	return ofScheduler, ofBook
}

// check asserts that both have told the same and hold the same.
func (w *twin) check(t *rapid.T) {
	_, err := w.s.Sweep(t.Context())
	require.NoError(t, err)
	for _, e := range w.book.Sweep() {
		e.Seq = 0
		if e.Kind == reservation.Overstayed {
			e.Namespace = "ns"
		}
		w.heard = append(w.heard, e)
	}
	require.Equal(t, fmt.Sprintf("%+v", w.heard), fmt.Sprintf("%+v", w.told))
	require.Equal(t, slices.Collect(w.book.Reservations()), listed(t, w.s.Reservations))
}

func bookAgrees(t *rapid.T) {
	w := newTwin(t)
	for range rapid.IntRange(1, 25).Draw(t, "calls") {
		w.clock.advance(time.Duration(rapid.IntRange(-1, 3).Draw(t, "pause")) * 10 * time.Second)
		ofScheduler, ofBook := w.call(t)
		require.Equal(t, ofBook == nil, ofScheduler == nil, "%v: %v", ofBook, ofScheduler)
		w.check(t)
	}
}

func TestBookAndSchedulerAgree(t *testing.T) { rapid.Check(t, bookAgrees) }

func FuzzBookAndSchedulerAgree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(bookAgrees)) }
