package raft

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fileLogOn returns a closed log on a disk, of segments of 4 KiB.
func fileLogOn(d *fakeDisk) *FileLog {
	return &FileLog{Dir: "dir", fs: d, segmentSize: 4096, spawn: func(f func()) { f() }}
}

func openFileLog(t *testing.T, l *FileLog) StoredLog {
	t.Helper()
	found, err := l.Open(StoreID{1}, false)
	require.NoError(t, err)
	return found
}

// commands returns n entries of a term from an index on, whose data differ.
func commands(first, term uint64, n, size int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		index := first + uint64(i)
		data := bytes.Repeat([]byte{byte(index), byte(term)}, size/2)
		entries[i] = Entry{Index: index, Term: term, Kind: EntryCommand, Data: data}
	}
	return entries
}

// keepSnapshot keeps a snapshot up to an entry.
func keepSnapshot(t *testing.T, l *FileLog, last Position, contents string) {
	t.Helper()
	w, err := l.CreateSnapshot()
	require.NoError(t, err)
	_, err = w.Write([]byte(contents))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.NoError(t, w.Keep(Snapshot{Last: last, Size: int64(len(contents)), Checksum: checksum([]byte(contents))}))
}

// logOnDisk returns a disk with a log of three segments that is closed: 18 entries of
// 500 bytes, each appended alone.
func logOnDisk(t *testing.T) *fakeDisk {
	t.Helper()
	d := newFakeDisk()
	l := fileLogOn(d)
	openFileLog(t, l)
	for _, e := range commands(1, 1, 18, 500) {
		require.NoError(t, l.Append([]Entry{e}))
	}
	require.Len(t, l.segments, 3)
	require.NoError(t, l.Close())
	return d
}

// clone returns a disk that holds the same.
func (d *fakeDisk) clone() *fakeDisk {
	c := newFakeDisk()
	for name, f := range d.cached {
		c.cached[name] = &fakeFile{cached: bytes.Clone(f.cached), durable: bytes.Clone(f.cached)}
		c.durable[name] = c.cached[name]
	}
	return c
}

// The log of a node that stops is there when it starts; nothing is written twice, but for
// the last batch.
func TestFileLogSurvivesRestart(t *testing.T) {
	d := logOnDisk(t)
	l := fileLogOn(d)
	found := openFileLog(t, l)
	require.NoError(t, modelLog{entries: commands(1, 1, 18, 500)}.matches(found))
	require.False(t, found.Unproven)
	_, err := l.Open(StoreID{1}, true)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "this log is open already")
	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "it is closed")
	require.Empty(t, d.locked)
	require.ErrorIs(t, l.Append(commands(19, 1, 1, 0)), errLogClosed)
	require.ErrorIs(t, l.Compact(1), errLogClosed)
}

// An append is one write and one sync, however many entries it has, and allocates
// nothing, also where a segment ends: the next was made before.
func TestFileLogAppendCosts(t *testing.T) {
	d := newFakeDisk()
	l := fileLogOn(d)
	openFileLog(t, l)
	beside := 0 // what makes the next segment is not the append's
	l.spawn = func(f func()) {
		before := d.steps
		f()
		beside += d.steps - before
	}
	segments := 0
	for i := range 20 {
		n := i%5 + 1
		d.steps, d.syncs, d.dirs, beside = 0, 0, 0, 0
		require.NoError(t, l.Append(commands(l.last.Index+1, 1, n, 400)))
		require.Equal(t, 2, d.steps-beside, "%d entries", n)
		segments = max(segments, len(l.segments))
	}
	require.Greater(t, segments, 3)

	dir := t.TempDir()
	l = &FileLog{Dir: dir}
	openFileLog(t, l)
	<-l.next.made // It is made beside, and allocates.
	entries := commands(1, 1, 64, 256)
	require.NoError(t, l.Append(entries), "the buffer grows once")
	allocs := testing.AllocsPerRun(10, func() {
		for i := range entries {
			entries[i].Index += 64
		}
		if l.Append(entries) != nil {
			t.Error("no append")
		}
	})
	require.True(t, allocs == 0 || RaceEnabled, "%v allocations", allocs)
	require.NoError(t, l.Close())
}

// More than a segment has room for is written in several batches; an entry that no
// segment has room for is refused, and so is what does not follow the log.
func TestFileLogRefusesEntries(t *testing.T) {
	l := fileLogOn(newFakeDisk())
	openFileLog(t, l)
	require.NoError(t, l.Append(commands(1, 1, 30, 600)))
	require.EqualValues(t, 5, l.sequence)
	largest := int(l.room()) - entryHeaderSize
	tests := []struct {
		name    string
		entries []Entry
		want    error
	}{
		{"too large", []Entry{{Index: 31, Term: 1, Data: make([]byte, largest+1)}}, ErrTooLarge},
		{"a gap before", commands(32, 1, 1, 0), nil},
		{"index 0", commands(0, 1, 1, 0), nil},
		{"a gap within", append(commands(31, 1, 1, 0), commands(33, 1, 1, 0)...), nil},
	}
	for _, tt := range tests {
		err := l.Append(tt.entries)
		require.Error(t, err, tt.name)
		if tt.want != nil {
			require.ErrorIs(t, err, tt.want, tt.name)
		}
		require.NoError(t, l.Append(nil), "a refusal changes nothing")
	}
	require.NoError(t, l.Append([]Entry{{Index: 31, Term: 1, Kind: EntryCommand, Data: make([]byte, largest)}}))
	require.NoError(t, l.Close())
	require.Len(t, openFileLog(t, l).Entries, 31)
}

// Wherever a bit flips, Open refuses, or it finds everything, or what is cut is the very
// last batch, and that is said.
func TestFileLogBitFlips(t *testing.T) {
	whole := modelLog{entries: commands(1, 1, 18, 500)}
	short := modelLog{entries: whole.entries[:17]}
	good := logOnDisk(t)
	outcomes := make(map[string]int)
	for name, f := range good.cached {
		if _, found := segmentNumber(name[len("dir/"):]); !found {
			continue
		}
		for at := 0; at < len(f.cached); at += 5 {
			d := good.clone()
			d.cached[name].cached[at] ^= 1 << (at % 8)
			found, err := fileLogOn(d).Open(StoreID{1}, true)
			switch {
			case errors.Is(err, ErrCorrupt):
				outcomes["refused"]++
			case found.Unproven && short.matches(found) == nil:
				outcomes["cut"]++
			case found.Unproven:
				require.NoError(t, whole.matches(found), "%s %d", name, at)
				outcomes["suspected"]++
			default:
				require.NoError(t, err)
				require.NoError(t, whole.matches(found), "%s %d", name, at)
				outcomes["harmless"]++
			}
		}
	}
	require.Greater(t, outcomes["refused"], 1500, "%v", outcomes)
	require.Greater(t, outcomes["cut"], 100, "%v", outcomes)
	require.Greater(t, outcomes["harmless"], 500, "%v", outcomes)
}

// A batch that has rotted is named, with the file, the place and the first entry that is
// lost. If Open may cut there, nothing of what stood behind it comes back, and the log is
// unproven until it was proven and something was appended.
func TestFileLogNamesWhatHasRotted(t *testing.T) {
	d := logOnDisk(t)
	rotten := "dir/" + segmentName(2)
	d.cached[rotten].cached[segmentHeader+3*batchUnit] ^= 1
	before := d.clone()
	_, err := fileLogOn(d).Open(StoreID{1}, true)
	var damage *LogError
	require.ErrorAs(t, err, &damage)
	require.ErrorIs(t, err, ErrCorrupt)
	require.Equal(t, &LogError{Path: rotten, Offset: segmentHeader, Index: 7, Detail: errBatchChecksum.Error()}, damage)
	for name, f := range before.cached {
		require.Equal(t, f.cached, d.cached[name].cached, "a refusal changes nothing")
	}
	require.Empty(t, d.locked)

	want := modelLog{entries: commands(1, 1, 6, 500)}
	for range 3 {
		l := fileLogOn(d)
		l.CutCorrupt = true
		found, err := l.Open(StoreID{1}, true)
		require.NoError(t, err)
		require.True(t, found.Unproven)
		require.NoError(t, want.matches(found))
		more := commands(want.last().Index+1, 2, 1, 100)
		require.NoError(t, l.Append(more))
		want = want.append(more)
		require.NoError(t, l.Close())
	}
	l := fileLogOn(d)
	require.True(t, openFileLog(t, l).Unproven)
	l.Prove()
	require.NoError(t, l.Append(commands(10, 3, 1, 100)))
	require.NoError(t, l.Close())
	require.False(t, openFileLog(t, l).Unproven)
}

// A segment whose header has rotted is cut as a whole, and a crash in the middle of that
// does not hide it.
func TestFileLogCutsASegment(t *testing.T) {
	for failAt := range 12 {
		d := logOnDisk(t)
		f := d.cached["dir/"+segmentName(2)]
		f.cached[20] ^= 1
		f.durable[20] ^= 1
		l := fileLogOn(d)
		_, err := l.Open(StoreID{1}, true)
		require.ErrorContains(t, err, errSegmentHeader.Error())
		l.CutCorrupt = true
		d.steps, d.failAt = 0, failAt
		if _, err = l.Open(StoreID{1}, true); err != nil {
			require.ErrorIs(t, err, errFault)
			d = d.crash(rand.New(rand.NewPCG(uint64(failAt), 0)))
			l.fs = d
			_, err = l.Open(StoreID{1}, true)
			require.NoError(t, err)
		}
		require.NoError(t, l.Close())
		l.CutCorrupt = false
		found := openFileLog(t, l)
		require.True(t, found.Unproven, "step %d", failAt)
		require.Len(t, found.Entries, 6)
		require.NoError(t, l.Append(commands(7, 2, 1, 10)))
		require.NoError(t, l.Close())
		require.Len(t, openFileLog(t, l).Entries, 7)
	}
}

// What stood behind a cut does not show that a later batch, which was torn, was durable.
func TestFileLogCutsForGood(t *testing.T) {
	d := logOnDisk(t)
	f := d.cached["dir/"+segmentName(1)]
	f.cached[segmentHeader+3*batchUnit] ^= 1
	l := fileLogOn(d)
	l.CutCorrupt = true
	require.Empty(t, openFileLog(t, l).Entries)
	require.NoError(t, l.Append(commands(1, 2, 1, 500)))
	f.cached[l.offset-batchUnit] ^= 1
	require.NoError(t, l.Close())
	l.CutCorrupt = false
	found := openFileLog(t, l)
	require.Empty(t, found.Entries)
	require.True(t, found.Unproven)
}

// What is missing is not taken for what never was.
func TestFileLogMissesFiles(t *testing.T) {
	segment := func(n uint64) string { return "dir/" + segmentName(n) }
	compacted := func(t *testing.T) *fakeDisk {
		t.Helper()
		d := logOnDisk(t)
		l := fileLogOn(d)
		openFileLog(t, l)
		keepSnapshot(t, l, Position{Term: 1, Index: 16}, "state")
		require.NoError(t, l.Compact(16))
		require.Len(t, l.segments, 1)
		require.NoError(t, l.Close())
		return d
	}
	tests := []struct {
		name   string
		disk   func(t *testing.T) *fakeDisk
		meddle func(d *fakeDisk)
		want   error
		detail string
	}{
		{"all segments", logOnDisk, func(d *fakeDisk) { clear(d.cached) }, ErrCorrupt, "there is none"},
		{"the first segment", logOnDisk, func(d *fakeDisk) { delete(d.cached, segment(1)) }, ErrCorrupt, "that no snapshot has"},
		{"a segment within", logOnDisk, func(d *fakeDisk) { delete(d.cached, segment(2)) }, ErrCorrupt, "that no snapshot has"},
		{"the snapshot", compacted, func(d *fakeDisk) { delete(d.cached, "dir/"+snapshotName(Position{1, 16})) }, ErrCorrupt, "that no snapshot has"},
		{"the log of a snapshot", compacted, func(d *fakeDisk) {
			for name := range d.cached {
				if strings.HasSuffix(name, segmentSuffix) {
					delete(d.cached, name)
				}
			}
		}, ErrCorrupt, "there is none"},
		{"bytes of a segment", logOnDisk, func(d *fakeDisk) {
			f := d.cached[segment(1)]
			f.cached = f.cached[:3000]
		}, ErrCorrupt, "the header of a segment is damaged"},
		{"bytes of the snapshot", compacted, func(d *fakeDisk) {
			f := d.cached["dir/"+snapshotName(Position{1, 16})]
			f.cached = f.cached[:len(f.cached)-1]
		}, ErrCorrupt, "cut short"},
		{"the head of the snapshot", compacted, func(d *fakeDisk) { d.cached["dir/"+snapshotName(Position{1, 16})].cached[50] ^= 1 }, ErrCorrupt, "the header of a snapshot"},
		{"a batch", logOnDisk, func(d *fakeDisk) { clear(d.cached[segment(2)].cached[segmentHeader:]) }, ErrCorrupt, errBatchMissing.Error()},
		{"the knowledge of a later layout", logOnDisk, func(d *fakeDisk) {
			b := d.cached[segment(1)].cached[:segmentHeader]
			b[11] = 2
			sum := slotChecksum(b[:12], b[16:])
			copy(b[12:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
		}, ErrForeign, "version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.disk(t)
			tt.meddle(d)
			before := d.clone()
			_, err := fileLogOn(d).Open(StoreID{1}, true)
			require.ErrorIs(t, err, tt.want)
			require.ErrorContains(t, err, tt.detail)
			require.Empty(t, d.locked)
			for name := range before.cached {
				require.Contains(t, d.cached, name, "a refusal removes nothing")
			}
		})
	}
	_, err := fileLogOn(compacted(t)).Open(StoreID{2}, true)
	require.ErrorIs(t, err, ErrForeign)
}

// Segments that are compacted are used again, and the folder does not grow.
func TestFileLogReusesSegments(t *testing.T) {
	d := newFakeDisk()
	l := fileLogOn(d)
	openFileLog(t, l)
	made := 0
	for i := range uint64(100) {
		d.steps = 0
		require.NoError(t, l.Append(commands(i*5+1, 1+i/40, 5, 500)))
		if d.steps > 2 && d.cached["dir/"+spareSegment] == nil {
			made++
		}
		if i%7 == 6 {
			keepSnapshot(t, l, l.last, fmt.Sprint("state ", i))
			require.NoError(t, l.Compact(l.last.Index))
			require.Len(t, l.segments, 1)
			require.NotNil(t, d.cached["dir/"+spareSegment])
		}
		require.LessOrEqual(t, len(d.cached), 12, "%v", d.cached)
	}
	require.NoError(t, l.Close())
	found := openFileLog(t, l)
	require.EqualValues(t, 500, found.Entries[len(found.Entries)-1].Index)
	require.ErrorContains(t, l.Append(commands(l.before.Index, 9, 1, 0)), "append of entry")
}

// A later snapshot than the log ends with takes the log's place, and a crash between the
// two is made good. An earlier one than there is is refused.
func TestFileLogSnapshotAheadOfTheLog(t *testing.T) {
	for failAt := range 4 {
		d := logOnDisk(t)
		l := fileLogOn(d)
		openFileLog(t, l)
		w, err := l.CreateSnapshot()
		require.NoError(t, err)
		_, err = w.Write([]byte("state"))
		require.NoError(t, err)
		require.NoError(t, w.Sync())
		s := Snapshot{Last: Position{Term: 2, Index: 30}, Size: 5, Checksum: checksum([]byte("state"))}
		d.steps, d.failAt = 0, 0
		if failAt > 0 {
			d.failAt = 4 + failAt // behind the header, its sync, the name and its sync
		}
		err = w.Keep(s)
		require.Equal(t, failAt > 0 && failAt < 3, err != nil, "%v", err)
		require.NoError(t, l.Close())
		d.failAt = 0
		found := openFileLog(t, l)
		require.Equal(t, StoredLog{Snapshot: s}, found)
		require.NoError(t, l.Append(commands(31, 2, 2, 10)))
		w, err = l.CreateSnapshot()
		require.NoError(t, err)
		require.ErrorContains(t, w.Keep(Snapshot{Last: Position{1, 18}}), "there is one up to 30")
		require.ErrorContains(t, w.Keep(Snapshot{Last: Position{2, 31}, Size: 1}), "0 bytes of a snapshot of 1")
		require.NoError(t, w.Discard())
		require.NoError(t, w.Discard())
		require.NoError(t, l.Close())
		require.Len(t, openFileLog(t, l).Entries, 2)
		require.NoError(t, l.Close())
	}
}

// What members of other versions wrote can be read, byte for byte.
func TestGoldenLog(t *testing.T) {
	const path = "testdata/log.txt"
	d := newFakeDisk()
	l := fileLogOn(d)
	openFileLog(t, l)
	require.NoError(t, l.Append([]Entry{{1, 1, EntryStart, nil}, {2, 1, EntryCommand, []byte("data")}}))
	require.NoError(t, l.Append([]Entry{{2, 3, EntryStart, nil}}))
	l.unproven = true
	require.NoError(t, l.Append([]Entry{{3, 3, EntryCommand, []byte("more")}}))
	keepSnapshot(t, l, Position{4, 7}, "state")
	require.NoError(t, l.Append([]Entry{{8, 4, EntryCommand, []byte("last")}}))
	used := l.offset
	require.NoError(t, l.Close())

	var b strings.Builder
	fmt.Fprintln(&b, segmentName(1))
	for slot := range slices.Chunk(d.cached["dir/"+segmentName(1)].cached[:used], batchUnit) {
		fmt.Fprintln(&b, hex.EncodeToString(slot))
	}
	snapshot := snapshotName(Position{4, 7})
	fmt.Fprintf(&b, "%s\n%s\n", snapshot, hex.EncodeToString(d.cached["dir/"+snapshot].cached))
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(golden), b.String())
}

// FuzzSegment opens any content as the last segment of a log. Whatever can be opened goes
// on, and is found again.
func FuzzSegment(f *testing.F) {
	d := newFakeDisk()
	l := fileLogOn(d)
	_, err := l.Open(StoreID{1}, false)
	require.NoError(f, err)
	require.NoError(f, l.Append(commands(1, 1, 2, 100)))
	require.NoError(f, l.Append(commands(2, 2, 1, 100)))
	content := d.cached["dir/"+segmentName(1)].cached
	f.Add(content[:1024], uint8(1))
	f.Add(content[:200], uint8(7))
	f.Fuzz(func(t *testing.T, content []byte, number uint8) {
		d := newFakeDisk()
		f := &fakeFile{cached: append(bytes.Clone(content), make([]byte, max(0, 4096-len(content)))...)}
		if number > 0 && len(content) >= segmentHeader {
			putSegmentHeader(f.cached, StoreID{1}, uint64(number), 4096)
		}
		d.cached["dir/"+segmentName(uint64(number))] = f
		l := fileLogOn(d)
		l.CutCorrupt = true
		found, err := l.Open(StoreID{1}, true)
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForeign), "%v", err)
			return
		}
		want := modelLog{base: l.before, entries: found.Entries}
		more := commands(l.last.Index+1, 1<<40, 1, 10)
		require.NoError(t, l.Append(more))
		require.NoError(t, l.Close())
		again := openFileLog(t, l)
		require.Equal(t, found.Unproven, again.Unproven)
		require.True(t, equalEntry(more[0], again.Entries[len(again.Entries)-1]))
		require.NoError(t, want.append(more).matches(again))
	})
}

// A folder has one log that is open, also where somebody has removed the lock. One whose
// lock was replaced does not go on in the next segment, nor keeps it a snapshot.
func TestFileLogLock(t *testing.T) {
	dir := t.TempDir()
	first, second := &FileLog{Dir: dir, segmentSize: 4096}, &FileLog{Dir: dir, segmentSize: 4096}
	t.Cleanup(func() { _ = second.Close() })
	openFileLog(t, first)
	_, err := second.Open(StoreID{1}, true)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, first.Close())
	openFileLog(t, second)
	require.NoError(t, second.Append(commands(1, 1, 3, 500)))
	if err := os.Remove(filepath.Join(dir, logLock)); err != nil {
		t.Skip("a file that is open cannot be removed here: ", err)
	}
	_, err = first.Open(StoreID{1}, true)
	require.ErrorIs(t, err, ErrLocked)
	w, err := second.CreateSnapshot()
	require.NoError(t, err)
	require.Error(t, w.Keep(Snapshot{Last: Position{1, 1}}))
	require.Error(t, second.Append(commands(4, 1, 1, 0)), "nothing is written after a failure")
	require.NoError(t, second.Close())

	openFileLog(t, first)
	require.NoError(t, os.Remove(filepath.Join(dir, logLock)))
	require.NoError(t, first.Append(commands(4, 1, 1, 500)))
	require.Error(t, first.Append(commands(5, 1, 5, 500)), "it needs another segment")
	require.NoError(t, first.Close())
	require.Len(t, openFileLog(t, first).Entries, 4)
	require.NoError(t, first.Close())
}

// A log without a folder is found out by New already, and one that is not there by Open.
func TestFileLogNeedsADir(t *testing.T) {
	_, err := New(Config{
		ID: "a", Cluster: "c", Start: Bootstrap(0, Member{ID: "a", Voter: true}),
		Store: new(MemoryStore), Log: new(FileLog), Machine: idle{},
	})
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorContains(t, err, "Dir")
	_, err = new(FileLog).Open(StoreID{1}, false)
	require.ErrorIs(t, err, ErrConfig)
	_, err = (&FileLog{Dir: filepath.Join(t.TempDir(), "missing")}).Open(StoreID{1}, false)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// idle is a Machine that does nothing.
type idle struct{ Machine }
