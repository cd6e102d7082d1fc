package reservation

import (
	"math"
	"time"
)

// Window is a closed-open interval of time: Start belongs to it, End does
// not. A zero End means for ever. Instants from 1678 to 2261 can be counted,
// in nanoseconds.
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

// Instants are nanoseconds inside the package, in two eras that an int64 has
// room for: from 1823 to 2262, counted from 1970, and for clocks that begin at
// the zero time, as those of tests do, the first 146 years after it.
const (
	forever   = math.MaxInt64 // later than any instant
	secondEra = -forever + eraLength
	eraLength = 1 << 62
)

// inRange reports whether t is an instant that can be counted.
func inRange(t time.Time) bool { return instant(nanos(t)).Equal(t) }

// nanos returns t as an instant, the last before it or else the first one if t
// is out of range.
func nanos(t time.Time) int64 {
	switch {
	case !t.Before(time.Unix(0, forever)):
		return forever - 1
	case !t.Before(time.Unix(0, secondEra)):
		return t.UnixNano()
	default:
		return -forever + int64(min(max(t.Sub(time.Time{}), 0), eraLength-1))
	}
}

func instant(n int64) time.Time {
	if n < secondEra {
		return time.Time{}.Add(time.Duration(n + forever))
	}
	return time.Unix(0, n).UTC()
}

// addNanos returns n + d for d ≥ 0, and false if that is not in the same era.
func addNanos(n int64, d time.Duration) (int64, bool) {
	sum := n + int64(d)
	return sum, sum >= n && sum < forever && (n < secondEra) == (sum < secondEra)
}

// subNanos returns n - d for d ≥ 0, at least the beginning of the era.
func subNanos(n int64, d time.Duration) int64 {
	first := int64(-forever)
	if n >= secondEra {
		first = secondEra
	}
	if difference := n - int64(d); difference <= n && difference >= first {
		return difference
	}
	return first
}
