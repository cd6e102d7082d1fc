//go:build unix

package scheduler

import (
	"syscall"
	"time"
)

// cpuTime returns the processor time that the process has taken.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
