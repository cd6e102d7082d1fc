package scheduler

import (
	"context"
	"iter"
	"math"
)

// historySize is how many events are kept for watchers that fall behind.
const historySize = 4096

// history is a ring of the latest events. Watchers read it at their own pace;
// one that falls behind goes on with the next whole entry, so that it finds a
// gap in Seq.
type history struct {
	ring    []Event
	lost    uint64        // Seq of the last event that is not kept any more
	total   uint64        // events ever recorded; event i is ring[i%historySize]
	watched bool          // somebody has called Watch
	more    chan struct{} // closed at the next event; nil while nobody waits
}

func (h *history) record(events []Event) {
	for _, e := range events {
		if len(h.ring) < historySize {
			h.ring = append(h.ring, e)
		} else {
			h.lost = h.ring[h.total%historySize].Seq
			h.ring[h.total%historySize] = e
		}
		h.total++
	}
	if h.more != nil && len(events) > 0 {
		close(h.more)
		h.more = nil
	}
}

func (h *history) oldest() uint64 { return h.total - uint64(len(h.ring)) }

// after returns the place of the first event with a greater Seq whose entry is
// kept as a whole.
func (h *history) after(seq uint64) uint64 {
	place, seq := h.oldest(), max(seq, h.lost)
	for place < h.total && h.ring[place%historySize].Seq <= seq {
		place++
	}
	return place
}

// Watch yields the events with a Seq greater than afterSeq, in order, and
// waits for more until ctx ends or the scheduler closes; what was told by then
// it still yields. A watcher that stops may go on later from the last Seq that
// it has seen; since the events of one entry share theirs, only from one less
// does it surely miss none.
//
// The latest 4,096 events are kept, from the first call of Watch on, or from
// New or Open on with hooks or a journal. Call Watch before what is to be seen,
// also if another goroutine ranges over the result. A watcher that asks for
// what is not kept sees a gap in Seq and should read the state anew. No lock
// is held while yielding.
func (s *Scheduler) Watch(ctx context.Context, afterSeq uint64) iter.Seq[Event] {
	s.mu.Lock()
	s.history.watched = true
	s.mu.Unlock()
	return func(yield func(Event) bool) {
		s.mu.Lock()
		place := s.history.after(afterSeq)
		s.mu.Unlock()
		for end := uint64(unended); ; {
			if end == unended && ctx.Err() != nil {
				end = s.recorded(ctx)
			}
			events, wait := s.eventsFrom(&place, end)
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
	return s.history.total
}

// eventsFrom returns a batch of events from a place in the history on, which
// it moves, up to an end, and if there is none a channel that tells of the
// next.
func (s *Scheduler) eventsFrom(place *uint64, end uint64) ([]Event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.history
	if *place < h.oldest() {
		*place = h.after(0)
	}
	var batch []Event
	for ; *place < min(h.total, end) && len(batch) < 64; *place++ {
		batch = append(batch, h.ring[*place%historySize])
	}
	if h.more == nil {
		h.more = make(chan struct{})
	}
	return batch, h.more
}
