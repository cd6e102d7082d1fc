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
// nothing (rule 14). Beside the file there is Path + ".lock", which stays behind,
// and, while the very first record is saved, Path + ".tmp". The directory must
// exist and be on a local disk that keeps what File.Sync has answered.
//
//	raft.Config{Store: &raft.FileStore{Path: "/var/lib/service/raft"}, …}
//
// Both files are locked while the store is open. If one of them is removed or
// replaced meanwhile, Open by another process may succeed, but the next Save here
// fails instead of answering for a record that nobody would find again.
//
// The file is written in place, so that a node restarts on a full disk, where the
// file system needs no room to overwrite. To begin again, remove both files.
//
// It is not safe for concurrent use; a node does not need it to be.
type FileStore struct {
	// Path is the name of the file, not empty. It must not change while the store
	// is open.
	Path string

	fs     fileSystem // nil: the operating system's
	lock   stateFile  // nil while the store is closed
	file   stateFile  // nil while there is none
	failed error      // the Save that failed; nothing is written after it
	last   uint64     // sequence of the newest record
	synced bool       // what the file holds is known to be durable
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

// fileSystem is what a FileStore and a FileLog need from a disk; tests put faults into
// it.
type fileSystem interface {
	// Open opens a file and locks it, Create makes it anew first if asked to.
	// Both fail with ErrLocked if another has it locked.
	Open(path string) (stateFile, error)
	Create(path string, truncate bool) (stateFile, error)
	// Read opens a file to read it only, also one that is locked.
	Read(path string) (stateFile, error)
	// List returns the names of what is in a directory, in their order.
	List(path string) ([]string, error)
	// Check fails unless path still names the open file f.
	Check(f stateFile, path string) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncData makes durable what was written to an open file whose length is durable.
	SyncData(f stateFile) error
	SyncDir(path string) error
}

// validate reports a store that cannot be opened anywhere. It may be nil.
func (s *FileStore) validate() error {
	if s == nil || s.Path == "" {
		return fmt.Errorf("%w: a FileStore needs a Path", ErrConfig)
	}
	return nil
}

// Open implements Store. It reads the file and does not change it. It locks Path +
// ".lock", and creates that if it is missing. Open also fails with ErrStale if the
// file holds an older record than the last one saved, because it was restored from
// a backup: as far as Path + ".lock", which is told of each Save, is still there to
// say so.
func (s *FileStore) Open() (StoredState, error) {
	if err := s.validate(); err != nil {
		return StoredState{}, err
	}
	if s.lock != nil {
		return StoredState{}, &StoreError{Path: s.Path, Reason: ErrLocked, Detail: "this store is open already"}
	}
	lock, err := s.disk().Create(s.lockPath(), false)
	if err != nil {
		return StoredState{}, s.cannot("lock", err)
	}
	file, record, sequence, err := s.load(lock)
	if err != nil {
		_ = lock.Close()
		return StoredState{}, err
	}
	s.lock, s.file, s.last, s.failed, s.synced = lock, file, sequence, nil, false
	return record, nil
}

// load opens the file and reads the record and its sequence. file is nil if there
// is none.
func (s *FileStore) load(lock stateFile) (file stateFile, record StoredState, sequence uint64, err error) {
	file, err = s.disk().Open(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, StoredState{}, 0, nil
	}
	if err != nil {
		return nil, StoredState{}, 0, s.cannot("open", err)
	}
	record, sequence, err = s.read(file)
	if marked := readMark(lock); err == nil && marked > sequence {
		err = s.unusable(ErrStale, fmt.Errorf("it holds record %d, but record %d was saved", sequence, marked))
	}
	if err != nil {
		_ = file.Close()
		return nil, StoredState{}, 0, err
	}
	return file, record, sequence, nil
}

// read returns what the file holds.
func (s *FileStore) read(file stateFile) (StoredState, uint64, error) {
	content := make([]byte, stateFileSize)
	if n, err := file.ReadAt(content, 0); n < len(content) {
		if errors.Is(err, io.EOF) {
			return StoredState{}, 0, s.unusable(ErrCorrupt, fmt.Errorf("%d bytes of %d", n, len(content)))
		}
		return StoredState{}, 0, s.cannot("read", err)
	}
	newest, damage, err := newestSlot(content)
	if err != nil {
		reason := ErrCorrupt
		if errors.Is(err, errSlotVersion) {
			reason = ErrForeign
		}
		return StoredState{}, 0, s.unusable(reason, err)
	}
	record := StoredState{Found: true, Damage: damage}
	if err := record.State.UnmarshalBinary(newest.payload); err != nil {
		return StoredState{}, 0, s.unusable(ErrCorrupt, err)
	}
	return record, newest.sequence, nil
}

func (s *FileStore) unusable(reason, detail error) error {
	return &StoreError{Path: s.Path, Reason: reason, Detail: detail.Error()}
}

// cannot says what the disk has refused.
func (s *FileStore) cannot(verb string, err error) error {
	if errors.Is(err, ErrLocked) {
		return &StoreError{Path: s.Path, Reason: ErrLocked}
	}
	return fmt.Errorf("raft: %s state file: %w", verb, err)
}

// Save implements Store. It costs one sync of the file, whatever the number of
// members. The first Save after Open also syncs the directory, and once more the
// file if there was one. After a Save that has failed nothing is written any more:
// each later one returns the same error, until the store is opened again.
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
	} else if !s.synced {
		if err := s.resync(); err != nil {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	// After the write: whoever removes or replaces a file later, and then opens
	// another store here, finds this record or the file locked.
	if err := s.check(); err != nil {
		return err
	}
	s.last++
	writeMark(s.lock, s.last)
	return nil
}

// resync makes durable what an earlier process has written, the file's name and its
// newest slot, which Open could not see: a sync that failed leaves pages that read
// as written and are not on the disk. Writing the same bytes again does no harm if
// the disk has them, and if it does not, it has the other slot.
func (s *FileStore) resync() error {
	content := make([]byte, stateFileSize)
	if _, err := s.file.ReadAt(content, 0); err != nil {
		return err
	}
	newest, _, err := newestSlot(content)
	if err != nil {
		return err
	}
	if err := s.writeSlot(s.file, newest.index, content[newest.index*slotSize:][:slotSize]); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	if err := s.disk().SyncDir(filepath.Dir(s.Path)); err != nil {
		return err
	}
	s.next, s.synced = 1-newest.index, true
	return nil
}

// overwrite writes the slot that may be stale on the disk and syncs it, and only
// then touches the other, which until that instant held the last record.
func (s *FileStore) overwrite() error {
	if err := s.writeSlot(s.file, s.next, s.buf); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.next = 1 - s.next
	return s.writeSlot(s.file, s.next, s.buf)
}

// create writes the very first record to both slots of a new file. If it fails,
// it leaves no file behind that would fill a full disk.
func (s *FileStore) create() error {
	temp := s.Path + ".tmp"
	f, err := s.disk().Create(temp, true)
	if err != nil {
		return err
	}
	for i := range 2 {
		if err == nil {
			err = s.writeSlot(f, i, s.buf)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	// Closed first, because Windows renames no open file.
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.disk().Rename(temp, s.Path)
	}
	if err != nil {
		return errors.Join(err, s.disk().Remove(temp))
	}
	if err := s.disk().SyncDir(filepath.Dir(s.Path)); err != nil {
		return err
	}
	s.file, err = s.disk().Open(s.Path)
	s.synced, s.next = true, 0
	return err
}

// check fails if another could have the files by now.
func (s *FileStore) check() error {
	return errors.Join(s.disk().Check(s.file, s.Path), s.disk().Check(s.lock, s.lockPath()))
}

func (s *FileStore) lockPath() string { return s.Path + ".lock" }

func (*FileStore) writeSlot(f stateFile, i int, content []byte) error {
	n, err := f.WriteAt(content, int64(i)*slotSize)
	if err == nil && n < len(content) {
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
