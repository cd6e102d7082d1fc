//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package raft

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile opens path and takes its exclusive lock. The kernel drops the lock
// with the process, however that ends.
func lockFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, err
}

// checkFile fails unless path still names the open file: nothing keeps another
// program from removing a file that is open and locked, or from putting another
// in its place.
func checkFile(f *os.File, path string) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(open, named) {
		return fmt.Errorf("file %s was replaced while it was open", path)
	}
	return nil
}

// syncDir makes a rename inside the directory durable. Some file systems, among
// them several in user space and on the network, cannot sync a directory and say
// so by EINVAL or ENOTSUP. They promise nothing about names that could be waited
// for, the file itself is synced, and its name is made but once: the node starts.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
