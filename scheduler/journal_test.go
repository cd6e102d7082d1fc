package scheduler

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func open(t testHelper, cfg Config) *Scheduler {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	return s
}

func records(t testHelper, j Journal) []Record {
	t.Helper()
	var all []Record
	for r, err := range j.Records(t.Context()) {
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

func TestOpenContinuesWhereTheJournalEnds(t *testing.T) {
	journal, c := new(MemoryJournal), newClock()
	cfg := Config{Journal: journal, Now: c.Now, Seed: 7}
	s := open(t, cfg)
	require.Equal(t, uint64(1), s.Token())
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	first := place(t, s, testRequest("a", 2))
	require.Equal(t, uint64(1), first.Token)
	before := snapshot(t, s)
	require.NoError(t, s.Close())

	s = open(t, cfg)
	require.Equal(t, uint64(2), s.Token())
	require.Equal(t, before, snapshot(t, s))
	again, err := s.Place(t.Context(), testRequest("a", 2))
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, "n1", place(t, s, testRequest("b", 2)).NodeID)
}

func TestDeposedSchedulerCanNotWrite(t *testing.T) {
	journal := new(MemoryJournal)
	old := open(t, Config{Journal: journal, Token: 5})
	addNodes(t, old, testNode("n1", 8))
	next := open(t, Config{Journal: journal, Token: 6})
	place(t, next, testRequest("a", 1))

	_, err := old.Place(t.Context(), testRequest("b", 1))
	require.ErrorIs(t, err, ErrJournal)
	require.ErrorIs(t, err, ErrFenced)
	var failed *JournalError
	require.ErrorAs(t, err, &failed)
	require.False(t, failed.Unknown)
	_, err = old.Node(t.Context(), "n1")
	require.ErrorIs(t, err, ErrJournal, "a failed scheduler answers nothing")

	_, err = Open(t.Context(), Config{Journal: journal, Token: 6})
	require.ErrorIs(t, err, ErrFenced)
	_, err = next.Allocation(t.Context(), "b")
	require.ErrorIs(t, err, ErrNotFound)
}

// gatedJournal holds every append until it is let through, and then returns
// fail.
type gatedJournal struct {
	MemoryJournal
	gate    chan struct{}
	fail    error
	appends int
}

func (j *gatedJournal) Append(ctx context.Context, token uint64, records []Record) error {
	select {
	case <-j.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	j.appends++
	if j.fail != nil {
		return j.fail
	}
	return j.MemoryJournal.Append(ctx, token, records)
}

func TestNobodySeesWhatIsNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &gatedJournal{gate: make(chan struct{})}
		var hooked []uint64
		s := open(t, Config{Journal: journal, Hooks: Hooks{Event: func(e Event) { hooked = append(hooked, e.Seq) }}})
		var calls sync.WaitGroup
		answered := make(chan string, 4)
		call := func(name string, f func() error) {
			calls.Go(func() {
				if err := f(); err != nil {
					name += ": " + err.Error()
				}
				answered <- name
			})
			synctest.Wait()
		}
		call("add", func() error { return s.AddNode(context.Background(), testNode("n1", 8)) })
		call("read", func() error { _, err := s.Node(t.Context(), "n1"); return err })
		call("schedule", func() error { _, err := s.Schedule(t.Context(), testRequest("a", 1)); return err })
		call("refusal", func() error { _, err := s.Schedule(t.Context(), testRequest("a", 100)); return err })
		require.Empty(t, answered)
		require.Empty(t, hooked)
		close(journal.gate)
		calls.Wait()
		require.Len(t, answered, 4)
		require.Equal(t, []uint64{1}, hooked)
	})
}

func TestWaitersShareOneAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &gatedJournal{gate: make(chan struct{})}
		s := open(t, Config{Journal: journal})
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				if err := s.AddNode(context.Background(), testNode(fmt.Sprintf("n%d", i), 8)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(journal.gate)
		calls.Wait()
		require.Equal(t, 2, journal.appends)
		require.Len(t, records(t, journal), 50)
	})
}

func TestContextBoundsTheWaitOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &gatedJournal{gate: make(chan struct{})}
		s := open(t, Config{Journal: journal})
		carried := make(chan error, 1)
		go func() { carried <- s.AddNode(context.Background(), testNode("n1", 8)) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- s.AddNode(ctx, testNode("n2", 8)) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		close(journal.gate)
		require.NoError(t, <-carried)
		require.Len(t, records(t, journal), 2, "and who appends takes it along")
		_, err := s.Node(t.Context(), "n2")
		require.NoError(t, err, "it took effect all the same")
	})
}

func TestFailedAppendClosesTheScheduler(t *testing.T) {
	journal := &gatedJournal{gate: make(chan struct{})}
	close(journal.gate)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 8))
	journal.fail = errors.New("disk on fire")
	_, err := s.Place(t.Context(), testRequest("a", 1))
	var failed *JournalError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Unknown)
	require.ErrorContains(t, err, "disk on fire")
	_, err = s.Schedule(t.Context(), testRequest("b", 1))
	require.ErrorIs(t, err, ErrJournal)
	require.ErrorIs(t, s.Wait(t.Context(), 99), ErrJournal)
	require.NoError(t, s.Close())
}

// brokenJournal yields records that a test made up.
type brokenJournal struct {
	MemoryJournal
	records []Record
}

func (j *brokenJournal) Records(context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range j.records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func emptySnapshot(seq int) []byte {
	return fmt.Appendf(nil, `{"v":1,"seq":%d,"time":"2026-01-01T00:00:00Z","joins":0}`, seq)
}

func TestUnreadableRecordsAreNamed(t *testing.T) {
	entry := func(seq uint64, changes string) Record {
		return Record{seq, RecordEntry, fmt.Appendf(nil, `{"v":1,"seq":%d,"time":"2026-01-01T00:00:00Z","changes":[%s]}`, seq, changes)}
	}
	tests := []struct {
		name    string
		records []Record
		want    string
	}{
		{"no JSON", []Record{{1, RecordEntry, []byte("{")}}, "unexpected end"},
		{"later version", []Record{{1, RecordEntry, []byte(`{"v":2,"new":1}`)}}, "version 2"},
		{"unknown field", []Record{{1, RecordEntry, []byte(`{"v":1,"new":1}`)}}, "unknown field"},
		{"unknown kind of record", []Record{{1, 9, nil}}, "unknown kind 9"},
		{"unknown change", []Record{entry(1, `{"kind":"exploded","data":{}}`)}, `unknown change "exploded"`},
		{"gap", []Record{entry(2, "")}, "follows record 0"},
		{"unknown node", []Record{entry(1, `{"kind":"node-removed","data":{"nodeID":"n1"}}`)}, `node "n1" not found`},
		{"unknown allocation", []Record{entry(1, `{"kind":"released","data":{"id":"a","generation":1}}`)}, `allocation "a" not found`},
		{"invalid node", []Record{entry(1, `{"kind":"node-added","data":{"node":{"id":""},"join":1}}`)}, "invalid id"},
		{"other entry", []Record{{3, RecordEntry, entry(1, "").Data}}, "holds entry 1"},
		{"entry twice", []Record{entry(1, ""), entry(1, "")}, "follows record 1"},
		{"entry missing", []Record{entry(1, ""), entry(3, "")}, "follows record 1"},
		{"other snapshot", []Record{{4, RecordSnapshot, emptySnapshot(3)}}, "holds snapshot 3"},
		{"snapshot of the past", []Record{{3, RecordSnapshot, emptySnapshot(3)}, entry(4, ""), {3, RecordSnapshot, emptySnapshot(3)}}, "follows record 4"},
		{"snapshot of a later version", []Record{{1, RecordSnapshot, []byte(`{"v":2,"seq":"new"}`)}}, "version 2"},
		{"bad snapshot", []Record{{3, RecordSnapshot, []byte(`{"v":1,"seq":3,"time":"2026-01-01T00:00:00Z","joins":0,"allocations":[{"id":"a"}]}`)}}, "points nowhere"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(t.Context(), Config{Journal: &brokenJournal{records: test.records}})
			var format *FormatError
			require.ErrorAs(t, err, &format)
			require.ErrorIs(t, err, ErrFormat)
			require.Equal(t, test.records[len(test.records)-1].Seq, format.Seq)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestSnapshotReplacesEntries(t *testing.T) {
	journal, c := new(MemoryJournal), newClock()
	s := open(t, Config{Journal: journal, Now: c.Now})
	n := testNode("n1", 8)
	n.Taints = []placement.Taint{noExecute("k")}
	n.Devices.Count = 2
	addNodes(t, s, n, testNode("n2", 8), testNode("n3", 8))
	tolerant := testRequest("a", 2)
	tolerant.Resources.GPU = 500
	tolerant.Preferences = tolerant.Preferences.Tolerate(placement.TolerateExists("k").AtMost(60))
	place(t, s, tolerant)
	place(t, s, testRequest("b", 2))
	require.NoError(t, s.MarkLost(t.Context(), "n2"))
	require.Equal(t, "n3", place(t, s, testRequest("b", 2)).NodeID)

	require.NoError(t, s.Checkpoint(t.Context()))
	require.NoError(t, s.Cordon(t.Context(), "n3"))
	require.Len(t, records(t, journal), 2)
	before := snapshot(t, s)
	next, ok := s.NextDeadline()
	require.True(t, ok)

	reopened := open(t, Config{Journal: journal, Now: c.Now})
	require.Equal(t, before, snapshot(t, reopened))
	restored, ok := reopened.NextDeadline()
	require.True(t, ok)
	require.Equal(t, next, restored)
	require.Equal(t, 1, strings.Count(before, `"overstayed"`)+strings.Count(before, `"lost":true`))
}

func TestCheckpointFailures(t *testing.T) {
	require.Error(t, newTestScheduler(t, Config{}).Checkpoint(t.Context()), "no journal")

	journal := &gatedJournal{gate: make(chan struct{})}
	close(journal.gate)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 8))
	journal.fail = errors.New("too large")
	require.ErrorIs(t, s.Checkpoint(t.Context()), ErrJournal)
	journal.fail = nil
	place(t, s, testRequest("a", 1))

	open(t, Config{Journal: journal})
	require.ErrorIs(t, s.Checkpoint(t.Context()), ErrFenced)
	_, err := s.Node(t.Context(), "n1")
	require.ErrorIs(t, err, ErrFenced, "a deposed scheduler closes")
}

func TestNoTokenIsLeft(t *testing.T) {
	journal := new(MemoryJournal)
	require.NoError(t, journal.Acquire(t.Context(), math.MaxUint64))
	_, err := Open(t.Context(), Config{Journal: journal})
	require.ErrorIs(t, err, ErrFenced)
}
