package debugpage

import (
	"time"

	"github.com/rads-project/constellation/reservation"
)

// window is the time that the axis of the reservations shows.
type window struct {
	From, To time.Time
}

// booking is a reservation on that axis.
type booking struct {
	reservation.Reservation
	Axis window
}

// maxWindow is how much time the axis shows at most.
const maxWindow = 7 * 24 * time.Hour

// windowOf begins an hour before the present one and goes to the end of the last
// reservation. It lasts for an hour at a time, so that rows do not change with every
// look.
func windowOf(now time.Time, all []reservation.Reservation) window {
	w := window{From: now.UTC().Truncate(time.Hour).Add(-time.Hour)}
	w.To = w.From.Add(4 * time.Hour)
	for i := range all {
		for _, at := range []time.Time{all[i].Params.Start, all[i].Params.End} {
			if hour := at.UTC().Truncate(time.Hour).Add(time.Hour); hour.After(w.To) {
				w.To = hour
			}
		}
	}
	if last := w.From.Add(maxWindow); w.To.After(last) {
		w.To = last
	}
	return w
}

// axis is how wide the axis is.
const axis = 400

// place is where on the axis an instant is, 0 to axis.
func (w window) place(at time.Time) int64 {
	return max(0, min(axis, int64(axis*at.Sub(w.From).Seconds()/w.To.Sub(w.From).Seconds()))) // for people
}

// tick is an instant that is written on the axis.
type tick struct {
	At   int64
	Text string
}

// Ticks are four instants, of hours.
func (w window) Ticks() []tick {
	hours := int64(w.To.Sub(w.From) / time.Hour)
	var all []tick
	for i := range int64(4) {
		at := w.From.Add(time.Duration(i*hours/4) * time.Hour)
		format := "15:04"
		if hours > 24 {
			format = "Jan 2 15:04"
		}
		all = append(all, tick{w.place(at), at.Format(format)})
	}
	return all
}

// Left and Width of the reservation on the axis.
func (b *booking) Left() int64 { return b.Axis.place(b.Params.Start) }

// Width is at least as much as can be seen.
func (b *booking) Width() int64 {
	end := int64(axis)
	if !b.Params.End.IsZero() {
		end = b.Axis.place(b.Params.End)
	}
	return max(4, end-b.Left())
}
