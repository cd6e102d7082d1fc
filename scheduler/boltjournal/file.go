package boltjournal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// openFile is the journal's file as bbolt has opened it.
type openFile struct {
	*os.File
	path string
	info fs.FileInfo // when it was opened
	size int64       // the greatest that was seen; belongs to the writer
}

// open is what bbolt opens the file with.
func (f *openFile) open(path string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	f.File, f.path = file, path
	if f.info, err = file.Stat(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f.size = f.info.Size()
	return file, nil
}

// abandon closes the file where bbolt cannot: its mapping stays, and would keep
// the lock.
func (f *openFile) abandon() error { return errors.Join(unlock(f.File), f.Close()) }

// check looks whether the path still names the file, and whether it has its
// length: it only grows.
func (f *openFile) check() error {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &MovedError{f.path}
	case err != nil:
		return fmt.Errorf("boltjournal: %w", err)
	case !os.SameFile(info, f.info):
		return &MovedError{f.path}
	case info.Size() < f.size:
		return &CorruptError{f.path, "end of file", fmt.Sprintf("%d bytes, it had %d", info.Size(), f.size)}
	}
	f.size = info.Size()
	return nil
}

// lockPause is how long it takes until a lock is tried again.
const lockPause = 50 * time.Millisecond

// unlocked is the lock of a directory where there is none.
type unlocked struct{}

func (unlocked) Close() error { return nil }
