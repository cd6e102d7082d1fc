//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package boltjournal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// lockDir locks a directory: the lock of bbolt is that of a file, and a file
// that is moved away takes it along.
func lockDir(dir string, wait time.Duration) (io.Closer, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	for until := time.Now().Add(wait); ; time.Sleep(lockPause) {
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return d, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return unlocked{}, d.Close() // not every file system can
		case time.Now().After(until):
			return nil, errors.Join(ErrLocked, d.Close())
		}
	}
}

// unlock gives up the lock of bbolt.
func unlock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

// exposed reports whether everybody may write the file.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o002 != 0 }

// stored returns how many bytes of a file are on the disk: what was never
// written takes none.
func stored(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(stat.Blocks) * 512 //nolint:unconvert // Not an int64 on every system.
	}
	return info.Size()
}
