//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package boltjournal

import (
	"io"
	"io/fs"
	"os"
	"time"
)

// lockDir locks nothing: Windows does not let a file be moved that is open.
func lockDir(string, time.Duration) (io.Closer, error) { return unlocked{}, nil }

// unlock has nothing to do: the lock goes with the handle.
func unlock(*os.File) error { return nil }

// exposed is false: the mode does not say which users may write.
func exposed(fs.FileInfo) bool { return false }

func stored(info fs.FileInfo) int64 { return info.Size() }
