package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// begun is opened without a journal.
func begun(t *testing.T, cfg scheduler.Config) *scheduler.Scheduler {
	t.Helper()
	s, err := scheduler.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.AddNode(t.Context(), nodeOf("n1", 1000)))
	return s
}

// bulky adds nodes with long labels, so that a snapshot has several parts, with an
// instance on each.
func bulky(t *testing.T, s *scheduler.Scheduler, nodes int) {
	t.Helper()
	for i := range nodes {
		n := nodeOf(fmt.Sprintf("bulky-%04d", i), 4)
		n.Labels = map[string]string{"long": strings.Repeat(fmt.Sprint(i%10), 1000)}
		require.NoError(t, s.AddNode(t.Context(), n))
		_, err := s.Allocate(t.Context(), n.ID, one(fmt.Sprintf("i-%04d", i)))
		require.NoError(t, err)
	}
}

// parts returns the records of a snapshot.
func parts(t *testing.T, snapshot string) []scheduler.Record {
	t.Helper()
	var all []scheduler.Record
	for r, err := range scheduler.ReadSnapshot(strings.NewReader(snapshot)) {
		require.NoError(t, err)
		r.Data = bytes.Clone(r.Data)
		all = append(all, r)
	}
	return all
}

func TestSnapshotComesInParts(t *testing.T) {
	journal := new(scheduler.MemoryJournal)
	s := opened(t, scheduler.Config{Journal: journal})
	bulky(t, s, 1200)
	all := parts(t, snapshot(t, s))
	require.Len(t, all, 3)
	for i, r := range all {
		require.Less(t, len(r.Data), 600_000)
		require.Equal(t, []any{i, i == len(all)-1}, []any{r.Part, r.Kind == scheduler.RecordSnapshot})
	}
	require.NoError(t, s.Checkpoint(t.Context()))
	require.Equal(t, all, recordsOf(t, journal))
	next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
	require.NoError(t, err)
	require.Equal(t, snapshot(t, s), snapshot(t, next))
}

// TestPartsOfTwoSnapshotsAreNotMixed opens journals that give parts that do not
// belong together.
func TestPartsOfTwoSnapshotsAreNotMixed(t *testing.T) {
	s := begun(t, scheduler.Config{})
	bulky(t, s, 1000)
	all := parts(t, snapshot(t, s))
	// As many parts of the same Seq, in another history.
	other := begun(t, scheduler.Config{})
	bulky(t, other, 999)
	require.NoError(t, other.Cordon(t.Context(), "n1"))
	require.NoError(t, other.Uncordon(t.Context(), "n1"))
	mixed := parts(t, snapshot(t, other))
	require.Equal(t, [2]int{len(all), int(all[0].Seq)}, [2]int{len(mixed), int(mixed[0].Seq)})
	tests := []struct {
		name    string
		records []scheduler.Record
		want    string
	}{
		{"of another snapshot", []scheduler.Record{all[0], mixed[1], mixed[2]}, "another snapshot"},
		{"the last of another", []scheduler.Record{all[0], all[1], mixed[2]}, "another snapshot"},
		{"one is missing", []scheduler.Record{all[0], all[2]}, "comes where part 1"},
		{"no first part", all[1:], "comes where part 0"},
		{"no last part", all[:2], "ends before part 2"},
		{"begun anew", []scheduler.Record{all[0], all[0], all[1], all[2]}, "comes where part 1"},
		{"an entry in between", []scheduler.Record{all[0], {Seq: 1, Kind: scheduler.RecordEntry}}, "ends before part 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := scheduler.Open(t.Context(), scheduler.Config{Journal: &damaged{records: test.records}})
			require.ErrorIs(t, err, scheduler.ErrFormat)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestCheckpointThatStopsHalfwayDoesNotCount(t *testing.T) {
	journal := new(stored)
	s := opened(t, scheduler.Config{Journal: journal})
	bulky(t, s, 1200)
	before := recordsOf(t, &journal.MemoryJournal)
	appends := 0
	journal.before = func(context.Context) error {
		if appends++; appends == 3 {
			return errors.New("disk full")
		}
		return nil
	}
	require.ErrorContains(t, s.Checkpoint(t.Context()), "disk full")
	require.Equal(t, before, recordsOf(t, &journal.MemoryJournal))
	require.NoError(t, s.Release(t.Context(), "i-0000"), "and the scheduler goes on")
	require.NoError(t, s.Checkpoint(t.Context()))
	require.Len(t, recordsOf(t, &journal.MemoryJournal), 3)
}

func TestWriteSnapshotReturnsTheErrorOfTheWriter(t *testing.T) {
	s := begun(t, scheduler.Config{})
	bulky(t, s, 600)
	failed := errors.New("connection lost")
	for _, limit := range []int{0, 3, 1000, 600_000} {
		w := &limited{left: limit, err: failed}
		require.ErrorIs(t, s.WriteSnapshot(t.Context(), w), failed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.WriteSnapshot(ctx, io.Discard), context.Canceled)
	snapshot(t, s)
}

// limited is a writer that fails after some bytes.
type limited struct {
	left int
	err  error
}

func (w *limited) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

// TestListsDoNotWaitForASlowSnapshot reads lists, and changes all nodes, while
// somebody takes a snapshot and never goes on.
func TestListsDoNotWaitForASlowSnapshot(t *testing.T) {
	s := begun(t, scheduler.Config{})
	bulky(t, s, 1200)
	want := snapshot(t, s)
	var got strings.Builder
	writes := 0
	slow := writerFunc(func(p []byte) (int, error) {
		if writes++; writes == 2 {
			nodes, err := s.Nodes(t.Context())
			require.NoError(t, err)
			require.Len(t, nodes, 1201)
			all, err := s.Allocations(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 1200)
			for _, n := range nodes {
				require.NoError(t, s.SetLabel(t.Context(), n.ID, "new", "label"))
			}
			_, err = s.RemoveNode(t.Context(), "bulky-1100")
			require.NoError(t, err)
			require.NoError(t, s.AddNode(t.Context(), nodeOf("new", 1)))
		}
		return got.Write(p)
	})
	require.NoError(t, s.WriteSnapshot(t.Context(), slow))
	require.Equal(t, want, got.String())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRestoreGoesOnFromASnapshot(t *testing.T) {
	s := begun(t, scheduler.Config{Token: 5})
	bulky(t, s, 1200)
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	books := snapshot(t, s)

	inMemory, err := scheduler.Restore(t.Context(), scheduler.Config{}, iotest.OneByteReader(strings.NewReader(books)))
	require.NoError(t, err)
	require.Equal(t, books, snapshot(t, inMemory))
	require.Equal(t, uint64(6), inMemory.Token())

	journal := new(scheduler.MemoryJournal)
	durable, err := scheduler.Restore(t.Context(), scheduler.Config{Journal: journal}, strings.NewReader(books))
	require.NoError(t, err)
	require.Equal(t, books, snapshot(t, durable))
	require.Equal(t, uint64(6), durable.Token())
	require.NoError(t, durable.Release(t.Context(), "i-0007"))
	want := snapshot(t, durable)
	next, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
	require.NoError(t, err)
	require.Equal(t, want, snapshot(t, next))

	_, err = scheduler.Restore(t.Context(), scheduler.Config{Journal: journal}, strings.NewReader(books))
	require.ErrorIs(t, err, placement.ErrInvalid, "the journal is not empty")
}

func TestRestoreNeedsAGreaterToken(t *testing.T) {
	s := begun(t, scheduler.Config{Token: 5})
	for _, journal := range []scheduler.Journal{nil, new(scheduler.MemoryJournal)} {
		_, err := scheduler.Restore(t.Context(), scheduler.Config{Token: 5, Journal: journal}, strings.NewReader(snapshot(t, s)))
		var fenced *scheduler.FencedError
		require.ErrorAs(t, err, &fenced)
		require.Equal(t, scheduler.FencedError{Token: 5, Highest: 5}, *fenced)
	}
}

// TestDamagedSnapshotIsRefused harms what was written, everywhere; nothing of it
// counts in the journal then.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	s := begun(t, scheduler.Config{})
	_, err := s.Place(t.Context(), one("a"))
	require.NoError(t, err)
	books := []byte(snapshot(t, s))
	refuses := func(books []byte) {
		t.Helper()
		journal := new(scheduler.MemoryJournal)
		_, err := scheduler.Restore(t.Context(), scheduler.Config{Journal: journal}, bytes.NewReader(books))
		require.ErrorIs(t, err, scheduler.ErrFormat)
		require.Empty(t, recordsOf(t, journal))
	}
	for length := range books {
		refuses(books[:length])
	}
	for bit := range 8 * len(books) {
		books[bit/8] ^= 1 << (bit % 8)
		refuses(books)
		books[bit/8] ^= 1 << (bit % 8)
	}
	broken := errors.New("disk on fire")
	_, err = scheduler.Restore(t.Context(), scheduler.Config{}, iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func TestWriteJSONTellsWhatItCannotRead(t *testing.T) {
	journal := new(scheduler.MemoryJournal)
	s := opened(t, scheduler.Config{Journal: journal})
	bulky(t, s, 1000)
	require.NoError(t, s.Checkpoint(t.Context()))
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	var b bytes.Buffer
	require.NoError(t, scheduler.WriteJSON(&b, journal.Records(t.Context())))
	require.Equal(t, 1+1+1001+1000+1+1, bytes.Count(b.Bytes(), []byte("\n")), "head, class, nodes, instances, account, entry")
	harmed := recordsOf(t, journal)
	harmed[1].Data[100] ^= 1
	require.ErrorIs(t, scheduler.WriteJSON(io.Discard, (&damaged{records: harmed}).Records(t.Context())), scheduler.ErrFormat)
	require.ErrorIs(t, scheduler.WriteJSON(io.Discard, (&damaged{records: []scheduler.Record{{Kind: 9}}}).Records(t.Context())), scheduler.ErrFormat)
	failed := errors.New("disk full")
	require.ErrorIs(t, scheduler.WriteJSON(&limited{err: failed}, journal.Records(t.Context())), failed)
}
