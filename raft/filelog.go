package raft

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"sync"
)

// FileLog keeps a node's log in files of a folder, which must exist, is the log's own
// and is on a local disk that keeps what File.Sync has answered.
//
//	raft.Config{
//		Store: &raft.FileStore{Path: "/var/lib/service/raft"},
//		Log:   &raft.FileLog{Dir: "/var/lib/service/log"}, …}
//
// The log is a row of segments of 16 MiB, each filled with zeros and synced before it
// is needed, beside the appends. An Append costs one write and one sync of the data,
// whatever the number of entries, and allocates nothing; more than a segment has room
// for is written in several such steps. A segment whose entries are compacted is used
// again. So the folder needs the entries that are kept, two segments and two snapshots.
// FORMAT.md says what the files contain.
//
// A log that was written, and cannot be read, is not taken for a shorter one. If what
// cannot be read is the very last batch, a power failure may have torn it, or it was
// durable and has rotted: Open cuts it and says so, see StoredLog. If what follows shows
// that it was durable, Open fails with a LogError, unless CutCorrupt is set.
//
// Log says which methods may be called beside others.
type FileLog struct {
	// Dir is the folder, not empty. It must not change while the log is open.
	Dir string
	// CutCorrupt has Open cut a log before the first batch that cannot be read, instead
	// of failing, though entries behind it were durable. StoredLog.Unproven says so: the
	// member helps nobody to win until a leader has brought it what is missing. Set it
	// for one member at a time, when a majority of the others is up and sound.
	CutCorrupt bool

	fs          fileSystem   // nil: the operating system's
	segmentSize int64        // 0: defaultSegmentSize
	spawn       func(func()) // runs what is done beside the appends; nil: in a goroutine

	lock     stateFile // nil while the log is closed
	store    StoreID
	segments []segment // oldest first; the last is the one that is written to
	file     stateFile // of the last segment
	offset   int64     // in it, where the next batch goes
	next     *nextSegment
	spare    bool // there is a segment that can be used again
	failed   error
	buf      []byte // one batch, reused

	sequence uint64 // of the last batch
	checksum uint32
	unproven bool
	before   Position   // the entry before the first that is kept
	last     Position   // where the log ends
	runs     []Position // the first entry of each run of entries of one term

	mu       sync.Mutex // guards what follows, and the removal of snapshots
	snapshot Snapshot
	drafts   int // snapshots begun: their files are numbered
}

// segment is one file of the log.
type segment struct {
	number uint64
	size   int64
	last   uint64 // no entry in it has a higher index
}

// defaultSegmentSize is how long a segment is.
const defaultSegmentSize = 16 << 20

var _ Log = (*FileLog)(nil)

// validate reports a log that cannot be opened anywhere. It may be nil.
func (l *FileLog) validate() error {
	if l == nil || l.Dir == "" {
		return fmt.Errorf("%w: a FileLog needs a Dir", ErrConfig)
	}
	return nil
}

// Append implements Log. It fails with ErrTooLarge for an entry that no message has room
// for, and then the log is as before. After any other error nothing is written any more:
// each later call returns the same error, until the log is opened again. It takes time
// in proportion to the entries' bytes, and a sync of the disk.
func (l *FileLog) Append(entries []Entry) error {
	if err := l.usable(); err != nil || len(entries) == 0 {
		return err
	}
	if err := l.admits(entries); err != nil {
		return err
	}
	for len(entries) > 0 {
		n := l.fitting(entries)
		term, _ := l.term(entries[0].Index - 1)
		before := Position{Term: term, Index: entries[0].Index - 1}
		if err := l.write(batchEntries, before, entries[:n]); err != nil {
			return l.fail(err)
		}
		l.note(entries[:n])
		entries = entries[n:]
	}
	return nil
}

// usable reports why nothing can be written.
func (l *FileLog) usable() error {
	if l.lock == nil {
		return errLogClosed
	}
	return l.failed
}

// fail makes an error the last of this log: what is on the disk is not known.
func (l *FileLog) fail(err error) error {
	l.failed = fmt.Errorf("raft: write log %q: %w", l.Dir, err)
	return l.failed
}

// admits reports what keeps entries from being appended.
func (l *FileLog) admits(entries []Entry) error {
	first := entries[0].Index
	if first <= l.before.Index || first > l.last.Index+1 {
		return fmt.Errorf("raft: append of entry %d to a log from %d to %d", first, l.before.Index+1, l.last.Index)
	}
	for i := range entries {
		if entries[i].Index != first+uint64(i) {
			return fmt.Errorf("raft: append of entry %d behind %d", entries[i].Index, first+uint64(i)-1)
		}
		if int64(entries[i].size()) > l.room() {
			return fmt.Errorf("%w: entry of %d bytes", ErrTooLarge, len(entries[i].Data))
		}
	}
	return nil
}

// room is how many bytes of entries a batch may have: it fits an empty segment, with
// the zeros behind it.
func (l *FileLog) room() int64 { return l.size() - segmentHeader - 2*batchUnit }

func (l *FileLog) size() int64 {
	if l.segmentSize == 0 {
		return defaultSegmentSize
	}
	return l.segmentSize
}

// fitting returns how many of the entries one batch has room for.
func (l *FileLog) fitting(entries []Entry) int {
	room := l.room()
	for i := range entries {
		if room -= int64(entries[i].size()); room < 0 {
			return i
		}
	}
	return len(entries)
}

// write appends one batch, in the next segment if this one has no room for it.
func (l *FileLog) write(kind batchKind, before Position, entries []Entry) error {
	need := 2*batchUnit + roundUp(int64(entriesSize(entries)))
	if l.offset+need > l.current().size {
		if err := l.roll(); err != nil {
			return err
		}
	}
	return l.put(kind, before, entries)
}

// put writes one batch and returns once that is durable. Rule 35: each names the one
// before, which is durable by now, and nothing follows a sync that has failed.
func (l *FileLog) put(kind batchKind, before Position, entries []Entry) error {
	h := batch{
		previous: l.checksum, sequence: l.sequence + 1, kind: kind, before: before,
		segment: l.current().number, offset: uint32(l.offset),
	}
	if l.unproven {
		h.flags = batchUnproven
	}
	at := l.offset
	l.buf = l.buf[:0]
	if at == segmentHeader { // A cut may have to repair the header, in the same sector.
		at = 0
		l.buf = append(l.buf, make([]byte, segmentHeader)...)
		putSegmentHeader(l.buf, l.store, h.segment, l.current().size)
	}
	l.buf = appendBatch(l.buf, &h, entries)
	b := l.buf[:min(int64(len(l.buf)), l.current().size-at)] // A cut may end the segment.
	if err := writeAll(l.file, b, at); err != nil {
		return err
	}
	if err := l.disk().SyncData(l.file); err != nil {
		return err
	}
	l.offset += h.size()
	l.sequence, l.checksum = h.sequence, h.checksum
	return nil
}

// current returns the segment that is written to.
func (l *FileLog) current() *segment { return &l.segments[len(l.segments)-1] }

// writeAll writes b, all of it or with an error.
func writeAll(f stateFile, b []byte, offset int64) error {
	n, err := f.WriteAt(b, offset)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// note remembers what was appended.
func (l *FileLog) note(entries []Entry) {
	for n := len(l.runs); n > 0 && l.runs[n-1].Index >= entries[0].Index; n-- {
		l.runs = l.runs[:n-1]
	}
	for i := range entries {
		if n := len(l.runs); n == 0 || l.runs[n-1].Term != entries[i].Term {
			l.runs = append(l.runs, entries[i].position())
		}
	}
	l.last = entries[len(entries)-1].position()
	l.current().last = max(l.current().last, l.last.Index)
}

// term returns the term of an entry that the log has, or of the one before the first.
func (l *FileLog) term(index uint64) (uint64, bool) {
	switch {
	case index == l.before.Index:
		return l.before.Term, true
	case index < l.before.Index || index > l.last.Index:
		return 0, false
	}
	n := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].Index > index })
	return l.runs[n-1].Term, true
}

// restart drops all entries: the log goes on behind a snapshot.
func (l *FileLog) restart(at Position) error {
	if err := l.write(batchRestart, at, nil); err != nil {
		return err
	}
	l.before, l.last, l.runs = at, at, nil
	return nil
}

// Prove implements Log.
func (l *FileLog) Prove() { l.unproven = false }

// Compact implements Log. Segments go once they have no other entries, all but one of
// them for good. It takes time in proportion to their number.
func (l *FileLog) Compact(upTo uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	upTo = min(upTo, l.snapshot.Last.Index, l.last.Index)
	term, found := l.term(upTo)
	if !found {
		return nil
	}
	l.before = Position{Term: term, Index: upTo}
	for len(l.runs) > 1 && l.runs[1].Index <= upTo+1 {
		l.runs = l.runs[1:]
	}
	if err := l.retire(upTo); err != nil {
		return l.fail(err)
	}
	return nil
}

// Close implements Log. It waits for the segment that is being made.
func (l *FileLog) Close() error {
	if l.lock == nil {
		return nil
	}
	err := l.closeFiles()
	if err != nil {
		return fmt.Errorf("raft: close log %q: %w", l.Dir, err)
	}
	return nil
}

// closeFiles closes what is open, and the lock last.
func (l *FileLog) closeFiles() error {
	var err error
	if l.next != nil {
		<-l.next.made
		if l.next.file != nil {
			err = l.next.file.Close()
		}
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	err = errors.Join(err, l.lock.Close())
	l.next, l.file, l.lock, l.segments, l.runs = nil, nil, nil, nil, nil
	return err
}

func (l *FileLog) path(name string) string { return filepath.Join(l.Dir, name) }

func (l *FileLog) disk() fileSystem {
	if l.fs == nil {
		return osFileSystem{}
	}
	return l.fs
}
