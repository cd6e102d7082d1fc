package reservation

import "time"

// PlanChangeKind says what a PlanChange does.
type PlanChangeKind string

// The kinds of changes. Reading an unknown kind from JSON is an error.
const (
	// Schedule makes Series, whose windows are the reservations put after it.
	Schedule PlanChangeKind = "schedule"
	// Put makes or replaces Reservation.
	Put PlanChangeKind = "put"
	// Move puts the slot Slot of reservation ID on Node with Devices, or
	// nowhere if Node is empty: it is lost. Instances in it stay behind.
	Move PlanChangeKind = "move"
	// Withdraw ends reservation ID now.
	Withdraw PlanChangeKind = "withdraw"
	// Wait notes that the slot Slot of reservation ID stays where it is and
	// waits for the instances Because to leave, or for nobody any more.
	Wait PlanChangeKind = "wait"
	// Recall notes that the slot Slot of reservation ID is lent no more: it waits
	// for the instances Because to leave, and is kept for Instance.
	Recall PlanChangeKind = "recall"
	// Fill puts Claim into the slot Slot of reservation ID.
	Fill PlanChangeKind = "fill"
	// Vacate removes the claim of Instance from reservation ID, or keeps no slot
	// for it any more.
	Vacate PlanChangeKind = "vacate"
	// Arrive adds Stay.
	Arrive PlanChangeKind = "arrive"
	// Depart removes the stay of Instance.
	Depart PlanChangeKind = "depart"
	// Tell notes that Instance was asked to leave for reservation ID.
	Tell PlanChangeKind = "tell"
	// Settled notes that ResolveConflicts has reviewed the slots of reservation ID.
	Settled PlanChangeKind = "settled"
)

// UnmarshalText reads a kind and refuses unknown ones.
func (k *PlanChangeKind) UnmarshalText(text []byte) error {
	switch kind := PlanChangeKind(text); kind {
	case Schedule, Put, Move, Wait, Recall, Withdraw, Fill, Vacate, Arrive, Depart, Tell, Settled:
		*k = kind
		return nil
	default:
		return invalid("change", kind, "unknown kind")
	}
}

// PlanChange is one decision as data: everything that was chosen is in it, and
// Plan.Apply carries it out without looking for anything. Kind says which
// fields count. Changes are plain JSON, to be journaled.
type PlanChange struct {
	Kind PlanChangeKind `json:"kind"`
	// ID of a reservation, and of an instance.
	ID       string `json:"id,omitempty"`
	Instance string `json:"instance,omitempty"`

	// Series is what a reservation that repeats was asked for as.
	Series *Spec `json:"series,omitempty"`
	// Reservation, Claim or Stay as it is from now on.
	Reservation *Reservation `json:"reservation,omitempty"`
	Claim       *Claim       `json:"claim,omitempty"`
	Stay        *Stay        `json:"stay,omitempty"`

	// Slot is its place in Reservation.Slots; Node and the indices of its GPUs
	// are where it goes.
	Slot    int    `json:"slot,omitempty"`
	Node    string `json:"node,omitempty"`
	Devices []int  `json:"devices,omitempty"`
	// Because names who took the place of a slot that moves, or stands in the
	// way of one that waits.
	Because []string `json:"because,omitempty"`
}

// EventKind says what has happened.
type EventKind string

// The kinds of events.
const (
	// Started: the reservation can be claimed from now on.
	Started EventKind = "started"
	// Noticed: the notice before the start of the reservation, at Due, begins.
	// Each instance that is asked to leave for it has a YieldDue of its own.
	Noticed EventKind = "noticed"
	// Closing: the notice before maintenance of Node, which is at Due, begins, and
	// nothing new is placed there until it is over. Each instance that the Plan
	// counts there has a YieldDue of its own; the host asks the others to leave.
	Closing EventKind = "closing"
	// Expired: the end of an Evict reservation has come and the grace of its
	// Instances begins.
	Expired EventKind = "expired"
	// EvictionDue: the grace is over and the Instance is still there.
	EvictionDue EventKind = "eviction-due"
	// Over: the reservation holds nothing any more, or is gone if all its
	// slots were lost. Instances are those that still stand there.
	Over EventKind = "over"
	// Overstayed: the Instance should have gone, at the end of its own
	// duration or of its Drain reservation.
	Overstayed EventKind = "overstayed"
	// YieldDue: the Instance stands where Reservation begins at Due, and is
	// asked to leave.
	YieldDue EventKind = "yield-due"
	// SlotMoved: a slot went from From to Node, without the Instances in it.
	SlotMoved EventKind = "slot-moved"
	// SlotLost: a slot on From found no room anywhere; the reservation is
	// Degraded until it does. Instances stood in it.
	SlotLost EventKind = "slot-lost"
	// SlotWaiting: a slot that has begun stays on Node and waits for the
	// instances Because, which should have left, and has found no room
	// elsewhere; the reservation is Degraded. It comes again if there are
	// fewer to wait for.
	SlotWaiting EventKind = "slot-waiting"
	// AllLost: every slot is lost; the reservation is Displaced until one is
	// regained.
	AllLost EventKind = "all-lost"
	// SlotRegained: a lost slot is held again, on Node, or one that waited
	// there has nobody in its way any more.
	SlotRegained EventKind = "slot-regained"
)

// Event tells what became of a reservation or an instance without its owner
// asking. Every event comes once, in the order of At.
type Event struct {
	// Seq numbers the events of a Book from 1; a gap is what was dropped. A
	// Plan leaves it 0.
	Seq uint64 `json:"seq,omitempty"`
	// Kind says what has happened, and with that which fields are set.
	Kind EventKind `json:"kind"`
	// At is when it was due: for deadlines the deadline itself, however late
	// the Plan was advanced.
	At time.Time `json:"at"`
	// Reservation and its Namespace, if it is about one, and the ID of the one
	// that repeats if this is a window of that.
	Reservation string `json:"reservation,omitempty"`
	Series      string `json:"series,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	// Instance that it is about.
	Instance string `json:"instance,omitempty"`
	// Instances affected, sorted.
	Instances []string `json:"instances,omitempty"`
	// From and Node are where a slot was and is.
	From string `json:"from,omitempty"`
	Node string `json:"node,omitempty"`
	// Because names who took the place of a slot: the reservation that
	// displaced it, or the instances that should have gone.
	Because []string `json:"because,omitempty"`
	// Due is when a yielding instance has to be gone.
	Due time.Time `json:"due,omitzero"`
}
