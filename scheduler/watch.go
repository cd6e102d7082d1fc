package scheduler

import (
	"context"
	"iter"
	"time"

	"github.com/rads-project/constellation/internal/codec"
)

// Watch yields the events with a Seq greater than afterSeq, in order. It then
// blocks for new events until ctx is done or the scheduler closes; events that
// are in memory by then are still yielded, but once ctx is done none that come after
// what would have to be read from the journal first. A watcher that stops may go on
// later from the last Seq that it has seen. Events of one entry share their Seq, so
// only starting from one less is certain to miss none.
//
// The latest 65,536 events are kept, or fewer if they take more than 16 MiB with
// all that they point to, from the first call of Watch on, or with hooks from New
// or Open on. What came before them is read from the journal, if there is one and
// as far as it goes back: to its last snapshot. That costs a reading of the
// journal. A watcher that asks for what neither has sees a gap in Seq and should
// read the state again; so it does if the journal cannot be read. Call Watch
// before the changes that it is to see, even if another goroutine ranges over the
// result. No lock is held while yielding. Everybody who listens shares the events:
// see Hooks for what may not be done with them.
//
// An event costs its maker the same beside any number of watchers. A watcher that
// has read everything is woken at once by the next event, but sleeps for some
// milliseconds first where that happens more than 1,000 times a second, or 100,000
// times for all watchers together.
func (s *view) Watch(ctx context.Context, afterSeq uint64) iter.Seq[Event] {
	s.mu.Lock()
	if !s.history.watched {
		s.history.start(s.durableLocked())
	}
	s.mu.Unlock()
	return func(yield func(Event) bool) {
		w := newWatcher(afterSeq)
		defer s.history.quit(w)
		for end := unended; ; {
			if end == unended && ctx.Err() != nil {
				end = s.recorded(ctx)
			}
			events, lost := s.history.take(w, end)
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			switch {
			case lost > 0:
				if !s.catchUp(ctx, w, lost, yield) {
					return
				}
			case len(events) > 0:
			case end != unended:
				return
			default:
				end = s.awaitEvents(ctx, w)
			}
		}
	}
}

// awaitEvents returns when a watcher that has read everything is woken, or when
// ctx or the scheduler ends. It returns where the watch ends then.
func (s *view) awaitEvents(ctx context.Context, w *watcher) (end uint64) {
	select {
	case <-w.wake:
		s.rest(ctx, s.history.pause(w, time.Now()))
	case <-s.done:
		return s.recorded(ctx)
	case <-ctx.Done():
	}
	return unended
}

// catchUp yields to a late watcher what the journal has, up to a Seq. The watcher
// misses what that does not have any more or cannot read. It reports false if the
// watcher is to end.
func (s *view) catchUp(ctx context.Context, w *watcher, lost uint64, yield func(Event) bool) bool {
	if s.cfg.Journal != nil {
		for e, err := range s.journaled(ctx, w.seen, lost) {
			if err != nil {
				break
			}
			if !yield(e) {
				return false
			}
		}
		if ctx.Err() != nil {
			return false // the watcher has not missed the rest: it may go on later
		}
	}
	w.resume(lost)
	return true
}

// journaled yields the events in the journal from a bookmark on, up to the entry
// of a Seq, which is there. It ends with the first error.
func (s *view) journaled(ctx context.Context, from bookmark, until uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var coder codec.Coder
		for r, err := range s.cfg.Journal.Records(ctx) {
			if err != nil {
				yield(Event{}, err)
				return
			}
			if r.Kind != RecordEntry || r.Seq < from.seq {
				continue
			}
			if r.Seq > until {
				return
			}
			e, err := decodeEntry(&coder, r)
			if err != nil {
				yield(Event{}, err)
				return
			}
			events := e.events()
			if r.Seq == from.seq {
				events = events[min(from.read, len(events)):]
			}
			for _, event := range events {
				if !yield(event, nil) {
					return
				}
			}
			if r.Seq == until {
				return
			}
		}
	}
}

// rest sleeps unless ctx or the scheduler ends.
func (s *view) rest(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	select {
	case <-time.After(pause):
	case <-s.done:
	case <-ctx.Done():
	}
}

// recorded returns the place after the latest event. Of a scheduler that closes
// that is after the append under way, which may get through.
func (s *view) recorded(ctx context.Context) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failure != nil && s.outbox.appending && !s.outbox.abandoned {
		if s.awaitAppendLocked(ctx) != nil {
			break
		}
	}
	return s.history.end()
}
