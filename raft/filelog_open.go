package raft

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Open implements Log. It reads every segment, so that it takes time in proportion to
// the log on disk, and syncs the end of it twice at most. It fails with a LogError,
// which unwraps to ErrCorrupt, unless CutCorrupt is set, and with ErrForeign also for a
// log that a later version has written.
func (l *FileLog) Open(store StoreID, begun bool) (StoredLog, error) {
	if err := l.validate(); err != nil {
		return StoredLog{}, err
	}
	if l.lock != nil {
		return StoredLog{}, &StoreError{Path: l.Dir, Reason: ErrLocked, Detail: "this log is open already"}
	}
	lock, err := l.disk().Create(l.path(logLock), false)
	if errors.Is(err, ErrLocked) {
		return StoredLog{}, &StoreError{Path: l.Dir, Reason: ErrLocked}
	}
	if err != nil {
		return StoredLog{}, fmt.Errorf("raft: lock log: %w", err)
	}
	l.lock, l.store, l.failed, l.spare, l.snapshot = lock, store, nil, false, Snapshot{}
	stored, err := l.load(begun)
	if err != nil {
		err = errors.Join(err, l.closeFiles())
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrForeign) {
			err = fmt.Errorf("raft: open log %q: %w", l.Dir, err)
		}
		return StoredLog{}, err
	}
	return stored, nil
}

// load reads what there is and makes it durable.
func (l *FileLog) load(begun bool) (StoredLog, error) {
	names, err := l.disk().List(l.Dir)
	if err != nil {
		return StoredLog{}, err
	}
	// What is seen may not be durable. Nothing goes because something else is there
	// before that is.
	if err := l.disk().SyncDir(l.Dir); err != nil {
		return StoredLog{}, err
	}
	numbers, err := l.tidy(names)
	if err != nil {
		return StoredLog{}, err
	}
	if err := l.loadSnapshot(names); err != nil {
		return StoredLog{}, err
	}
	if len(numbers) == 0 {
		if begun || l.snapshot != (Snapshot{}) {
			return StoredLog{}, &LogError{Path: l.Dir, Index: 1, Detail: "the store has had a log, and there is none"}
		}
		return StoredLog{}, l.create()
	}
	gap := lastGap(numbers)
	r := new(recovery)
	if err := r.read(l, numbers[gap:]); err != nil {
		return StoredLog{}, err
	}
	if err := l.trusts(r); err != nil {
		return StoredLog{}, err
	}
	// The snapshot has what these have.
	if err := l.release(numbers[:gap]); err != nil {
		return StoredLog{}, err
	}
	return l.resume(r)
}

// tidy removes what is left of something that a crash has broken off, and returns the
// numbers of the segments.
func (l *FileLog) tidy(names []string) ([]uint64, error) {
	var numbers []uint64
	for _, name := range names {
		if strings.HasSuffix(name, tempSuffix) {
			if err := l.disk().Remove(l.path(name)); err != nil {
				return nil, err
			}
		}
		l.spare = l.spare || name == spareSegment
		if number, found := segmentNumber(name); found {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// lastGap returns where the numbers begin that follow one another to the end. Segments
// before a gap are left of a compaction, or else those in it are lost.
func lastGap(numbers []uint64) int {
	i := len(numbers) - 1
	for i > 0 && numbers[i-1]+1 == numbers[i] {
		i--
	}
	return i
}

// create begins the log.
func (l *FileLog) create() error {
	l.sequence, l.checksum, l.unproven = 0, 0, false
	l.before, l.last, l.runs = Position{}, Position{}, nil
	maker := segmentMaker{fs: l.disk(), dir: l.Dir, store: l.store, size: l.size()}
	file, err := maker.make(1)
	if err != nil {
		return err
	}
	l.segments, l.file, l.offset = []segment{{number: 1, size: l.size()}}, file, segmentHeader
	l.prepare()
	return nil
}

// recovery is what is read of the segments.
type recovery struct {
	log      logReader
	segments []segment
	current  int    // in which of them the log ends
	end      int64  // where in it
	tail     []byte // its last batch, if there is one
	damage   error  // what is wrong there
	durable  bool   // what cannot be read there was durable
}

// read reads the segments of these numbers, which follow one another. It returns an
// error if they cannot be read at all; damage is no error.
func (r *recovery) read(l *FileLog, numbers []uint64) error {
	var content []byte
	for i, number := range numbers {
		var header, err error
		content, header, err = l.readSegment(number, content)
		if err != nil {
			return err
		}
		r.segments = append(r.segments, segment{number: number, size: int64(len(content))})
		switch {
		case r.damage != nil:
			r.lookBehind(number, content, segmentHeader)
		case header != nil:
			r.current, r.end, r.damage = i, 0, header
			r.lookBehind(number, content, segmentHeader)
		default:
			r.continueIn(i, content)
		}
	}
	return nil
}

// continueIn reads on in a segment.
func (r *recovery) continueIn(i int, content []byte) {
	number := r.segments[i].number
	end, damage := r.log.read(number, content)
	r.segments[i].last = r.log.highest
	if r.log.lastAt > 0 {
		r.tail = append(r.tail[:0], content[r.log.lastAt:end]...)
	}
	if r.log.lastAt > 0 || damage != nil || i == 0 { // Else nothing was written here yet.
		r.current, r.end, r.damage = i, int64(end), damage
	}
	if damage == nil {
		return
	}
	// Rule 35: what was written behind it shows that it was durable.
	h, err := parseBatch(content[end : end+batchUnit])
	behind := end + batchUnit
	if err == nil && h.segment == number && int64(h.offset) == int64(end) {
		r.durable = !errors.Is(damage, errBatchChecksum)
		behind = end + int(min(h.size(), int64(len(content)-end)))
	}
	r.lookBehind(number, content, behind)
}

func (r *recovery) lookBehind(number uint64, content []byte, from int) {
	if _, found := laterBatch(number, content, from); found {
		r.durable = true
	}
}

// trusts reports what keeps the log from going on with what was read.
func (l *FileLog) trusts(r *recovery) error {
	if before := r.log.before.Index; before > l.snapshot.Last.Index {
		return &LogError{Path: l.Dir, Index: before, Detail: "entries are gone that no snapshot has"}
	}
	if r.damage != nil && r.durable && !l.CutCorrupt {
		return &LogError{
			Path: l.path(segmentName(r.segments[r.current].number)), Offset: r.end,
			Index: r.log.last().Index + 1, Detail: r.damage.Error(),
		}
	}
	return nil
}

// resume goes on behind what was read, which is durable afterwards.
func (l *FileLog) resume(r *recovery) (StoredLog, error) {
	l.sequence, l.checksum, l.unproven = r.log.sequence, r.log.checksum, r.log.unproven
	l.before, l.last, l.runs = r.log.before, r.log.last(), r.log.runs()
	l.segments, l.offset = r.segments[:r.current+1], r.end
	secure := l.rewrite
	if r.damage != nil {
		secure = l.cut
	}
	if err := secure(r); err != nil {
		return StoredLog{}, err
	}
	entries, s := r.log.entries, l.snapshot.Last
	// What ends before the snapshot, or has another entry there, it takes the place of.
	if term, found := l.term(s.Index); s.Index > 0 && (!found || term != s.Term) {
		if err := l.restart(s); err != nil {
			return StoredLog{}, err
		}
		entries = nil
	}
	return StoredLog{Snapshot: l.snapshot, Entries: entries, Unproven: l.unproven}, nil
}

// rewrite writes the last batch once more: an earlier process may have failed to sync
// it, which leaves pages that read as written and are not on the disk. If the disk has
// it, that does no harm; if not, nobody was told that it was there.
func (l *FileLog) rewrite(r *recovery) (err error) {
	later := r.segments[r.current+1:]
	if len(later) > 0 {
		next := &nextSegment{made: make(chan struct{})}
		close(next.made)
		if next.file, err = l.disk().Open(l.path(segmentName(later[0].number))); err != nil {
			return err
		}
		l.next, later = next, later[1:]
	}
	if err := l.drop(later); err != nil {
		return err
	}
	if l.next == nil {
		l.prepare()
	}
	current := l.segments[r.current]
	if l.file, err = l.disk().Open(l.path(segmentName(current.number))); err != nil || len(r.tail) == 0 {
		return err
	}
	at := r.end - int64(len(r.tail))
	tail := append(r.tail, make([]byte, min(batchUnit, current.size-r.end))...)
	if err := writeAll(l.file, tail, at); err != nil {
		return err
	}
	return l.disk().SyncData(l.file)
}

// cut puts an end to the log where it cannot be read. Rule 35: what was there may have
// been durable, so that the log is unproven until it was compared with a leader's. First
// everything behind that place goes, so that it never shows as a part of the log; the
// damage stays to be seen until the cut is written.
func (l *FileLog) cut(r *recovery) (err error) {
	l.unproven = true
	if err := l.drop(r.segments[r.current+1:]); err != nil {
		return err
	}
	current := l.segments[r.current]
	if l.file, err = l.disk().Open(l.path(segmentName(current.number))); err != nil {
		return err
	}
	if r.end == 0 { // It is the header, which comes again with the first batch.
		l.offset = segmentHeader
		if err := l.erase(0, segmentHeader); err != nil {
			return err
		}
	}
	if err := l.erase(r.end+batchUnit, current.size); err != nil {
		return err
	}
	l.prepare()
	return l.put(batchCut, l.last, nil)
}

// erase writes zeros from one offset of the segment up to another, durably.
func (l *FileLog) erase(from, to int64) error {
	if err := writeAll(l.file, make([]byte, to-from), from); err != nil {
		return err
	}
	return l.file.Sync()
}

// drop removes segments, the last one first, so that what is left after a crash follows
// one another.
func (l *FileLog) drop(segments []segment) error {
	for _, s := range slices.Backward(segments) {
		if err := l.disk().Remove(l.path(segmentName(s.number))); err != nil {
			return err
		}
		if err := l.disk().SyncDir(l.Dir); err != nil {
			return err
		}
	}
	return nil
}

// readSegment reads a segment into memory that it may reuse. header says what is wrong
// with its header.
func (l *FileLog) readSegment(number uint64, content []byte) (_ []byte, header, err error) {
	path := l.path(segmentName(number))
	file, err := l.disk().Open(path)
	if err != nil {
		return content, nil, err
	}
	defer func() { _ = file.Close() }()
	content = slices.Grow(content[:0], segmentHeader)[:segmentHeader]
	if _, err := file.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return content, nil, err
	}
	store, size, header := parseSegmentHeader(content, number)
	switch {
	case errors.Is(header, errSlotVersion):
		return content, nil, &StoreError{Path: path, Reason: ErrForeign, Detail: header.Error()}
	case header != nil:
		size = l.size() // to look for what was durable
	case store != l.store:
		return content, nil, &StoreError{Path: path, Reason: ErrForeign, Detail: fmt.Sprintf("it is the log of store %v", store)}
	}
	content = slices.Grow(content[:0], int(size))[:size]
	n, err := file.ReadAt(content, 0)
	if errors.Is(err, io.EOF) {
		clear(content[n:])
		err = nil
		if n < len(content) && header == nil {
			header = errSegmentHeader
		}
	}
	return content, header, err
}
