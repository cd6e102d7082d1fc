//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package raft

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

// lockFile refuses: without an exclusive lock two processes could share one
// identity and vote twice.
func lockFile(path string) (io.Closer, error) {
	return nil, fmt.Errorf("raft: lock %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}

// syncDir is never reached, because nothing is written without the lock.
func syncDir(path string) error {
	return fmt.Errorf("raft: sync %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}
