package statetime

import "time"

// Clock is state time. The zero value begins at the zero time. Advance and Now
// take constant time and do not allocate.
type Clock struct {
	now time.Time // state time, in UTC and without a monotonic reading
	// State time goes at half pace from base on, where it was at the reading
	// mark. The wall clock of mark is base, unless the clock was set back.
	base, mark time.Time
}

// At returns a clock whose state time is t: that of a state which was kept
// somewhere and goes on here.
func At(t time.Time) Clock {
	t = wall(t)
	return Clock{now: t, base: t, mark: t}
}

// Now returns the state time that Advance returned last, in UTC and without a
// monotonic reading.
func (c *Clock) Now() time.Time { return c.now }

// Advance moves state time to where a reading of the host's clock brings it,
// and returns it. It is never before the one returned last.
func (c *Clock) Advance(reading time.Time) time.Time {
	if reading.Before(c.mark) && (!monotonic(reading) || !monotonic(c.mark)) {
		c.base, c.mark = c.now, reading // as far as one can tell, it was set back
	}
	at, slow := wall(reading), c.base.Add(reading.Sub(c.mark)/2)
	if !at.Before(slow) {
		// Half pace leads further from here than from the old mark, for good.
		c.base, c.mark, slow = at, reading, at
	}
	if slow.After(c.now) {
		c.now = slow
	}
	return c.now
}

// wall returns the wall clock of a reading alone.
func wall(reading time.Time) time.Time { return reading.Round(0).UTC() }

// monotonic reports whether a reading has a monotonic part, which Round strips.
func monotonic(reading time.Time) bool { return reading != reading.Round(0) }
