package boltjournal

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/scheduler"
)

func entry(seq uint64, data string) scheduler.Record {
	return scheduler.Record{Seq: seq, Kind: scheduler.RecordEntry, Data: []byte(data)}
}

func snapshot(seq uint64, data string) scheduler.Record {
	return scheduler.Record{Seq: seq, Kind: scheduler.RecordSnapshot, Data: []byte(data)}
}

// inParts returns a snapshot in parts of at most so many bytes.
func inParts(seq uint64, data string, size int) []scheduler.Record {
	var parts []scheduler.Record
	for piece := range slices.Chunk([]byte(data), size) {
		parts = append(parts, scheduler.Record{
			Seq: seq, Part: len(parts), Kind: scheduler.RecordSnapshotPart, Data: piece,
		})
	}
	parts[len(parts)-1].Kind = scheduler.RecordSnapshot
	return parts
}

// appendEach appends records in transactions of their own.
func appendEach(tb testing.TB, j *Journal, records ...scheduler.Record) {
	tb.Helper()
	for _, r := range records {
		appendTo(tb, j, r)
	}
}

func appendTo(tb testing.TB, j *Journal, records ...scheduler.Record) {
	tb.Helper()
	require.NoError(tb, j.Append(context.Background(), 1, records))
}

// contents returns the records as text, and the error that ended them.
func contents(j *Journal) ([]string, error) {
	var all []string
	for r, err := range j.Records(context.Background()) {
		if err != nil {
			return all, err
		}
		all = append(all, string(r.Data))
	}
	return all, nil
}

func requireContents(tb testing.TB, j *Journal, want ...string) {
	tb.Helper()
	got, err := contents(j)
	require.NoError(tb, err)
	require.Equal(tb, want, got)
}

func TestSecondOpenIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir, Config{})
	_, err := Open(dir, Config{})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, j.Close())
	openJournal(t, dir, Config{})
}

func TestLockWaitOutlastsThePredecessor(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir, Config{})
	opened := make(chan error, 1)
	go func() {
		next, err := Open(dir, Config{LockWait: time.Hour})
		opened <- errors.Join(err, next.Close())
	}()
	require.NoError(t, j.Close())
	require.NoError(t, <-opened)
}

const lockedDir = "BOLTJOURNAL_LOCKED_DIR"

// TestMain is another process, where it is started as one.
func TestMain(m *testing.M) {
	if dir := os.Getenv(lockedDir); dir != "" {
		_, err := Open(dir, Config{})
		if errors.Is(err, ErrLocked) {
			os.Exit(7)
		}
		os.Exit(1)
	}
	if dir := os.Getenv(crashDir); dir != "" {
		os.Exit(crashChild(dir))
	}
	os.Exit(m.Run())
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	openJournal(t, dir, Config{})
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), lockedDir+"="+dir)
	var exit *exec.ExitError
	require.ErrorAs(t, other.Run(), &exit)
	require.Equal(t, 7, exit.ExitCode())
}

func TestClosedJournalRefuses(t *testing.T) {
	j := openJournal(t, t.TempDir(), Config{})
	require.NoError(t, j.Close())
	require.NoError(t, j.Close())
	require.ErrorIs(t, j.Acquire(t.Context(), 1), ErrClosed)
	require.ErrorIs(t, j.Append(t.Context(), 1, nil), ErrClosed)
	_, err := contents(j)
	require.ErrorIs(t, err, ErrClosed)
}

func TestGapIsRefused(t *testing.T) {
	j := openJournal(t, t.TempDir(), Config{})
	require.NoError(t, j.Acquire(t.Context(), 1))
	appendTo(t, j, entry(1, "a"))
	for _, seq := range []uint64{1, 2, 4} {
		err := j.Append(t.Context(), 1, []scheduler.Record{entry(2, "b"), entry(seq, "x")})
		var order *OrderError
		require.ErrorAs(t, err, &order)
		require.ErrorIs(t, err, ErrOrder)
		require.Equal(t, OrderError{Seq: seq, Last: 2}, *order)
	}
	requireContents(t, j, "a")
}

func TestPartThatDoesNotFollowIsRefused(t *testing.T) {
	j := openJournal(t, t.TempDir(), Config{})
	require.NoError(t, j.Acquire(t.Context(), 1))
	parts, other := inParts(2, "abcd", 1), inParts(3, "efgh", 1)
	tests := []struct {
		name   string
		before []scheduler.Record
		part   scheduler.Record
		want   OrderError
	}{
		{"no first part", nil, parts[1], OrderError{Seq: 2, Part: 1, LastPart: -1}},
		{"a gap", parts[:1], parts[2], OrderError{Seq: 2, Part: 2, Last: 2}},
		{"twice", parts[:2], parts[1], OrderError{Seq: 2, Part: 1, Last: 2, LastPart: 1}},
		{"of another", parts[:2], other[2], OrderError{Seq: 3, Part: 2, Last: 2, LastPart: 1}},
	}
	for _, test := range tests {
		err := j.Append(t.Context(), 1, append(slices.Clone(test.before), test.part))
		var order *OrderError
		require.ErrorAs(t, err, &order, test.name)
		require.Equal(t, test.want, *order, test.name)
	}
	appendEach(t, j, parts...)
	requireContents(t, j, "a", "b", "c", "d")
}

func TestFutureVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir, Config{})
	require.NoError(t, j.db.Update(func(tx *bolt.Tx) error {
		value := seal([]byte(headKey), []byte{0, 2, 'w', 'h', 'a', 't', 'e', 'v', 'e', 'r'})
		return tx.Bucket([]byte(headBucket)).Put([]byte(headKey), value)
	}))
	require.ErrorIs(t, j.Acquire(t.Context(), 1), ErrVersion)
	require.NoError(t, j.Close())
	before, err := os.ReadFile(filepath.Join(dir, fileName))
	require.NoError(t, err)

	_, err = Open(dir, Config{})
	var version *FormatVersionError
	require.ErrorAs(t, err, &version)
	require.ErrorIs(t, err, ErrVersion)
	require.Equal(t, FormatVersionError{filepath.Join(dir, fileName), 2, 1}, *version)
	after, err := os.ReadFile(filepath.Join(dir, fileName))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// left counts what is in the buckets.
func left(tb testing.TB, j *Journal) (entries, parts int) {
	tb.Helper()
	require.NoError(tb, j.view(func(tx *bolt.Tx) error {
		entries = tx.Bucket([]byte(entryBucket)).Stats().KeyN
		parts = tx.Bucket([]byte(snapshotBucket)).Stats().KeyN
		return nil
	}))
	return entries, parts
}

func TestSnapshotDeletesInSteps(t *testing.T) {
	commits := 0
	j := openJournal(t, t.TempDir(), Config{
		sizes:  sizes{prune: 10},
		commit: func(tx *bolt.Tx) error { commits++; return tx.Commit() },
	})
	require.NoError(t, j.Acquire(t.Context(), 1))
	for seq := range uint64(95) {
		appendTo(t, j, entry(seq+1, "e"))
	}
	appendEach(t, j, inParts(60, "first snapshot", 4)...)
	entries, parts := left(t, j)
	require.Equal(t, []int{35, 4}, []int{entries, parts})

	commits = 0
	appendEach(t, j, inParts(90, "second", 4)...)
	entries, parts = left(t, j)
	require.Equal(t, []int{5, 2}, []int{entries, parts})
	// 2 parts; 3 of 10 entries, and the 4 old parts one by one, the last of
	// them with a look that finds nothing more.
	require.Equal(t, 2+3+5, commits)
	requireContents(t, j, "seco", "nd", "e", "e", "e", "e", "e")
}

func TestReaderKeepsWhatItReads(t *testing.T) {
	j := openJournal(t, t.TempDir(), Config{sizes: sizes{read: 1}})
	require.NoError(t, j.Acquire(t.Context(), 1))
	appendTo(t, j, append(inParts(1, "the first", 4), entry(2, "b"), entry(3, "c"))...)
	var seen []string
	for r, err := range j.Records(t.Context()) {
		require.NoError(t, err)
		seen = append(seen, string(r.Data))
		if r.Seq == 1 && r.Part == 0 {
			appendTo(t, j, append(inParts(3, "the second", 4), entry(4, "d"))...)
		}
	}
	require.Equal(t, []string{"the ", "firs", "t", "b", "c"}, seen)
	requireContents(t, j, "the ", "seco", "nd", "d")
	appendEach(t, j, inParts(4, "third", 4)...)
	entries, parts := left(t, j)
	require.Equal(t, []int{0, 2}, []int{entries, parts})
}

func TestUnfinishedSnapshotDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir, Config{})
	require.NoError(t, j.Acquire(t.Context(), 1))
	appendTo(t, j, entry(1, "a"), entry(2, "b"))
	appendEach(t, j, inParts(1, "a long snapshot", 4)[:3]...)
	require.NoError(t, j.Close())

	j = openJournal(t, dir, Config{})
	requireContents(t, j, "a", "b")
	appendEach(t, j, inParts(2, "short", 4)...)
	requireContents(t, j, "shor", "t")
	_, parts := left(t, j)
	require.Equal(t, 2, parts)
}

func TestUnfinishedJournalIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	leftover := filepath.Join(dir, "journal-123.new")
	require.NoError(t, os.WriteFile(leftover, []byte("half"), 0o600))
	j := openJournal(t, dir, Config{})
	requireContents(t, j)
	require.NoFileExists(t, leftover)
}
