package skyline

import (
	"math"
	"time"
)

// Forever is later than any instant, and -Forever earlier.
const Forever = math.MaxInt64

// Nanos converts t to an instant: the last one if t is later than all, -Forever
// if it is earlier than all.
func Nanos(t time.Time) int64 {
	const inside = Forever/int64(time.Second) - 1 // seconds that need no closer look
	switch at := t.Unix(); {
	case -inside < at && at < inside:
		return t.UnixNano()
	case !t.Before(time.Unix(0, Forever)):
		return Forever - 1
	case !t.After(time.Unix(0, -Forever)):
		return -Forever
	default:
		return t.UnixNano()
	}
}

// Time is the reverse of Nanos, in UTC. What is earlier than all is the zero
// time.
func Time(n int64) time.Time {
	if n == -Forever {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
