package raft

import (
	"fmt"
	"os"
)

// osFileSystem is the fileSystem of the operating system.
type osFileSystem struct{}

func (osFileSystem) Open(path string) (stateFile, error) {
	return openLocked(path, os.O_RDWR)
}

func (osFileSystem) Create(path string, truncate bool) (stateFile, error) {
	flag := os.O_RDWR | os.O_CREATE
	if truncate {
		flag |= os.O_TRUNC
	}
	return openLocked(path, flag)
}

func (osFileSystem) Read(path string) (stateFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFileSystem) List(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].Name()
	}
	return names, nil
}

func (osFileSystem) SyncData(f stateFile) error {
	if file, ok := f.(*os.File); ok {
		return syncData(file)
	}
	return f.Sync()
}

func (osFileSystem) Check(f stateFile, path string) error {
	file, ok := f.(*os.File)
	if !ok {
		return fmt.Errorf("check %s: not a file of the operating system", path)
	}
	return checkFile(file, path)
}

func (osFileSystem) Rename(from, to string) error { return os.Rename(from, to) }

func (osFileSystem) Remove(path string) error { return os.Remove(path) }

func (osFileSystem) SyncDir(path string) error { return syncDir(path) }

// openLocked never wraps a nil *os.File in the interface.
func openLocked(path string, flag int) (stateFile, error) {
	f, err := lockFile(path, flag)
	if err != nil {
		return nil, err
	}
	return f, nil
}
