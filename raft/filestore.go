package raft

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
)

// FileStore keeps a node's record in one file of 8 KiB with two slots, so that
// an answered Save survives a crash at any instant and one bad slot costs
// nothing (rule 14). Beside the file there is Path + ".lock", which is locked
// while the store is open and stays behind, and for an instant Path + ".tmp".
// The directory must exist and be on a local disk that keeps what File.Sync
// has answered.
//
//	raft.Config{Store: &raft.FileStore{Path: "/var/lib/service/raft"}, …}
//
// It is not safe for concurrent use; a node does not need it to be.
type FileStore struct {
	// Path is the name of the file. It must not change while the store is open.
	Path string

	fs     fileSystem // nil: the operating system's
	lock   io.Closer  // nil while the store is closed
	file   stateFile  // nil until the first Save after Open
	failed error      // the Save that failed; nothing is written after it
	last   uint64     // sequence of the newest record
	next   int        // the slot not known to be durable: the next to write
	buf    []byte     // one slot, reused
}

var _ Store = (*FileStore)(nil)

// stateFile is what the store needs from an open file.
type stateFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
}

// fileSystem is what the store needs from a disk; tests put faults into it.
type fileSystem interface {
	Lock(path string) (io.Closer, error)
	Open(path string) (stateFile, error)
	Create(path string) (stateFile, error)
	Rename(from, to string) error
	SyncDir(path string) error
}

// Open implements Store. It reads the file and changes nothing.
func (s *FileStore) Open() (Record, error) {
	if s.lock != nil {
		return Record{}, &StateError{Path: s.Path, Reason: ErrLocked, Detail: "this store is open already"}
	}
	lock, err := s.disk().Lock(s.Path + ".lock")
	if errors.Is(err, ErrLocked) {
		return Record{}, &StateError{Path: s.Path, Reason: ErrLocked}
	}
	if err != nil {
		return Record{}, fmt.Errorf("raft: lock state file: %w", err)
	}
	record, sequence, err := s.load()
	if err != nil {
		_ = lock.Close()
		return Record{}, err
	}
	s.lock, s.last, s.failed = lock, sequence, nil
	return record, nil
}

// load reads the record and its sequence.
func (s *FileStore) load() (Record, uint64, error) {
	f, err := s.disk().Open(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, 0, nil
	}
	if err != nil {
		return Record{}, 0, fmt.Errorf("raft: open state file: %w", err)
	}
	defer func() { _ = f.Close() }()
	content := make([]byte, stateFileSize)
	if n, err := f.ReadAt(content, 0); n < len(content) {
		if errors.Is(err, io.EOF) {
			return Record{}, 0, s.unusable(ErrCorrupt, fmt.Errorf("%d bytes of %d", n, len(content)))
		}
		return Record{}, 0, fmt.Errorf("raft: read state file: %w", err)
	}
	newest, damage, err := newestSlot(content)
	if err != nil {
		reason := ErrCorrupt
		if errors.Is(err, errSlotVersion) {
			reason = ErrForeign
		}
		return Record{}, 0, s.unusable(reason, err)
	}
	record := Record{Found: true, Damage: damage}
	if err := record.State.UnmarshalBinary(newest.payload); err != nil {
		return Record{}, 0, s.unusable(ErrCorrupt, err)
	}
	return record, newest.sequence, nil
}

func (s *FileStore) unusable(reason, detail error) error {
	return &StateError{Path: s.Path, Reason: reason, Detail: detail.Error()}
}

// Save implements Store.
//
// The first Save after Open writes a whole new file and renames it over the
// old one. So a file that an earlier process left behind is never written in
// place, and it does not matter which of its pages had reached the disk.
func (s *FileStore) Save(state HardState) error {
	if s.lock == nil {
		return errors.New("raft: save to a store that is not open")
	}
	if s.failed != nil {
		return s.failed
	}
	if err := s.save(state); err != nil {
		s.failed = fmt.Errorf("raft: save state file: %w", err)
	}
	return s.failed
}

func (s *FileStore) save(state HardState) error {
	if s.last == math.MaxUint64 {
		return errors.New("no sequence is left")
	}
	payload, err := state.AppendBinary(nil)
	if err != nil {
		return err
	}
	s.buf, err = appendSlot(s.buf[:0], slot{sequence: s.last + 1, payload: payload})
	if err != nil {
		return err
	}
	write := s.overwrite
	if s.file == nil {
		write = s.create
	}
	if err := write(); err != nil {
		return err
	}
	s.last++
	return nil
}

// overwrite writes the slot that may be stale on the disk and syncs it, and only
// then touches the other, which until that instant held the last record.
func (s *FileStore) overwrite() error {
	if err := s.writeSlot(s.file, s.next); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.next = 1 - s.next
	return s.writeSlot(s.file, s.next)
}

// create puts a new file with the record in both slots in place of the old one.
func (s *FileStore) create() error {
	temp := s.Path + ".tmp"
	f, err := s.disk().Create(temp)
	if err != nil {
		return err
	}
	for i := range 2 {
		if err == nil {
			err = s.writeSlot(f, i)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.disk().Rename(temp, s.Path); err != nil {
		return err
	}
	if err := s.disk().SyncDir(filepath.Dir(s.Path)); err != nil {
		return err
	}
	s.file, err = s.disk().Open(s.Path)
	s.next = 0
	return err
}

func (s *FileStore) writeSlot(f stateFile, i int) error {
	n, err := f.WriteAt(s.buf, int64(i)*slotSize)
	if err == nil && n < len(s.buf) {
		err = io.ErrShortWrite
	}
	return err
}

// Close implements Store.
func (s *FileStore) Close() error {
	if s.lock == nil {
		return nil
	}
	var err error
	if s.file != nil {
		err = s.file.Close()
	}
	err = errors.Join(err, s.lock.Close())
	s.file, s.lock = nil, nil
	if err != nil {
		return fmt.Errorf("raft: close state file: %w", err)
	}
	return nil
}

func (s *FileStore) disk() fileSystem {
	if s.fs == nil {
		return osFileSystem{}
	}
	return s.fs
}
