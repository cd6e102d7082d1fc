package scheduler

import (
	"context"
	"iter"
	"math"
)

// Watch yields the events with a Seq greater than afterSeq, in order. It then
// blocks for new events until ctx is done or the scheduler closes; events
// recorded before that are still yielded. A watcher that stops may go on later
// from the last Seq that it has seen. Events of one entry share their Seq, so
// only starting from one less is certain to miss none.
//
// The latest 4,096 events are kept, or fewer if they take more than 16 MiB with
// all that they point to. They are kept from the first call of Watch on, or
// with hooks or a journal from New or Open on. Call Watch before the changes
// that it is to see, even if another goroutine ranges over the result. A
// watcher that asks for events that are not kept any more sees a gap in Seq and
// should read the state again. No lock is held while yielding.
//
// A watcher takes up to 64 events at once, under a lock of the history alone.
// Each entry wakes every watcher that waits for one, so that it costs time in
// proportion to them.
func (s *Scheduler) Watch(ctx context.Context, afterSeq uint64) iter.Seq[Event] {
	s.mu.Lock()
	s.history.watched = true
	s.mu.Unlock()
	return func(yield func(Event) bool) {
		place, batch := s.history.after(afterSeq), make([]Event, 0, watchBatch)
		for end := uint64(unended); ; {
			if end == unended && ctx.Err() != nil {
				end = s.recorded(ctx)
			}
			events, wait := s.history.read(batch, &place, end)
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
			case <-wait:
			case <-s.done:
				end = s.recorded(ctx)
			case <-ctx.Done():
			}
		}
	}
}

// unended is the place at which a watch ends that goes on.
const unended = math.MaxUint64

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
