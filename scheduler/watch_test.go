package scheduler

import (
	"context"
	"fmt"
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
		watchers[i] = newWatcher(h.end())
		h.take(watchers[i], unended)
	}
	return h, watchers
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
				require.Len(t, h.take(w, unended), 6)
				require.LessOrEqual(t, h.woken, before+2)
				left--
			}
		}
	}
	require.Equal(t, many, h.woken)
	h.record([]Event{{Seq: 7}})
	require.Equal(t, many, h.woken, "who reads is not woken")
	for _, w := range watchers {
		require.Len(t, h.take(w, unended), 1)
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
	require.Len(t, h.take(watchers[2], unended), 1)
	h.quit(watchers[2]) // while it reads
	h.record([]Event{{Seq: 2}})
	require.Len(t, h.take(watchers[3], unended), 2)
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
				require.Empty(t, h.take(w, unended))
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
			r := &reader{watcher: newWatcher(h.after(after))}
			for r.next < len(all) && all[r.next].Seq <= max(after, h.lost) {
				r.next++
			}
			readers = append(readers, r)
		}
		read := func(t *rapid.T) {
			if len(readers) == 0 {
				return
			}
			r := rapid.SampledFrom(readers).Draw(t, "reader")
			require.True(t, slices.Equal(r.want, r.got), "changed since")
			oldest := int(h.blocks[0].first)
			if r.next < oldest {
				for r.next = oldest; r.next < len(all) && all[r.next].Seq == h.lost; {
					r.next++
				}
			}
			r.got = h.take(r.watcher, unended)
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
