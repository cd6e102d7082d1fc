package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// A snapshot is a file of its own: a header, and the contents behind it. FORMAT.md has
// the table.
const (
	snapshotHeader = 128
	snapshotMagic  = "CNSTSNAP"
	snapshotSuffix = ".snapshot"
)

// snapshotName is that of the snapshot whose last entry this is. Names sort as the
// entries do.
func snapshotName(last Position) string {
	return fmt.Sprintf("%016x-%016x%s", last.Index, last.Term, snapshotSuffix)
}

// putSnapshotHeader encodes the header of a snapshot.
func putSnapshotHeader(b []byte, store StoreID, s Snapshot) {
	b = b[:snapshotHeader]
	clear(b)
	copy(b, snapshotMagic)
	binary.BigEndian.PutUint32(b[8:], logVersion)
	copy(b[16:], store[:])
	binary.BigEndian.PutUint64(b[32:], s.Last.Term)
	binary.BigEndian.PutUint64(b[40:], s.Last.Index)
	binary.BigEndian.PutUint64(b[48:], uint64(s.Size))
	binary.BigEndian.PutUint64(b[56:], s.Hash)
	binary.BigEndian.PutUint32(b[64:], s.Checksum)
	binary.BigEndian.PutUint32(b[12:], slotChecksum(b[:12], b[16:]))
}

// parseSnapshotHeader returns what a header says.
func parseSnapshotHeader(b []byte) (StoreID, Snapshot, error) {
	switch {
	case string(b[:8]) != snapshotMagic || binary.BigEndian.Uint32(b[12:]) != slotChecksum(b[:12], b[16:snapshotHeader]):
		return StoreID{}, Snapshot{}, errors.New("the header of a snapshot is damaged")
	case binary.BigEndian.Uint32(b[8:]) != logVersion:
		return StoreID{}, Snapshot{}, errSlotVersion
	}
	return StoreID(b[16:32]), Snapshot{
		Last:     Position{Term: binary.BigEndian.Uint64(b[32:]), Index: binary.BigEndian.Uint64(b[40:])},
		Size:     int64(binary.BigEndian.Uint64(b[48:])),
		Hash:     binary.BigEndian.Uint64(b[56:]),
		Checksum: binary.BigEndian.Uint32(b[64:]),
	}, nil
}

// CreateSnapshot implements Log. The contents go to a file of their own, at once.
func (l *FileLog) CreateSnapshot() (SnapshotWriter, error) {
	l.mu.Lock()
	l.drafts++
	name := fmt.Sprintf("%d%s%s", l.drafts, snapshotSuffix, tempSuffix)
	l.mu.Unlock()
	file, err := l.disk().Create(l.path(name), true)
	if err != nil {
		return nil, fmt.Errorf("raft: create snapshot: %w", err)
	}
	return &fileSnapshot{log: l, name: name, file: file}, nil
}

// OpenSnapshot implements Log.
func (l *FileLog) OpenSnapshot() (SnapshotReader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapshot == (Snapshot{}) {
		return nil, fmt.Errorf("raft: there is no snapshot: %w", fs.ErrNotExist)
	}
	file, err := l.disk().Read(l.path(snapshotName(l.snapshot.Last)))
	if err != nil {
		return nil, fmt.Errorf("raft: open snapshot: %w", err)
	}
	return &fileContents{
		SectionReader: io.NewSectionReader(file, snapshotHeader, l.snapshot.Size), Closer: file, snapshot: l.snapshot,
	}, nil
}

// fileSnapshot is a SnapshotWriter of a FileLog.
type fileSnapshot struct {
	log  *FileLog
	name string
	file stateFile // nil once it is closed
	size int64
}

// Write implements SnapshotWriter.
func (w *fileSnapshot) Write(b []byte) (int, error) {
	if w.file == nil {
		return 0, fs.ErrClosed
	}
	if err := writeAll(w.file, b, snapshotHeader+w.size); err != nil {
		return 0, err
	}
	w.size += int64(len(b))
	return len(b), nil
}

// Sync implements SnapshotWriter.
func (w *fileSnapshot) Sync() error {
	if w.file == nil {
		return fs.ErrClosed
	}
	return w.file.Sync()
}

// Keep implements SnapshotWriter. It takes two syncs, one more if the entries go, and
// none of the contents, if they are synced.
func (w *fileSnapshot) Keep(s Snapshot) error {
	l := w.log
	if err := l.usable(); err != nil {
		return err
	}
	switch {
	case w.file == nil:
		return fs.ErrClosed
	case w.size != s.Size:
		return fmt.Errorf("raft: %d bytes of a snapshot of %d", w.size, s.Size)
	case s.Last.Index < l.snapshot.Last.Index || s.Last.Index == 0:
		return fmt.Errorf("raft: snapshot up to entry %d, but there is one up to %d", s.Last.Index, l.snapshot.Last.Index)
	}
	if err := w.publish(s); err != nil {
		return l.fail(err)
	}
	if term, found := l.term(s.Last.Index); !found && s.Last.Index >= l.before.Index || found && term != s.Last.Term {
		if err := l.restart(s.Last); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// publish gives the file its name, durably, and drops the snapshot before it.
func (w *fileSnapshot) publish(s Snapshot) error {
	l, header := w.log, make([]byte, snapshotHeader)
	putSnapshotHeader(header, l.store, s)
	err := writeAll(w.file, header, 0)
	if err == nil {
		err = w.file.Sync()
	}
	// Closed first, because Windows renames no open file.
	err = errors.Join(err, w.file.Close(), l.check())
	w.file = nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		err = l.disk().Rename(l.path(w.name), l.path(snapshotName(s.Last)))
	}
	if err == nil {
		err = l.disk().SyncDir(l.Dir)
	}
	if err != nil {
		return err
	}
	if l.snapshot != (Snapshot{}) && l.snapshot.Last != s.Last {
		// Where it is read, Windows keeps it until the next Open.
		_ = l.disk().Remove(l.path(snapshotName(l.snapshot.Last)))
	}
	l.snapshot = s
	return nil
}

// Discard implements SnapshotWriter.
func (w *fileSnapshot) Discard() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return errors.Join(err, w.log.disk().Remove(w.log.path(w.name)))
}

// fileContents is a SnapshotReader of a FileLog.
type fileContents struct {
	*io.SectionReader
	io.Closer
	snapshot Snapshot
}

// Snapshot implements SnapshotReader.
func (r *fileContents) Snapshot() Snapshot { return r.snapshot }

// loadSnapshot finds the latest snapshot and removes all others. Rule 35: one that
// cannot be read is not taken for none.
func (l *FileLog) loadSnapshot(names []string) error {
	latest := ""
	for _, name := range names {
		if !strings.HasSuffix(name, snapshotSuffix) {
			continue
		}
		if latest != "" {
			if err := l.disk().Remove(l.path(latest)); err != nil {
				return err
			}
		}
		latest = name
	}
	if latest == "" {
		return nil
	}
	file, err := l.disk().Read(l.path(latest))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	header := make([]byte, snapshotHeader)
	if _, err := file.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	store, s, err := parseSnapshotHeader(header)
	switch {
	case errors.Is(err, errSlotVersion):
		return &StoreError{Path: l.path(latest), Reason: ErrForeign, Detail: err.Error()}
	case err != nil:
	case store != l.store:
		return &StoreError{Path: l.path(latest), Reason: ErrForeign, Detail: fmt.Sprintf("it is of store %v", store)}
	case snapshotName(s.Last) != latest:
		err = errors.New("the name of a snapshot is wrong")
	case s.Size > 0:
		if n, _ := file.ReadAt(header[:1], snapshotHeader+s.Size-1); n == 0 {
			err = errors.New("a snapshot is cut short")
		}
	}
	if err != nil {
		return &LogError{Path: l.path(latest), Detail: err.Error()}
	}
	l.snapshot = s
	return nil
}
