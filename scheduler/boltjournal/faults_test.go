package boltjournal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/rads-project/constellation/scheduler"
)

func long() bool { return os.Getenv("CONSTELLATION_LONG") != "" }

// filled makes a journal with a snapshot of several parts, entries on many
// pages, and free pages, and returns what it holds.
func filled(tb testing.TB, dir string) []string {
	tb.Helper()
	j, err := Open(dir, Config{})
	require.NoError(tb, err)
	require.NoError(tb, j.Acquire(context.Background(), 1))
	for seq := uint64(1); seq <= 400; seq += 4 {
		var batch []scheduler.Record
		for i := range uint64(4) {
			batch = append(batch, entry(seq+i, fmt.Sprint("entry ", seq+i, strings.Repeat("x", int(seq)))))
		}
		appendTo(tb, j, batch...)
		if seq == 101 || seq == 201 {
			appendEach(tb, j, inParts(seq, strings.Repeat(fmt.Sprint("snapshot", seq), 3000), 6000)...)
		}
	}
	want, err := contents(j)
	require.NoError(tb, err)
	require.NoError(tb, j.Close())
	return want
}

// checkDamaged opens a damaged journal: what it held is there, and it can go
// on, or an error names the damage.
func checkDamaged(t *testing.T, dir string, want []string) (found bool) {
	t.Helper()
	j, err := Open(dir, Config{})
	if err != nil {
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.ErrorIs(t, err, ErrCorrupt)
		require.NotEmpty(t, corrupt.Place)
		require.Contains(t, err.Error(), fileName)
		return true
	}
	got, err := contents(j)
	require.NoError(t, err)
	require.True(t, slices.Equal(want, got), "%d records, want %d", len(got), len(want))
	require.NoError(t, j.Acquire(t.Context(), 2))
	require.NoError(t, j.Append(t.Context(), 2, []scheduler.Record{entry(401, "one more")}))
	require.NoError(t, j.Append(t.Context(), 2, inParts(300, strings.Repeat("new", 50_000), 100_000)))
	require.NoError(t, j.Close())
	j = openJournal(t, dir, Config{})
	got, err = contents(j)
	require.NoError(t, err)
	require.Len(t, got, 2+101)
	require.Equal(t, want[len(want)-100:], got[2:102])
	require.NoError(t, j.Close())
	return false
}

func TestDamageIsFoundOrDoesNoHarm(t *testing.T) {
	original := t.TempDir()
	want := filled(t, original)
	sound, err := os.ReadFile(filepath.Join(original, fileName))
	require.NoError(t, err)
	used := bytesInUse(t, original)
	tests := []struct {
		name   string
		damage func(*rand.Rand, []byte) []byte
	}{
		{"a flipped bit", func(r *rand.Rand, b []byte) []byte { b[r.IntN(used)] ^= 1 << r.IntN(8); return b }},
		{"a flipped bit in a page header", func(r *rand.Rand, b []byte) []byte {
			b[r.IntN(used/4096)*4096+r.IntN(pageHeader+4*element)] ^= 1 << r.IntN(8)
			return b
		}},
		{"many flipped bits", func(r *rand.Rand, b []byte) []byte {
			for range 20 {
				b[r.IntN(used)] ^= 1 << r.IntN(8)
			}
			return b
		}},
		{"a lost sector", func(r *rand.Rand, b []byte) []byte { clear(b[r.IntN(used/512)*512:][:512]); return b }},
		{"a page of another place", func(r *rand.Rand, b []byte) []byte {
			copy(b[r.IntN(used/4096)*4096:][:4096], b[r.IntN(used/4096)*4096:])
			return b
		}},
		{"a page of another place under its number", func(r *rand.Rand, b []byte) []byte {
			copy(b[r.IntN(used/4096)*4096:][8:4096], b[r.IntN(used/4096)*4096+8:])
			return b
		}},
		{"a cut file", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(used)] }},
	}
	rounds := 40
	if long() {
		rounds = 2000
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			found := 0
			for range rounds {
				dir := t.TempDir()
				damaged := test.damage(random, append([]byte{}, sound...))
				require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), damaged, 0o600))
				if checkDamaged(t, dir, want) {
					found++
				}
			}
			require.Positive(t, found)
			t.Logf("%d of %d were found, the others were harmless", found, rounds)
		})
	}
}

// bytesInUse returns the length of the part of the file that was ever used.
func bytesInUse(tb testing.TB, dir string) int {
	tb.Helper()
	file, err := os.Open(filepath.Join(dir, fileName))
	require.NoError(tb, err)
	defer func() { require.NoError(tb, file.Close()) }()
	p, err := openPages(file)
	require.NoError(tb, err)
	return int(p.end) * int(p.size)
}

// FuzzVerify feeds files that are nearly or not at all journals: verify reads
// or refuses them, and bbolt opens what it has passed.
func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Config{})
	require.NoError(f, err)
	require.NoError(f, j.Acquire(context.Background(), 1))
	appendTo(f, j, snapshot(1, "snapshot"), entry(2, "entry"))
	require.NoError(f, j.Close())
	sound, err := os.ReadFile(filepath.Join(dir, fileName))
	require.NoError(f, err)
	f.Add(uint32(0), []byte{0})
	f.Add(uint32(4096*3+9), []byte("\x01"))
	f.Fuzz(func(t *testing.T, at uint32, with []byte) {
		damaged := append([]byte{}, sound...)
		copy(damaged[int(at)%len(damaged):], with)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), damaged, 0o600))
		j, err := Open(dir, Config{})
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion), err)
			return
		}
		requireContents(t, j, "snapshot", "entry")
		require.NoError(t, j.Close())
	})
}

func TestFailedCommitEndsTheJournal(t *testing.T) {
	tests := []struct {
		name   string
		commit func(*bolt.Tx) error
		want   []string // after the next Open
	}{
		{"nothing was written", func(*bolt.Tx) error { return errors.New("no disk") }, []string{"a"}},
		{"all was written", func(tx *bolt.Tx) error { return errors.Join(tx.Commit(), errors.New("no disk")) }, []string{"a", "b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			failing := false
			j := openJournal(t, dir, Config{commit: func(tx *bolt.Tx) error {
				if failing {
					return test.commit(tx)
				}
				return tx.Commit()
			}})
			require.NoError(t, j.Acquire(t.Context(), 1))
			appendTo(t, j, entry(1, "a"))
			failing = true
			require.ErrorContains(t, j.Append(t.Context(), 1, []scheduler.Record{entry(2, "b")}), "no disk")
			failing = false
			require.ErrorContains(t, j.Append(t.Context(), 1, []scheduler.Record{entry(2, "b")}), "no disk")
			require.ErrorContains(t, j.Acquire(t.Context(), 2), "no disk")
			_, err := contents(j)
			require.ErrorContains(t, err, "no disk", "what was read might not be durable")
			require.NoError(t, j.Close())
			requireContents(t, openJournal(t, dir, Config{}), test.want...)
		})
	}
}

func TestSlowSyncDelaysAnswersOnly(t *testing.T) {
	gate, syncing := make(chan struct{}), make(chan struct{})
	commits := 0
	j := openJournal(t, t.TempDir(), Config{commit: func(tx *bolt.Tx) error {
		if commits++; commits == 2 {
			close(syncing)
			<-gate
		}
		return tx.Commit()
	}})
	require.NoError(t, j.Acquire(t.Context(), 1))
	var calls sync.WaitGroup
	calls.Go(func() { appendTo(t, j, entry(1, "a")) })
	<-syncing
	requireContents(t, j) // does not wait for it
	close(gate)
	calls.Wait()
	requireContents(t, j, "a")
}

// What a snapshot has replaced is nobody's to hear of but the log's, if it cannot be
// deleted.
func TestWhatCannotBeDeletedIsLogged(t *testing.T) {
	var log bytes.Buffer
	commits := 0
	j := openJournal(t, t.TempDir(), Config{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		commit: func(tx *bolt.Tx) error {
			if commits++; commits > 3 { // after those of Acquire and both appends
				return errors.New("disk full")
			}
			return tx.Commit()
		},
	})
	require.NoError(t, j.Acquire(t.Context(), 1))
	require.NoError(t, j.Append(t.Context(), 1, []scheduler.Record{entry(1, "x")}))
	require.Empty(t, log.String())
	require.NoError(t, j.Append(t.Context(), 1, inParts(1, "snapshot", 100)))
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), `level=WARN msg="boltjournal: what a snapshot has replaced could not be deleted" error="boltjournal: commit: disk full"`)
}
