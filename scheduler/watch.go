package scheduler

import (
	"context"
	"iter"
	"time"
)

// Watch yields the events with a Seq greater than afterSeq, in order. It then
// blocks for new events until ctx is done or the scheduler closes; events
// recorded before that are still yielded. A watcher that stops may go on later
// from the last Seq that it has seen. Events of one entry share their Seq, so
// only starting from one less is certain to miss none.
//
// The latest 65,536 events are kept, or fewer if they take more than 16 MiB with
// all that they point to. They are kept from the first call of Watch on, or
// with hooks or a journal from New or Open on. Call Watch before the changes
// that it is to see, even if another goroutine ranges over the result. A
// watcher that asks for events that are not kept any more sees a gap in Seq and
// should read the state again. No lock is held while yielding. Everybody who
// listens shares the events: see Hooks for what may not be done with them.
//
// An event costs its maker the same beside any number of watchers. A watcher that
// has read everything is woken at once by the next event, but sleeps for some
// milliseconds first where that happens more than 1,000 times a second, or 100,000
// times for all watchers together.
func (s *Scheduler) Watch(ctx context.Context, afterSeq uint64) iter.Seq[Event] {
	s.mu.Lock()
	if !s.history.watched {
		s.history.start(s.durableLocked())
	}
	s.mu.Unlock()
	return func(yield func(Event) bool) {
		w := newWatcher(s.history.after(afterSeq))
		defer s.history.quit(w)
		for end := unended; ; {
			if end == unended && ctx.Err() != nil {
				end = s.recorded(ctx)
			}
			events := s.history.take(w, end)
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			if end != unended {
				return
			}
			select {
			case <-w.wake:
				s.rest(ctx, s.history.pause(w, time.Now()))
			case <-s.done:
				end = s.recorded(ctx)
			case <-ctx.Done():
			}
		}
	}
}

// rest sleeps unless ctx or the scheduler ends.
func (s *Scheduler) rest(ctx context.Context, pause time.Duration) {
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
func (s *Scheduler) recorded(ctx context.Context) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failure != nil && s.outbox.appending && !s.outbox.abandoned {
		if s.awaitAppendLocked(ctx) != nil {
			break
		}
	}
	return s.history.end()
}
