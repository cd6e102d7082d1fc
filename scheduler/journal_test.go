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

	"github.com/rads-project/constellation/internal/codec"
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

// recordOf returns the record of an entry.
func recordOf(e *entry) Record {
	return Record{Seq: e.seq, Kind: RecordEntry, Data: e.encode(new(codec.Coder), nil)}
}

// snapshotOf returns the only part of a snapshot with these items after the head.
func snapshotOf(seq uint64, items ...snapshotItem) Record {
	var all []Record
	w := partWriter{next: snapshotPart{seq: seq}, emit: func(r Record) error { all = append(all, r); return nil }}
	_ = w.put(itemHead, &headItem{Seq: seq, Joins: 9})
	for _, item := range items {
		switch item.(type) {
		case *nodeItem:
			_ = w.put(itemNode, item)
		case *classItem:
			_ = w.put(itemClass, item)
		case *instanceItem:
			_ = w.put(itemInstance, item)
		case *headItem:
			_ = w.put(itemHead, item)
		}
	}
	_ = w.end()
	return all[0]
}

func TestUnreadableRecordsAreNamed(t *testing.T) {
	entry := func(seq uint64, changes ...decided) Record { return recordOf(&entry{seq: seq, changes: changes}) }
	named := func(r Record, seq uint64, kind RecordKind) Record {
		r.Seq, r.Kind = seq, kind
		return r
	}
	later := entry(1)
	later.Data[0] = 2
	n, class := &nodeItem{Node: testNode("n1", 8), Join: 1}, new(classItem)
	inst := func(id string) *instanceItem { return &instanceItem{ID: id, Generation: 1} }
	tests := []struct {
		name    string
		records []Record
		want    string
	}{
		{"no data", []Record{{Seq: 1, Kind: RecordEntry}}, "0 bytes are no record"},
		{"JSON", []Record{{Seq: 1, Kind: RecordEntry, Data: []byte("{}")}}, "version 123"},
		{"later version", []Record{later}, "version 2"},
		{"unknown field", []Record{sealed(1, RecordEntry, []byte{5 << 3, 1})}, "field 5 is unknown"},
		{"unknown kind of record", []Record{{Seq: 1, Kind: 9}}, "unknown kind 9"},
		{"another kind of record", []Record{named(entry(1), 1, RecordSnapshot)}, "is of kind 1, and not 2"},
		{"unknown change", []Record{sealed(1, RecordEntry, []byte{4<<3 | 2, 3, 0x9a, 6, 0})}, "unknown change 99"},
		{"derived change", []Record{sealed(1, RecordEntry, []byte{4<<3 | 2, 3, 0xc2, 12, 0})}, "unknown change 200"},
		{"gap", []Record{entry(2)}, "follows record 0"},
		{"unknown node", []Record{entry(1, &NodeRemoved{NodeID: "n1"})}, `node "n1" not found`},
		{"unknown mark", []Record{entry(1, &NodeMarked{NodeID: "n1", Mark: "polite"})}, `invalid mark`},
		{"unknown allocation", []Record{entry(1, &Released{ID: "a", Generation: 1})}, `allocation "a" not found`},
		{"invalid node", []Record{entry(1, &NodeAdded{Join: 1})}, "invalid id"},
		{"other entry", []Record{named(entry(1), 3, RecordEntry)}, "holds entry 1"},
		{"entry twice", []Record{entry(1), entry(1)}, "follows record 1"},
		{"entry missing", []Record{entry(1), entry(3)}, "follows record 1"},
		{"other snapshot", []Record{named(snapshotOf(3), 4, RecordSnapshot)}, "holds part 0 of snapshot 3"},
		{"snapshot of the past", []Record{snapshotOf(3), entry(4), snapshotOf(3)}, "follows record 4"},
		{"two heads", []Record{snapshotOf(3, new(headItem))}, "head is not in its place"},
		{"instance without a node", []Record{snapshotOf(3, class, inst("a"))}, "points nowhere"},
		{"instance without a class", []Record{snapshotOf(3, n, inst("a"))}, "points nowhere"},
		{"instance of an unknown state", []Record{snapshotOf(3, n, class, &instanceItem{ID: "a", State: 3})}, "points nowhere"},
		{"instances out of order", []Record{snapshotOf(3, n, class, inst("b"), inst("a"))}, "order of IDs"},
		{"instance twice", []Record{snapshotOf(3, n, class, inst("a"), &nodeItem{Node: testNode("n2", 8), Join: 2}, inst("a"))}, "twice"},
		{"invalid class", []Record{snapshotOf(3, n, &classItem{Request: placement.Request{Duration: -1}})}, "negative"},
		{"nodes out of order", []Record{snapshotOf(3, n, &nodeItem{Node: testNode("n2", 8), Join: 1})}, "order of joining"},
		{"node beyond the joins", []Record{snapshotOf(3, &nodeItem{Node: testNode("n2", 8), Join: 10})}, "order of joining"},
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
	require.Equal(t, 1, strings.Count(shownSnapshot(t, before), `"lost":true`))
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
