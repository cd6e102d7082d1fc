package boltjournal

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/scheduler"
)

// opened makes a journal that holds an entry.
func opened(t *testing.T, dir string, cfg Config) *Journal {
	t.Helper()
	j := openJournal(t, dir, cfg)
	require.NoError(t, j.Acquire(t.Context(), 1))
	appendTo(t, j, entry(1, "a"))
	return j
}

// TestCutFileIsCorrupt cuts the file while it is mapped: what reads it next
// would end the process.
func TestCutFileIsCorrupt(t *testing.T) {
	next := []scheduler.Record{entry(2, "b")}
	tests := []struct {
		name string
		call func(*Journal) error
	}{
		{"append", func(j *Journal) error { return j.Append(t.Context(), 1, next) }},
		{"acquire", func(j *Journal) error { return j.Acquire(t.Context(), 2) }},
		{"records", func(j *Journal) error { _, err := contents(j); return err }},
	}
	for _, tt := range tests {
		for _, length := range []int64{0, 2 * 4096} { // without and with the meta pages
			t.Run(tt.name, func(t *testing.T) {
				dir := t.TempDir()
				j := opened(t, dir, Config{})
				require.NoError(t, os.Truncate(filepath.Join(dir, fileName), length))
				for range 2 {
					require.ErrorIs(t, tt.call(j), ErrCorrupt)
				}
				require.NoError(t, j.Close())
				require.ErrorIs(t, j.Append(t.Context(), 1, next), ErrClosed)
				_, err := Open(dir, Config{})
				require.ErrorIs(t, err, ErrCorrupt, "the lock is gone, and the damage is found")
			})
		}
	}
}

// TestFileCutBeforeCommitIsCorrupt cuts it where no look at its length helps.
func TestFileCutBeforeCommitIsCorrupt(t *testing.T) {
	dir, cut := t.TempDir(), false
	path := filepath.Join(dir, fileName)
	j := opened(t, dir, Config{commit: func(tx *bolt.Tx) error {
		if cut {
			return errors.Join(os.Truncate(path, 0), tx.Commit())
		}
		return tx.Commit()
	}})
	cut = true
	require.Error(t, j.Append(t.Context(), 1, []scheduler.Record{entry(2, "b")}))
	require.Error(t, j.Append(t.Context(), 1, []scheduler.Record{entry(2, "b")}))
	require.NoError(t, j.Close())
}

// TestShorterFileIsCorruptBeforeItGrows cuts off what is not in use, before an
// append that makes the file longer than it was.
func TestShorterFileIsCorruptBeforeItGrows(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir, Config{})
	require.NoError(t, os.Truncate(filepath.Join(dir, fileName), int64(bytesInUse(t, dir))))
	require.ErrorIs(t, j.Append(t.Context(), 1, []scheduler.Record{entry(2, strings.Repeat("b", 1<<20))}), ErrCorrupt)
}

// TestFileThatLosesWhatItGrewIsCorrupt leaves it longer than it was when it was
// opened.
func TestFileThatLosesWhatItGrewIsCorrupt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	j := opened(t, dir, Config{})
	atFirst := j.file.info.Size()
	appendTo(t, j, entry(2, strings.Repeat("b", 1<<20)))
	left := int64(bytesInUse(t, dir))
	require.Less(t, atFirst, left)
	require.NoError(t, os.Truncate(path, left))
	require.ErrorIs(t, j.Append(t.Context(), 1, []scheduler.Record{entry(3, "c")}), ErrCorrupt)
}

// TestFaultLeavesNobodyWaiting goes on from several goroutines after a fault
// that has left bbolt locked.
func TestFaultLeavesNobodyWaiting(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir, Config{})
	require.NoError(t, os.Truncate(filepath.Join(dir, fileName), 0))
	calls := make(chan error)
	for range 4 {
		go func() { _, err := contents(j); calls <- err }()
		go func() { calls <- j.Append(t.Context(), 1, nil) }()
	}
	for range 8 {
		require.ErrorIs(t, <-calls, ErrCorrupt)
	}
}

func TestMovedFileEndsTheJournal(t *testing.T) {
	tests := []struct {
		name string
		move func(path string) error
	}{
		{"moved", func(path string) error { return os.Rename(path, path+".bak") }},
		{"removed", os.Remove},
		{"replaced", func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path))
		}},
		{"directory moved", func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".bak") }},
	}
	for _, tt := range tests {
		for _, during := range []string{"before the append", "during the append"} {
			t.Run(tt.name+" "+during, func(t *testing.T) {
				dir, moving := filepath.Join(t.TempDir(), "journal"), false
				path := filepath.Join(dir, fileName)
				j := opened(t, dir, Config{commit: func(tx *bolt.Tx) error {
					if moving {
						return errors.Join(tt.move(path), tx.Commit())
					}
					return tx.Commit()
				}})
				if moving = during == "during the append"; !moving {
					require.NoError(t, tt.move(path))
				}
				err := j.Append(t.Context(), 1, []scheduler.Record{entry(2, "b")})
				var moved *MovedError
				require.ErrorAs(t, err, &moved)
				require.ErrorIs(t, err, ErrMoved)
				require.Equal(t, path, moved.Path)
				moving = false
				require.ErrorIs(t, j.Acquire(t.Context(), 2), ErrMoved, "nothing more is appended")
			})
		}
	}
}

func TestNoSecondJournalBesideAMovedFile(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir, Config{})
	path := filepath.Join(dir, fileName)
	require.NoError(t, os.Rename(path, path+".bak"))
	_, err := Open(dir, Config{})
	require.ErrorIs(t, err, ErrLocked)
	require.NoFileExists(t, path)
	require.NoError(t, j.Close())
	openJournal(t, dir, Config{})
}

func TestExposedFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, opened(t, dir, Config{}).Close())
	path := filepath.Join(dir, fileName)
	require.NoError(t, os.Chmod(path, 0o666))
	_, err := Open(dir, Config{})
	var exposed *ExposedError
	require.ErrorAs(t, err, &exposed)
	require.ErrorIs(t, err, ErrExposed)
	require.Equal(t, ExposedError{path, 0o666}, *exposed)
	for _, mode := range []os.FileMode{0o660, 0o664} {
		require.NoError(t, os.Chmod(path, mode))
		j := openJournal(t, dir, Config{})
		requireContents(t, j, "a")
		require.NoError(t, j.Close())
	}
}

func TestDanglingLinkIsNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, fileName)))
	_, err := Open(dir, Config{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "symbolic link")
}

// TestDirectoryIsNoPattern has the name of a directory match another.
func TestDirectoryIsNoPattern(t *testing.T) {
	parent := t.TempDir()
	other := filepath.Join(parent, "journals", "journal-1.new")
	require.NoError(t, os.Mkdir(filepath.Dir(other), 0o700))
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	openJournal(t, filepath.Join(parent, "journal?"), Config{})
	require.FileExists(t, other)
}

// TestClaimedPagesMustBeThere forges meta pages that claim a terabyte.
func TestClaimedPagesMustBeThere(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, opened(t, dir, Config{}).Close())
	path := filepath.Join(dir, fileName)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	const claimed = 1 << 28
	for id := range int64(2) {
		meta := make([]byte, metaSize)
		_, err := file.ReadAt(meta, id*4096+pageHeader)
		require.NoError(t, err)
		binary.NativeEndian.PutUint64(meta[40:], claimed)
		sum := fnv.New64a()
		sum.Write(meta[:56])
		binary.NativeEndian.PutUint64(meta[56:], sum.Sum64())
		_, err = file.WriteAt(meta, id*4096+pageHeader)
		require.NoError(t, err)
	}
	if err := file.Truncate(claimed * 4096); err != nil {
		t.Skip("no sparse file of a terabyte here: ", err)
	}
	defer func() { require.NoError(t, file.Close()) }()
	_, err = openPages(file)
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "on the disk")
}

func TestNewestSnapshotOfABatchCounts(t *testing.T) {
	for _, batch := range [][]scheduler.Record{
		{snapshot(1, "old"), snapshot(2, "new")},
		{snapshot(2, "new"), snapshot(1, "old")},
		{snapshot(2, "old"), snapshot(2, "new")},
	} {
		j := opened(t, t.TempDir(), Config{})
		appendTo(t, j, entry(2, "b"), entry(3, "c"))
		appendTo(t, j, batch...)
		requireContents(t, j, "new", "c")
		require.NoError(t, j.Close())
	}
}

// TestHeadOfAnEarlierTransactionIsFound makes one that leaves the head alone.
func TestHeadOfAnEarlierTransactionIsFound(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir, Config{})
	require.NoError(t, j.db.Update(func(*bolt.Tx) error { return nil }))
	require.NoError(t, j.Close())
	_, err := Open(dir, Config{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "the latest is")
}

// TestKeyBelowItsBranchIsFound raises the key of a branch above the first key
// below it: all entries are there, but looking for that one fails.
func TestKeyBelowItsBranchIsFound(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir)
	path := filepath.Join(dir, fileName)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	file, err := os.Open(path)
	require.NoError(t, err)
	p, err := openPages(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	// A leaf page that is used no more may look like a branch of the latest
	// tree, so raise the key in every branch of entries.
	raised := 0
	for id := uint64(2); id < p.end; id++ {
		page := data[int64(id)*p.size:][:p.size]
		if binary.NativeEndian.Uint16(page[8:]) != branchPage || binary.NativeEndian.Uint16(page[10:]) < 2 {
			continue
		}
		l, _, ok := elementAt(page, 1, branchPage)
		if ok && len(l.key) == 8 {
			binary.BigEndian.PutUint64(l.key, binary.BigEndian.Uint64(l.key)+1)
			raised++
		}
	}
	require.Positive(t, raised)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, err = Open(dir, Config{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "out of order")
}

// TestRecordsOutliveTheFile reads records after their file has been unmapped.
func TestRecordsOutliveTheFile(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	j := opened(t, t.TempDir(), Config{})
	long := strings.Repeat("entry", 1000) // a short one would not lie on a page of its own
	want := []scheduler.Record{snapshot(1, long), entry(2, long), entry(3, long)}
	appendTo(t, j, want...)
	var records []scheduler.Record
	for r, err := range j.Records(t.Context()) {
		require.NoError(t, err)
		records = append(records, r)
	}
	require.NoError(t, j.Close())
	require.Equal(t, want, records)
}

// TestWaitingEndsWithTheContext has somebody else write.
func TestWaitingEndsWithTheContext(t *testing.T) {
	for _, record := range []scheduler.Record{snapshot(1, "s"), entry(2, "b")} {
		synctest.Test(t, func(t *testing.T) {
			j := opened(t, t.TempDir(), Config{})
			j.writing <- struct{}{}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- j.Append(ctx, 1, []scheduler.Record{record}) }()
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-done, ctx.Err())
			<-j.writing
			requireContents(t, j, "a")
			require.NoError(t, j.Close())
		})
	}
}
