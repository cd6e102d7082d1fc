package raft

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Names of files in the folder of a FileLog. What ends in tempSuffix is being made, and
// is removed by the next Open.
const (
	logLock       = "lock"
	spareSegment  = "spare"
	segmentSuffix = ".segment"
	tempSuffix    = ".tmp"
)

// segmentName is that of the segment of this number.
func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

// segmentNumber returns the number of the segment that has this name.
func segmentNumber(name string) (uint64, bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	number, err := strconv.ParseUint(digits, 16, 64)
	return number, found && err == nil && name == segmentName(number)
}

// nextSegment is the segment that the log goes on in when the last one is full.
type nextSegment struct {
	made chan struct{}
	file stateFile // once it is made
	err  error
}

// prepare begins to make the segment behind the last one.
func (l *FileLog) prepare() {
	maker := segmentMaker{fs: l.disk(), dir: l.Dir, store: l.store, size: l.size(), spare: l.spare}
	number := l.current().number + 1
	next := &nextSegment{made: make(chan struct{})}
	l.next, l.spare = next, false
	spawn := l.spawn
	if spawn == nil {
		spawn = func(f func()) { go f() }
	}
	spawn(func() {
		defer close(next.made)
		next.file, next.err = maker.make(number)
	})
}

// roll goes on in the next segment, for which it waits if that is not made yet. The last
// one is durable, because every write is synced before the next.
func (l *FileLog) roll() error {
	<-l.next.made
	if l.next.err != nil {
		return l.next.err
	}
	if err := l.check(); err != nil {
		return err
	}
	if err := l.file.Close(); err != nil {
		return err
	}
	number := l.current().number + 1
	l.segments = append(l.segments, segment{number: number, size: l.size()})
	l.file, l.offset, l.next = l.next.file, segmentHeader, nil
	l.prepare()
	return nil
}

// check fails if another could have the log by now: whoever removes the lock, or the
// segment that is written to, could open it.
func (l *FileLog) check() error {
	current := segmentName(l.current().number)
	return errors.Join(l.disk().Check(l.lock, l.path(logLock)), l.disk().Check(l.file, l.path(current)))
}

// retire takes the segments away that have no entries behind an index. The last one
// stays.
func (l *FileLog) retire(upTo uint64) error {
	var numbers []uint64
	for len(l.segments) > 1 && l.segments[0].last <= upTo {
		numbers = append(numbers, l.segments[0].number)
		l.segments = l.segments[1:]
	}
	return l.release(numbers)
}

// release removes segments, but for one, which is used again. That is durable before
// the next one is made of it.
func (l *FileLog) release(numbers []uint64) error {
	for _, number := range numbers {
		var err error
		path := l.path(segmentName(number))
		if l.spare {
			err = l.disk().Remove(path)
		} else {
			err = l.disk().Rename(path, l.path(spareSegment))
			l.spare = true
		}
		if err != nil {
			return err
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	return l.disk().SyncDir(l.Dir)
}

// segmentMaker makes segments. It is a value, so that it can work beside the appends.
type segmentMaker struct {
	fs    fileSystem
	dir   string
	store StoreID
	size  int64
	spare bool // there is a segment to use again
}

// make makes a segment, and its name, durable and opens it.
func (m segmentMaker) make(number uint64) (stateFile, error) {
	temp, name := filepath.Join(m.dir, segmentName(number)+tempSuffix), filepath.Join(m.dir, segmentName(number))
	if m.spare {
		temp = filepath.Join(m.dir, spareSegment)
	}
	f, err := m.open(temp)
	if err != nil {
		return nil, err
	}
	err = m.fill(f, number)
	// Closed first, because Windows renames no open file.
	if err = errors.Join(err, f.Close()); err == nil {
		err = m.fs.Rename(temp, name)
	}
	if err != nil {
		return nil, errors.Join(err, m.fs.Remove(temp)) // It would fill a full disk.
	}
	if err := m.fs.SyncDir(m.dir); err != nil {
		return nil, err
	}
	return m.fs.Open(name)
}

func (m segmentMaker) open(temp string) (stateFile, error) {
	if m.spare {
		return m.fs.Open(temp)
	}
	return m.fs.Create(temp, true)
}

// fill writes the header and zeros: all of them, or, where there is a segment already,
// those in place of its first batch.
func (m segmentMaker) fill(f stateFile, number uint64) error {
	const piece = 1 << 20
	size := m.size
	if m.spare {
		if n, _ := f.ReadAt(make([]byte, 1), m.size-1); n == 1 {
			size = segmentHeader + batchUnit
		}
	}
	b := make([]byte, min(size, piece))
	putSegmentHeader(b, m.store, number, m.size)
	for at := int64(0); at < size; at += int64(len(b)) {
		if at > 0 {
			clear(b[:segmentHeader])
		}
		b = b[:min(int64(len(b)), size-at)]
		if err := writeAll(f, b, at); err != nil {
			return err
		}
	}
	return f.Sync()
}
