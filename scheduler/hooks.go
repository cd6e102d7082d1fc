package scheduler

import "sync"

// hookQueue holds the events that wait for the hook. One caller at a time calls
// it, in order and without any lock, for all others too. The scheduler's lock is
// taken before its own.
type hookQueue struct {
	hook func(Event) // nil is nobody

	mu      sync.Mutex // guards all below
	events  []Event
	next    int // of these, the first that waits
	calling bool
}

// add appends events, which it copies.
func (q *hookQueue) add(events []Event) {
	if q.hook == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next > len(q.events)/2 { // so that a queue that never empties does not grow
		rest := copy(q.events, q.events[q.next:])
		clear(q.events[rest:])
		q.events, q.next = q.events[:rest], 0
	}
	q.events = append(q.events, events...)
}

// drain calls the hook for all that waits, unless another caller is at it, which
// then takes ours along. A hook that panics costs no other event its call: the
// rest is called while the panic goes on.
func (q *hookQueue) drain() {
	if q.hook == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drainLocked()
}

func (q *hookQueue) drainLocked() {
	if q.calling || q.next == len(q.events) {
		return
	}
	q.calling = true
	defer func() {
		q.calling = false
		q.drainLocked() // what a panic has left
	}()
	for q.next < len(q.events) {
		e := q.events[q.next]
		q.events[q.next] = Event{}
		q.next++
		q.callLocked(e)
	}
	q.events, q.next = reusable(q.events), 0
}

// callLocked calls the hook with the lock let go of meanwhile.
func (q *hookQueue) callLocked(e Event) {
	q.mu.Unlock()
	defer q.mu.Lock()
	q.hook(e)
}

// reusable returns an empty slice in place of one whose events are done with, and
// keeps its memory unless that is much.
func reusable(events []Event) []Event {
	if cap(events) > blockSize {
		return nil
	}
	clear(events)
	return events[:0]
}
