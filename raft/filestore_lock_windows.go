package raft

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile takes the exclusive lock of path, creating the file if need be, by
// opening it without sharing: the system closes the handle with the process,
// however that ends.
func lockFile(path string) (io.Closer, error) {
	const sharingViolation = syscall.Errno(32)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// syncDir does nothing: Windows has no way to sync a directory, and NTFS logs
// a rename by itself.
func syncDir(string) error { return nil }
