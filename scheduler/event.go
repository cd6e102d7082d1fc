package scheduler

import (
	"context"
	"iter"
)

// Hooks are called for every event of their kind, in order, after the change
// is durable. No lock is held: a hook may call the scheduler; what it changes
// is told afterwards. Whatever an event points to is shared by all who listen
// and must not be changed. A hook may run on the goroutine of any caller and holds
// up the hooks of later events, not the calls themselves. One that panics does
// so in that caller's call, once the hooks of all other events that wait have
// been called. Nil hooks are fine.
type Hooks struct {
	// Event is called for every event, before the hook of its kind.
	Event func(Event)
	// Placed is called for each new instance.
	Placed func(Event, *Placed)
	// Released is called for each released instance.
	Released func(Event, *Released)
	// Instance is called when an instance is lost, comes back, goes stale or
	// is removed with its node.
	Instance func(Event, *InstanceMarked)
	// EvictionDue is called when an instance should leave its node.
	EvictionDue func(Event, *EvictionDue)
	// Overstayed is called when an instance is past its Duration or its
	// reservation.
	Overstayed func(Event, *Overstayed)
	// Reservation is called for what becomes of reservations.
	Reservation func(Event, *ReservationEvent)
	// QuotaOver is called when usage has come above a limit.
	QuotaOver func(Event, *QuotaOver)
}

func (h *Hooks) any() bool {
	return h.Event != nil || h.Placed != nil || h.Released != nil || h.Instance != nil ||
		h.EvictionDue != nil || h.Overstayed != nil || h.Reservation != nil || h.QuotaOver != nil
}

func (h *Hooks) call(e Event) {
	if h.Event != nil {
		h.Event(e)
	}
	switch c := e.Change.(type) {
	case *Placed:
		callHook(h.Placed, e, c)
	case *Released:
		callHook(h.Released, e, c)
	case *InstanceMarked:
		callHook(h.Instance, e, c)
	case *EvictionDue:
		callHook(h.EvictionDue, e, c)
	case *Overstayed:
		callHook(h.Overstayed, e, c)
	case *ReservationEvent:
		callHook(h.Reservation, e, c)
	case *QuotaOver:
		callHook(h.QuotaOver, e, c)
	}
}

func callHook[C Change](hook func(Event, C), e Event, c C) {
	if hook != nil {
		hook(e, c)
	}
}

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
// waits for more until ctx ends or the scheduler closes. A watcher that stops
// may go on later from the last Seq that it has seen; since the events of one
// entry share theirs, only from one less does it surely miss none.
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
		for closed := false; ; {
			events, wait := s.eventsFrom(&place)
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			if closed {
				return
			}
			select {
			case <-wait:
			case <-s.done:
				closed = true // but what came before is still to be told
			case <-ctx.Done():
				return
			}
		}
	}
}

// eventsFrom returns a batch of events from a place in the history on, which
// it moves, and if there is none a channel that tells of the next.
func (s *Scheduler) eventsFrom(place *uint64) ([]Event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.history
	if *place < h.oldest() {
		*place = h.after(0)
	}
	var batch []Event
	for ; *place < h.total && len(batch) < 64; *place++ {
		batch = append(batch, h.ring[*place%historySize])
	}
	if h.more == nil {
		h.more = make(chan struct{})
	}
	return batch, h.more
}
