package raft

import (
	"errors"
	"os"
	"syscall"
)

// syncData makes the contents of a file durable, and not its times, which a journaling
// file system would write elsewhere.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
