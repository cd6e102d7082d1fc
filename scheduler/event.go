package scheduler

import "time"

// Event is a Change with its place in the history.
type Event struct {
	// Seq is the sequence number of the entry. All events of one entry share
	// it; a gap between two events tells that some were missed.
	Seq uint64
	// Time of the state when it happened.
	Time time.Time
	// Token of the scheduler that decided it.
	Token uint64
	// Change is what happened, a pointer to one of the kinds.
	Change Change
}

// Hooks are called for every event of their kind, in order, after the change
// is durable. No lock is held: a hook may call the scheduler; what it changes
// is told afterwards. Whatever an event points to is shared by all who listen
// and must not be changed. A hook may run on the goroutine of any caller, or on
// one that has written the journal for callers whose contexts have ended; it
// holds up the hooks of later events, not the calls themselves. One that panics
// does so there, once the hooks of all other events that wait have been called.
// Nil hooks are fine.
type Hooks struct {
	// Event is called for every event, before the hook of its kind.
	Event func(Event)
	// Placed is called for each new instance.
	Placed func(Event, *Placed)
	// Released is called for each released instance.
	Released func(Event, *Released)
	// Instance is called for each instance of a node that is lost, comes back
	// or is removed.
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
	// BurstExpired is called when usage has been above Soft for too long.
	BurstExpired func(Event, *BurstExpired)
}

func (h *Hooks) any() bool {
	return h.Event != nil || h.Placed != nil || h.Released != nil || h.Instance != nil ||
		h.EvictionDue != nil || h.Overstayed != nil || h.Reservation != nil || h.QuotaOver != nil ||
		h.BurstExpired != nil
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
	case *BurstExpired:
		callHook(h.BurstExpired, e, c)
	}
}

func callHook[C Change](hook func(Event, C), e Event, c C) {
	if hook != nil {
		hook(e, c)
	}
}
