package reservation

import (
	"math"
	"time"
)

// Window is a closed-open interval of time: Start belongs to it, End does
// not. A zero End means for ever.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
}

// String writes the window as [start, end).
func (w Window) String() string {
	end := "∞"
	if !w.End.IsZero() {
		end = w.End.Format(time.RFC3339Nano)
	}
	return "[" + w.Start.Format(time.RFC3339Nano) + ", " + end + ")"
}

// Overlaps reports whether the windows share an instant.
func (w Window) Overlaps(other Window) bool {
	return w.start() < other.end() && other.start() < w.end()
}

func (w Window) start() int64 { return nanos(w.Start) }

func (w Window) end() int64 {
	if w.End.IsZero() {
		return forever
	}
	return nanos(w.End)
}

// shifted returns the window moved so that it begins at start. It reports
// false if the end would be out of range.
func (w Window) shifted(start int64) (Window, bool) {
	from, to := w.start(), w.end()
	if to == forever {
		return Window{Start: instant(start)}, true
	}
	end, ok := addNanos(start, time.Duration(to-from))
	return Window{Start: instant(start), End: instant(end)}, ok
}

// Instants are nanoseconds since 1970 inside the package. An int64 reaches
// from 1677 to 2262; forever is later than any instant.
const forever = math.MaxInt64

// inRange reports whether t is an instant that can be counted.
func inRange(t time.Time) bool {
	return t.After(time.Unix(0, math.MinInt64)) && t.Before(time.Unix(0, forever))
}

// nanos returns t as an instant, the nearest one if t is out of range.
func nanos(t time.Time) int64 {
	switch {
	case inRange(t):
		return t.UnixNano()
	case t.Before(time.Unix(0, 0)):
		return math.MinInt64 + 1
	default:
		return forever - 1
	}
}

func instant(n int64) time.Time { return time.Unix(0, n).UTC() }

// addNanos returns n + d for d ≥ 0, and false if that is not before forever.
func addNanos(n int64, d time.Duration) (int64, bool) {
	sum := n + int64(d)
	return sum, sum >= n && sum < forever
}
