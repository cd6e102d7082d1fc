//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package raft

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// lockFile refuses: without an exclusive lock two processes could share one
// identity and vote twice.
func lockFile(path string, _ int) (*os.File, error) {
	return nil, fmt.Errorf("raft: lock %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}

// checkFile is never reached, because nothing is opened without the lock.
func checkFile(*os.File, string) error { return errors.ErrUnsupported }

// syncDir is never reached, because nothing is written without the lock.
func syncDir(path string) error {
	return fmt.Errorf("raft: sync %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}
