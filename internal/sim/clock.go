package sim

import "time"

const million = 1_000_000

// clock is what one process reads. It shows base at the true time since, and
// runs ppm parts per million faster than true time.
type clock struct {
	since, base time.Duration
	ppm         int64
}

// local returns what the clock shows at a true time.
func (c *clock) local(now time.Duration) time.Duration {
	elapsed := int64(now - c.since)
	return c.base + time.Duration(elapsed+elapsed*c.ppm/million)
}

// truly returns the first true time at which the clock shows at least local.
func (c *clock) truly(local time.Duration) time.Duration {
	shown := int64(local - c.base)
	at := c.since + time.Duration(shown-shown*c.ppm/(million+c.ppm))
	for c.local(at) >= local {
		at--
	}
	for c.local(at) < local {
		at++
	}
	return at
}

// setRate makes the clock run at another rate from now on.
func (c *clock) setRate(now time.Duration, ppm int64) {
	c.base, c.since, c.ppm = c.local(now), now, ppm
}
