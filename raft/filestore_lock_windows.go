package raft

import (
	"errors"
	"os"
	"syscall"
)

// lockFile opens path so that others may read it but not open it likewise. The
// system closes the handle with the process, however that ends.
func lockFile(path string, flag int) (*os.File, error) {
	const sharingViolation = syscall.Errno(32)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	disposition := uint32(syscall.OPEN_EXISTING)
	switch {
	case flag&os.O_TRUNC != 0:
		disposition = syscall.CREATE_ALWAYS
	case flag&os.O_CREATE != 0:
		disposition = syscall.OPEN_ALWAYS
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ, nil,
		disposition, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// checkFile has nothing to look for: Windows neither removes nor renames a file
// that is open without sharing that.
func checkFile(*os.File, string) error { return nil }

// syncDir does nothing: Windows has no way to sync a directory, and NTFS logs
// a rename by itself.
func syncDir(string) error { return nil }
