package raft

import (
	"syscall"
	"time"
	"unsafe"
)

// clockBootTime is CLOCK_BOOTTIME of clock_gettime(2): monotonic, and running
// while the machine is suspended, which CLOCK_MONOTONIC and so Go's own clock
// is not. A leader that slept through its lease must find it gone (rule 2).
const clockBootTime = 7

// systemClock returns the clock that leases are measured with. The choice is
// made once, because instants of two clocks must never be compared.
func systemClock() func() time.Duration {
	if _, err := bootTime(); err != nil {
		return monotonicClock()
	}
	return func() time.Duration {
		now, err := bootTime()
		if err != nil {
			// A wrong instant could prolong a lease; there is no safe answer.
			panic("raft: clock_gettime failed after it had worked: " + err.Error())
		}
		return now
	}
}

// bootTime returns the time since the machine was started.
func bootTime() (time.Duration, error) {
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBootTime, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}
