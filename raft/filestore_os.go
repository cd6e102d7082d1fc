package raft

import (
	"io"
	"os"
)

// osFileSystem is the fileSystem of the operating system.
type osFileSystem struct{}

func (osFileSystem) Lock(path string) (io.Closer, error) { return lockFile(path) }

func (osFileSystem) Open(path string) (stateFile, error) {
	return openState(path, os.O_RDWR)
}

func (osFileSystem) Create(path string) (stateFile, error) {
	return openState(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osFileSystem) Rename(from, to string) error { return os.Rename(from, to) }

func (osFileSystem) SyncDir(path string) error { return syncDir(path) }

// openState never wraps a nil *os.File in the interface.
func openState(path string, flag int) (stateFile, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}
