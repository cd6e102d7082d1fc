package scheduler

import "time"

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
