package scheduler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func newFollowed(t testHelper, cfg Config) *Follower {
	t.Helper()
	f, err := Follow(t.Context(), cfg)
	require.NoError(t, err)
	return f
}

// catchUp reads what the journal has.
func catchUp(t testHelper, f *Follower) {
	t.Helper()
	require.NoError(t, f.readOn(t.Context(), true))
}

func TestFollowingDeposesNobody(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal, Token: 5})
	addNodes(t, s, testNode("n1", 4))
	f := newFollowed(t, Config{Journal: journal})
	d := place(t, s, testRequest("a", 1))
	_, err := f.Allocation(t.Context(), "a")
	require.ErrorIs(t, err, ErrNotFound, "it has not read on")
	catchUp(t, f)
	a, err := f.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, d.NodeID, a.NodeID)
	would, err := f.Schedule(t.Context(), testRequest("b", 1))
	require.NoError(t, err)
	did, err := s.Schedule(t.Context(), testRequest("b", 1))
	require.NoError(t, err)
	require.Equal(t, did, would)
	require.Equal(t, snapshot(t, s), snapshot(t, f))
}

// A deadline passes on a follower when the journal says so, and not by its clock.
func TestNothingFallsDueOnAFollower(t *testing.T) {
	journal, c := new(MemoryJournal), newClock()
	s := open(t, Config{Journal: journal, Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	req := testRequest("a", 1)
	req.Duration = time.Minute
	place(t, s, req)
	f := newFollowed(t, Config{Journal: journal, Now: c.Now})
	c.advance(time.Hour)
	overstayed := func() bool {
		a, err := f.Allocation(t.Context(), "a")
		require.NoError(t, err)
		return a.Overstayed
	}
	require.False(t, overstayed())
	_, err := f.CheckQuota(t.Context(), "ns", placement.Resources{}) // which depends on the time
	require.NoError(t, err)
	require.False(t, overstayed())
	require.Equal(t, c.Now().Add(-time.Hour), f.Position().Time)
	require.Equal(t, s.Version(), f.Version())
	_, err = s.Sweep(t.Context())
	require.NoError(t, err)
	catchUp(t, f)
	require.True(t, overstayed())
	require.Equal(t, c.Now(), f.Position().Time)
}

// following runs a follower in a bubble; what Run returns comes in the channel.
func following(ctx context.Context, f *Follower) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return done
}

func TestRunKeepsAFollowerUpToDate(t *testing.T) {
	for _, name := range []string{"followed", "polled"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				journal := Journal(new(MemoryJournal))
				s := open(t, Config{Journal: journal})
				if name == "polled" {
					journal = polled{journal}
				}
				f := newFollowed(t, Config{Journal: journal})
				ctx, end := context.WithCancel(t.Context())
				done := following(ctx, f)
				waits := make(chan error, 1)
				go func() { waits <- f.Wait(t.Context(), 0) }()
				addNodes(t, s, testNode("n1", 4))
				require.NoError(t, <-waits, "a change wakes who waits")
				require.Equal(t, snapshot(t, s), snapshot(t, f))
				require.NoError(t, s.Checkpoint(t.Context()))
				place(t, s, testRequest("a", 1))
				time.Sleep(time.Minute) // without a change
				synctest.Wait()
				require.Equal(t, snapshot(t, s), snapshot(t, f))
				require.Less(t, f.Position().Age(time.Now()), 10*time.Second, "an idle journal is looked at now and then")
				end()
				require.NoError(t, <-done)
				time.Sleep(time.Minute)
				require.GreaterOrEqual(t, f.Position().Age(time.Now()), time.Minute, "nobody reads any more")
			})
		})
	}
}

// Entries that a checkpoint has deleted before they were read are in its snapshot.
func TestFollowerOfAJournalThatWasCut(t *testing.T) {
	for _, name := range []string{"followed", "polled"} {
		t.Run(name, func(t *testing.T) {
			journal := new(MemoryJournal)
			s := open(t, Config{Journal: journal})
			addNodes(t, s, testNode("n1", 4))
			cfg := Config{Journal: journal}
			if name == "polled" {
				cfg.Journal = polled{journal}
			}
			f := newFollowed(t, cfg)
			place(t, s, testRequest("a", 1))
			place(t, s, testRequest("b", 1))
			require.NoError(t, s.Checkpoint(t.Context()))
			place(t, s, testRequest("c", 1))
			catchUp(t, f)
			require.Equal(t, snapshot(t, s), snapshot(t, f))
			require.NoError(t, s.Release(t.Context(), "a"))
			catchUp(t, f)
			require.Equal(t, snapshot(t, s), snapshot(t, f))
			promoted, err := f.Promote(t.Context(), 0)
			require.NoError(t, err)
			require.Equal(t, snapshot(t, open(t, Config{Journal: journalOf(t, journal)})), snapshot(t, promoted))
		})
	}
}

// A list or a snapshot that was begun before the state was replaced is of the state
// before.
func TestCaptureOutlivesTheStateThatItIsOf(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	for i := range 4 * captureTurn { // more than one part of a snapshot
		n := testNode(fmt.Sprint("n", i), 4)
		n.Labels = map[string]string{"a": strings.Repeat("a", 1000), "b": strings.Repeat("b", 1000), "c": strings.Repeat("c", 1000)}
		addNodes(t, s, n)
	}
	f := newFollowed(t, Config{Journal: journal})
	before := snapshot(t, f)
	place(t, s, testRequest("a", 1))
	require.NoError(t, s.Checkpoint(t.Context()))
	var written bytes.Buffer
	require.NoError(t, f.WriteSnapshot(t.Context(), writerFunc(func(p []byte) (int, error) {
		if written.Len() == 0 {
			require.Less(t, f.state.capturing[1].stream.next, 4*captureTurn, "nodes are left")
			catchUp(t, f)
			require.Equal(t, s.Version(), f.Version())
		}
		return written.Write(p)
	})))
	require.True(t, before == written.String()) // which are long
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// scripted is a journal that can be followed, and has what a test says.
type scripted struct {
	Journal
	follow func(ctx context.Context, after uint64, yield func(Record, error) bool)
	asked  []uint64 // where readers began
}

func (j *scripted) Follow(ctx context.Context, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		j.asked = append(j.asked, after)
		j.follow(ctx, after, yield)
	}
}

// follows yields records and then that they are all.
func follows(after uint64, records []Record, yield func(Record, error) bool) {
	last := uint64(0)
	for _, r := range records {
		last = r.Seq
		if r.Seq > after && !yield(r, nil) {
			return
		}
	}
	yield(Record{Seq: last, Kind: RecordCurrent}, nil)
}

func TestFollowerOfAJournalThatIsWrong(t *testing.T) {
	source := new(MemoryJournal)
	s := open(t, Config{Journal: source})
	addNodes(t, s, testNode("n1", 4))
	for _, id := range []string{"a", "b", "c"} {
		place(t, s, testRequest(id, 1))
	}
	good := records(t, source)
	lost := errors.New("connection lost")
	damaged := slices.Clone(good)
	damaged[2].Data = append(slices.Clone(good[2].Data[:len(good[2].Data)-1]), good[2].Data[len(good[2].Data)-1]^1)
	twice := recordOf(&entry{seq: 3, time: time.Now().Add(time.Hour), changes: []decided{
		&NodeMarked{NodeID: "n1", Mark: MarkCordoned}, &Released{ID: "nobody", Generation: 1},
	}})
	tests := []struct {
		name   string
		follow func(ctx context.Context, after uint64, yield func(Record, error) bool)
		want   error
		closed bool // no read shows a state that is half changed
	}{
		{"an error of the journal", func(_ context.Context, _ uint64, yield func(Record, error) bool) {
			yield(Record{}, lost)
		}, lost, false},
		{"a gap", func(_ context.Context, _ uint64, yield func(Record, error) bool) {
			yield(good[3], nil)
		}, ErrFormat, false},
		{"less than it says", func(_ context.Context, _ uint64, yield func(Record, error) bool) {
			yield(Record{Seq: 4, Kind: RecordCurrent}, nil)
		}, ErrFormat, false},
		{"a record that is damaged", func(_ context.Context, after uint64, yield func(Record, error) bool) {
			follows(after, damaged, yield)
		}, ErrFormat, false},
		{"an end without an error", func(context.Context, uint64, func(Record, error) bool) {}, nil, false},
		{"an older copy", func(_ context.Context, _ uint64, yield func(Record, error) bool) {
			yield(Record{}, ErrTruncated)
		}, ErrTruncated, false},
		{"an entry that cannot be", func(_ context.Context, after uint64, yield func(Record, error) bool) {
			follows(after, []Record{good[0], good[1], twice}, yield)
		}, ErrFormat, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := &scripted{Journal: new(MemoryJournal), follow: func(_ context.Context, after uint64, yield func(Record, error) bool) {
				follows(after, good[:2], yield)
			}}
			f := newFollowed(t, Config{Journal: j})
			before, position := snapshot(t, f), f.Position()
			j.follow = test.follow
			err := f.Run(t.Context())
			require.Error(t, err)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			if test.closed {
				_, err := f.Allocations(t.Context())
				require.ErrorIs(t, err, ErrFormat)
				_, err = f.Promote(t.Context(), 0)
				require.ErrorIs(t, err, ErrFormat)
				require.ErrorIs(t, f.Run(t.Context()), ErrFormat)
				return
			}
			require.Equal(t, before, snapshot(t, f), "what was shown before is shown")
			require.Equal(t, position, f.Position(), "as old as it is")
			j.follow = func(_ context.Context, after uint64, yield func(Record, error) bool) { follows(after, good, yield) }
			catchUp(t, f)
			require.Equal(t, snapshot(t, s), snapshot(t, f), "and it can go on")
		})
	}
}

// A newer snapshot may come before the last part of the one before.
func TestFollowerForgetsASnapshotThatIsNotCompleted(t *testing.T) {
	source := new(MemoryJournal)
	s := open(t, Config{Journal: source})
	addNodes(t, s, testNode("n1", 4))
	var first Record
	w := partWriter{next: snapshotPart{seq: s.Version()}, emit: func(r Record) error { first = r; return nil }}
	require.NoError(t, w.put(itemHead, &headItem{Seq: s.Version(), Joins: 9}))
	require.NoError(t, w.flush(RecordSnapshotPart))
	place(t, s, testRequest("a", 1))
	require.NoError(t, s.Checkpoint(t.Context()))
	j := &scripted{Journal: source, follow: func(_ context.Context, after uint64, yield func(Record, error) bool) {
		if !yield(first, nil) {
			return
		}
		follows(after, records(t, source), yield)
	}}
	require.Equal(t, snapshot(t, s), snapshot(t, newFollowed(t, Config{Journal: j})))
}

func TestPromoteReadsWhatIsLeftAndNothingElse(t *testing.T) {
	source := new(MemoryJournal)
	s := open(t, Config{Journal: source, Token: 1})
	addNodes(t, s, testNode("n1", 4))
	read := 0
	j := &scripted{Journal: source, follow: func(_ context.Context, after uint64, yield func(Record, error) bool) {
		follows(after, records(t, source), func(r Record, err error) bool {
			read++
			return yield(r, err)
		})
	}}
	f := newFollowed(t, Config{Journal: j})
	for _, id := range []string{"a", "b", "c"} {
		place(t, s, testRequest(id, 1))
	}
	read, j.asked = 0, nil
	promoted, err := f.Promote(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, 4, read, "three entries, and that there are no more")
	require.Equal(t, []uint64{1}, j.asked)
	require.Equal(t, uint64(2), promoted.Token())
	require.Equal(t, uint64(2), place(t, promoted, testRequest("d", 1)).Token)
	_, err = s.Place(t.Context(), testRequest("e", 1))
	require.ErrorIs(t, err, ErrFenced)
	d, err := f.Allocation(t.Context(), "d")
	require.NoError(t, err, "its reads are those of the scheduler")
	require.Equal(t, "n1", d.NodeID)
	require.True(t, f.Position().Promoted)
	require.Zero(t, f.Position().Age(time.Now().Add(time.Hour)))
	_, err = f.Promote(t.Context(), 3)
	require.ErrorIs(t, err, ErrPromoted)
	require.NoError(t, f.Run(t.Context()))
}

// Who acquires the journal meanwhile is seen in what is left, at the latest.
func TestPromoteThatIsFenced(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal, Token: 3})
	addNodes(t, s, testNode("n1", 4))
	f := newFollowed(t, Config{Journal: journal})
	_, err := f.Promote(t.Context(), 3)
	require.ErrorIs(t, err, ErrFenced)
	place(t, s, testRequest("a", 1)) // is not deposed by that
	f.writer.cfg.Journal = &scripted{Journal: journal, follow: func(_ context.Context, after uint64, yield func(Record, error) bool) {
		_, _ = open(t, Config{Journal: journal, Token: 9}).Place(t.Context(), testRequest("b", 1))
		follows(after, records(t, journal), yield)
	}}
	_, err = f.Promote(t.Context(), 4)
	require.Equal(t, &FencedError{Token: 4, Highest: 9}, err)
	require.False(t, f.Position().Promoted)
	_, err = f.Allocation(t.Context(), "b")
	require.NoError(t, err, "it goes on as a follower")
}

func TestPromoteEndsRunAndAFailureDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := new(MemoryJournal)
		s := open(t, Config{Journal: journal, Token: 1})
		addNodes(t, s, testNode("n1", 4))
		f := newFollowed(t, Config{Journal: journal})
		done := following(t.Context(), f)
		synctest.Wait()
		require.Error(t, f.Run(t.Context()), "it is for one caller")
		_, err := f.Promote(t.Context(), 1)
		require.ErrorIs(t, err, ErrFenced)
		place(t, s, testRequest("a", 1))
		require.NoError(t, f.Wait(t.Context(), s.Version()-1), "it follows on")
		_, err = f.Promote(t.Context(), 2)
		require.NoError(t, err)
		require.NoError(t, <-done)
	})
}

// A watcher of a follower hears every event, also of what the follower decides once
// it writes. A hook hears of those alone: it acts for the one who decides.
func TestEventsOfAFollower(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 4))
	var hooked []uint64
	f := newFollowed(t, Config{Journal: journal, Hooks: Hooks{Event: func(e Event) { hooked = append(hooked, e.Seq) }}})
	ctx, end := context.WithCancel(t.Context())
	events := f.Watch(ctx, 1)
	place(t, s, testRequest("a", 1))
	catchUp(t, f)
	require.Empty(t, hooked)
	promoted, err := f.Promote(t.Context(), 0)
	require.NoError(t, err)
	place(t, promoted, testRequest("b", 1))
	end()
	var seen []uint64
	for e := range events {
		seen = append(seen, e.Seq)
	}
	require.Equal(t, []uint64{2, 3}, seen)
	require.Equal(t, []uint64{3}, hooked)
}

func TestPromoteOfAnEmptyJournalSetsTheWorkload(t *testing.T) {
	mix := []WorkloadClass{{Count: 1, Resources: placement.Resources{GPU: placement.Device}}}
	want := open(t, Config{Journal: new(MemoryJournal), Now: newClock().Now, Workload: mix})
	f := newFollowed(t, Config{Journal: new(MemoryJournal), Now: newClock().Now, Workload: mix})
	promoted, err := f.Promote(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, snapshot(t, want), snapshot(t, promoted))
}

func TestFollowNeedsAJournal(t *testing.T) {
	_, err := Follow(t.Context(), Config{RememberReleased: -1})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "journal")
	require.ErrorContains(t, err, "rememberReleased")
	ctx, end := context.WithCancel(t.Context())
	end()
	_, err = Follow(ctx, Config{Journal: new(MemoryJournal)})
	require.ErrorIs(t, err, context.Canceled)
}

// Reads while entries are applied, for the race detector.
func TestReadsBesideAFollowerThatReads(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 4))
	f := newFollowed(t, Config{Journal: journal})
	ctx, end := context.WithCancel(t.Context())
	done := following(ctx, f)
	for range 50 {
		place(t, s, testRequest("a", 1))
		require.NoError(t, f.Wait(ctx, s.Version()-1))
		_, err := f.Allocation(ctx, "a")
		require.NoError(t, err)
		_, err = f.Explain(ctx, testRequest("b", 1))
		require.NoError(t, err)
		require.NoError(t, s.Release(ctx, "a"))
		require.NoError(t, f.WriteSnapshot(ctx, io.Discard))
		_ = f.Stats()
	}
	end()
	require.NoError(t, <-done)
}
