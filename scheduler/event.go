package scheduler

import (
	"log/slog"
	"sync"
	"time"
)

// Event is a Change with its place in the history.
type Event struct {
	// Seq is the sequence number of the entry. All events of one entry share
	// it; a gap between two events means that some were missed.
	Seq uint64
	// Time of the state when it happened.
	Time time.Time
	// Token of the scheduler that decided it.
	Token uint64
	// Change is what happened, a pointer to one of the kinds.
	Change Change
}

// Kind returns the name of the kind of Change, as JSON and logs have it: "placed",
// "node-marked" and so on. It is empty without one.
func (e Event) Kind() string {
	if e.Change == nil {
		return ""
	}
	return e.Change.changeKind().String()
}

// Hooks are called for every event, in order, after the change is durable. No
// lock is held: a hook may call the scheduler, and the events of that follow
// later. Everything that an event points to is shared by all listeners, and what
// the request of a Placed points to by the scheduler as well: do not change it.
// A hook may run on the goroutine of any caller, or on one that has written the
// journal for callers whose contexts have ended. A slow hook delays later hooks
// but not scheduler calls. If a hook panics, the panic propagates on that
// goroutine after the hooks of the other pending events have run. A nil hook is
// fine.
type Hooks struct {
	// Event is called for every event; a type switch on Event.Change tells what
	// happened.
	Event func(Event)
}

// hookQueue holds the events that wait for the hook, and those that are to be logged.
// One caller at a time tells of them, in order and without any lock, for all others
// too. The scheduler's lock is taken before its own.
type hookQueue struct {
	hook   func(Event)  // nil is nobody
	logger *slog.Logger // nil logs nothing

	mu      sync.Mutex // guards all below
	events  []queuedEvent
	next    int // of these, the first that waits
	calling bool
}

// queuedEvent is an event for the hook, if there is one, and for the log.
type queuedEvent struct {
	Event
	logged bool
}

// add appends events, which it copies. For the log alone it keeps only those of
// which there is a line.
func (q *hookQueue) add(events []Event) {
	if q.hook == nil && q.logger == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next > len(q.events)/2 { // so that a queue that never empties does not grow
		rest := copy(q.events, q.events[q.next:])
		clear(q.events[rest:])
		q.events, q.next = q.events[:rest], 0
	}
	last := Event{} // that has a line
	for _, e := range events {
		logged := q.logger != nil && lineOf(e) != nil && !sameLine(last, e)
		if logged {
			last = e
		}
		if logged || q.hook != nil {
			q.events = append(q.events, queuedEvent{e, logged})
		}
	}
}

// drain tells of all that waits, unless another caller is at it, which then takes
// ours along. A hook that panics costs no other event its call: the rest is called
// while the panic goes on.
func (q *hookQueue) drain() {
	if q.hook == nil && q.logger == nil {
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
		q.events[q.next] = queuedEvent{}
		q.next++
		q.tellLocked(e)
	}
	q.events, q.next = reusable(q.events), 0
}

// tellLocked logs an event and calls the hook, with the lock let go of meanwhile.
func (q *hookQueue) tellLocked(e queuedEvent) {
	q.mu.Unlock()
	defer q.mu.Lock()
	if q.hook != nil {
		defer q.hook(e.Event) // also if the logger panics
	}
	if e.logged {
		lineOf(e.Event).log(q.logger)
	}
}

// reusable returns an empty slice in place of one whose events are done with, and
// keeps its memory unless that is much.
func reusable[E any](events []E) []E {
	if cap(events) > blockSize {
		return nil
	}
	clear(events)
	return events[:0]
}
