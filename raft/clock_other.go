//go:build !linux

package raft

import "time"

// systemClock returns the clock that leases are measured with: Go's monotonic
// clock. Where that clock stops while the machine is suspended, a leader that
// wakes up may believe in its lease until the next heartbeat is refused.
func systemClock() func() time.Duration { return monotonicClock() }
