package scheduler

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// waiting returns a history and watchers that have read all of it.
func waiting(n int) (*history, []*watcher) {
	h, watchers := new(history), make([]*watcher, n)
	for i := range watchers {
		watchers[i] = newWatcher(0)
		h.take(watchers[i], unended)
	}
	return h, watchers
}

// taken is what a watcher takes that is not late.
func taken(t testHelper, h *history, w *watcher) []Event {
	t.Helper()
	events, lost := h.take(w, unended)
	require.Zero(t, lost)
	return events
}

// TestAnEventCostsItsMakerTheSameBesideManyWatchers counts who is woken: one
// watcher by the maker, each other one by a watcher, and nobody twice, however
// many events there are to read by then.
func TestAnEventCostsItsMakerTheSameBesideManyWatchers(t *testing.T) {
	const many = 100
	h, watchers := waiting(many)
	for i := range uint64(3) {
		h.record([]Event{{Seq: 2*i + 1}, {Seq: 2*i + 2}})
		require.Equal(t, 1, h.woken)
	}
	for left := many; left > 0; {
		for _, w := range watchers {
			if len(w.wake) > 0 {
				before := h.woken
				require.Len(t, taken(t, h, w), 6)
				require.LessOrEqual(t, h.woken, before+2)
				left--
			}
		}
	}
	require.Equal(t, many, h.woken)
	h.record([]Event{{Seq: 7}})
	require.Equal(t, many, h.woken, "who reads is not woken")
	for _, w := range watchers {
		require.Len(t, taken(t, h, w), 1)
	}
}

// TestAWatcherThatEndsPassesOnItsWake: also one that sleeps or waits then, and it
// leaves nothing behind.
func TestAWatcherThatEndsPassesOnItsWake(t *testing.T) {
	h, watchers := waiting(4)
	h.record([]Event{{Seq: 1}})
	require.Len(t, watchers[0].wake, 1)
	require.Empty(t, watchers[1].wake)
	h.quit(watchers[0])
	require.Len(t, watchers[1].wake, 1)
	require.Len(t, watchers[2].wake, 1)
	require.Empty(t, watchers[3].wake)
	h.quit(watchers[1])
	require.Len(t, watchers[3].wake, 1)
	require.Len(t, taken(t, h, watchers[2]), 1)
	h.quit(watchers[2]) // while it reads
	h.record([]Event{{Seq: 2}})
	require.Len(t, taken(t, h, watchers[3]), 2)
	h.quit(watchers[3])
	requireNobody(t, h)
}

func requireNobody(t *testing.T, h *history) {
	t.Helper()
	require.Zero(t, h.asleep)
	require.Equal(t, &h.idle, h.idle.next)
	require.Nil(t, h.roused)
	for _, b := range h.blocks {
		require.Zero(t, b.readers)
	}
}

func TestWatchersLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 8))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i := range 10 {
			running.Go(func() {
				for e := range s.Watch(ctx, 0) {
					if i%2 == 0 && e.Seq == 2 {
						break
					}
				}
			})
		}
		synctest.Wait()
		require.Equal(t, 10, s.history.asleep)
		place(t, s, testRequest("a", 1))
		synctest.Wait()
		require.Equal(t, 5, s.history.asleep)
		cancel()
		running.Wait()
		requireNobody(t, &s.history)
	})
}

// TestWatchersAreWokenSeldomUnderLoad: a thousand times a second, and a hundred
// thousand of them, but at once where there was a pause.
func TestWatchersAreWokenSeldomUnderLoad(t *testing.T) {
	for _, test := range []struct {
		watchers int
		pace     time.Duration
	}{{1, time.Millisecond}, {500, 5 * time.Millisecond}} {
		h, watchers := waiting(test.watchers)
		now, waited := time.Unix(1000, 0), time.Duration(0)
		round := func() {
			h.record([]Event{{Seq: h.total + 1}})
			first := h.roused
			pause := max(0, h.pause(first, now))
			waited += pause
			now = now.Add(pause)
			h.take(first, unended)
			for _, w := range watchers {
				require.Zero(t, max(0, h.pause(w, now)), "who is woken by a watcher reads at once")
				h.take(w, unended)
			}
			for _, w := range watchers {
				require.Empty(t, taken(t, h, w))
			}
		}
		burst := int(wakeBurst / test.pace)
		for range burst {
			round()
		}
		require.Zero(t, waited)
		for range 50 {
			round()
		}
		require.InDelta(t, 50*test.pace, waited, float64(test.pace))
		now = now.Add(test.pace)
		waited = 0
		round()
		require.Zero(t, waited, "after a pause")
	}
}

// TestHistoryAgainstAModel has watchers read at their own pace: each gets every
// event in order, or from one on the next whole entry that is kept, and what it
// got stays as it is until it reads on.
func TestHistoryAgainstAModel(t *testing.T) {
	large := strings.Repeat("x", historyBytes/3)
	rapid.Check(t, func(t *rapid.T) {
		h, all := new(history), []Event(nil)
		type reader struct {
			*watcher
			after     uint64
			next      int // in all
			got, want []Event
		}
		var readers []*reader
		record := func(t *rapid.T) {
			size := rapid.SampledFrom([]int{0, 0, len(large) / 30, len(large)}).Draw(t, "bytes")
			entry := make([]Event, rapid.SampledFrom([]int{1, 1, 3, blockSize}).Draw(t, "events"))
			seq := uint64(1)
			if len(all) > 0 {
				seq = all[len(all)-1].Seq + 1
			}
			for i := range entry {
				entry[i] = Event{Seq: seq, Change: &Released{ID: large[:size], Generation: uint64(i)}}
			}
			h.record(entry)
			all = append(all, entry...)
		}
		start := func(t *rapid.T) {
			after := uint64(rapid.IntRange(0, 20).Draw(t, "after"))
			readers = append(readers, &reader{watcher: newWatcher(after), after: after})
		}
		read := func(t *rapid.T) {
			if len(readers) == 0 {
				return
			}
			r := rapid.SampledFrom(readers).Draw(t, "reader")
			require.True(t, slices.Equal(r.want, r.got), "changed since")
			for r.next < len(all) && all[r.next].Seq <= r.after {
				r.next++
			}
			forgotten := r.next < int(h.blocks[0].first)
			if forgotten || !r.placed && r.next < len(all) && all[r.next].Seq == h.lost {
				_, lost := h.take(r.watcher, unended)
				require.Equal(t, h.lost, lost)
				require.Equal(t, r.next, sought(all, r.seen), "from where a journal goes on")
				r.resume(lost)
				for r.next < len(all) && all[r.next].Seq <= h.lost {
					r.next++
				}
			}
			r.got = taken(t, h, r.watcher)
			require.Equal(t, r.next == len(all), len(r.got) == 0)
			r.want = slices.Clone(r.got)
			require.True(t, slices.Equal(all[r.next:r.next+len(r.got)], r.want))
			r.next += len(r.got)
		}
		record(t)
		t.Repeat(map[string]func(*rapid.T){
			"record": record, "start": start, "read": read, "read too": read, "read more": read,
			"": func(t *rapid.T) {
				kept, bytes := h.total-h.blocks[0].first, 0
				for _, b := range h.blocks {
					bytes += b.bytes
				}
				require.Equal(t, h.bytes, bytes)
				require.LessOrEqual(t, kept, uint64(historySize))
				require.True(t, h.bytes <= historyBytes || len(h.blocks) == 1)
			},
		})
	})
}

// sought returns which of all events comes after a bookmark.
func sought(all []Event, p bookmark) int {
	i := 0
	for i < len(all) && all[i].Seq < p.seq {
		i++
	}
	for n := 0; i < len(all) && all[i].Seq == p.seq && n < p.read; n++ {
		i++
	}
	return i
}

// TestWatchersBesideWriters is for the race detector: what fits in the ring is
// missed by nobody.
func TestWatchersBesideWriters(t *testing.T) {
	const writers, rounds = 4, 200
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 100))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make([][]uint64, 8)
	var readers, callers sync.WaitGroup
	for i := range seen {
		events := s.Watch(ctx, 1)
		readers.Go(func() {
			for e := range events {
				seen[i] = append(seen[i], e.Seq)
				if len(seen[i]) == 2*writers*rounds {
					break
				}
			}
		})
	}
	for i := range writers {
		callers.Go(func() {
			for range rounds {
				req := testRequest(fmt.Sprint("r", i), 1)
				if _, err := s.Place(ctx, req); err != nil {
					t.Error(err)
				}
				if err := s.Release(ctx, req.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	readers.Wait()
	for _, seqs := range seen {
		for i, seq := range seqs {
			require.Equal(t, uint64(i+2), seq)
		}
	}
}

// TestHookQueueThatNeverEmptiesDoesNotGrow: a hook that always makes one more
// event has as many to come as at first.
func TestHookQueueThatNeverEmptiesDoesNotGrow(t *testing.T) {
	var q hookQueue
	var seen []uint64
	q.hook = func(e Event) {
		seen = append(seen, e.Seq)
		if e.Seq <= 10_000 {
			q.add([]Event{{Seq: e.Seq + 3}})
			q.drain()
		}
		require.LessOrEqual(t, len(q.events), 8)
	}
	q.add([]Event{{Seq: 1}, {Seq: 2}, {Seq: 3}})
	q.drain()
	require.Len(t, seen, 10_003)
	for i, seq := range seen {
		require.Equal(t, uint64(i+1), seq)
	}
	require.Empty(t, q.events)
}

// tellMuch makes so many events that a ring forgets all before.
func tellMuch(t *testing.T, s *Scheduler) {
	t.Helper()
	for until := s.history.total; len(s.history.blocks) == 0 || s.history.blocks[0].first <= until; {
		req := testRequest("much", 1)
		req.Labels = make(map[string]string)
		for k := range 50 {
			req.Labels[fmt.Sprint("label-", k)] = fmt.Sprint(s.Version(), strings.Repeat("x", 1000))
		}
		place(t, s, req)
		require.NoError(t, s.Release(t.Context(), req.ID))
	}
}

// TestLateWatcherResumesFromTheJournal in the middle of an entry, and misses
// nothing of those told since. Without a journal it goes on after a gap, and so it
// does where the journal has a snapshot instead.
func TestLateWatcherResumesFromTheJournal(t *testing.T) {
	type seen struct {
		seq  uint64
		kind string
	}
	for _, test := range []struct {
		name            string
		durable, resume bool
	}{{"journal", true, true}, {"snapshot", true, false}, {"no journal", false, false}} {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Hooks: Hooks{}}
			var told, got []seen
			note := func(to *[]seen, e Event) { *to = append(*to, seen{e.Seq, fmt.Sprint(e.Change.changeKind())}) }
			cfg.Hooks.Event = func(e Event) { note(&told, e) }
			s := newTestScheduler(t, cfg)
			if test.durable {
				cfg.Journal = new(MemoryJournal)
				s = open(t, cfg)
			}
			addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
			for i := range 3 {
				allocate(t, s, "n1", testRequest(fmt.Sprint("a", i), 1))
			}
			require.NoError(t, s.MarkLost(t.Context(), "n1"))
			lost := s.Version()
			s.history.mu.Lock() // have the entry end its block
			s.history.blocks[0].bytes += blockBytes
			s.history.mu.Unlock()
			place(t, s, testRequest("last", 1))
			for e := range s.Watch(t.Context(), 0) {
				note(&got, e)
				if len(got) == 7 {
					tellMuch(t, s)
					if test.durable && !test.resume {
						require.NoError(t, s.Checkpoint(t.Context()))
						place(t, s, testRequest("after", 1))
					}
				}
				if e.Seq == s.Version() {
					break
				}
			}
			if test.resume {
				require.Equal(t, told, got)
				return
			}
			for i, next := range got[1:] {
				if next.seq > got[i].seq+1 {
					require.Equal(t, lost, got[i].seq, "it reads on to the end of its block")
					require.Equal(t, told[len(told)-len(got[i+1:]):], got[i+1:])
					return
				}
			}
			require.Fail(t, "no gap")
		})
	}
}

// TestWatcherOutlivesAJournalThatCannotBeRead: what it would have had from there it
// misses, and goes on with what is told.
func TestWatcherOutlivesAJournalThatCannotBeRead(t *testing.T) {
	journal := &unreadable{}
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	journal.err = errors.New("disk on fire")
	events := s.Watch(t.Context(), 0)
	place(t, s, testRequest("a", 1))
	for e := range events {
		require.Equal(t, uint64(3), e.Seq)
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range s.Watch(ctx, 0) {
		require.Fail(t, "a watcher that ends asks nothing of the journal, and sees no gap")
	}
}

type unreadable struct {
	MemoryJournal
	err error
}

func (j *unreadable) Records(ctx context.Context) iter.Seq2[Record, error] {
	if j.err == nil {
		return j.MemoryJournal.Records(ctx)
	}
	return func(yield func(Record, error) bool) { yield(Record{}, j.err) }
}
