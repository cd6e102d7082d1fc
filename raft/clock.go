package raft

import "time"

// monotonicClock returns Go's monotonic clock as the time since this call. A
// step of the wall clock does not move it. Inside a testing/synctest bubble it
// is the bubble's clock.
func monotonicClock() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
