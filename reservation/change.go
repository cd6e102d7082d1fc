package reservation

// PlanChangeKind says what a Change does.
type PlanChangeKind string

// The kinds of changes. Reading an unknown kind from JSON is an error.
const (
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
	// Fill puts Claim into the slot Slot of reservation ID.
	Fill PlanChangeKind = "fill"
	// Vacate removes the claim of Instance from reservation ID.
	Vacate PlanChangeKind = "vacate"
	// Arrive adds Stay.
	Arrive PlanChangeKind = "arrive"
	// Depart removes the stay of Instance.
	Depart PlanChangeKind = "depart"
	// Tell notes that Instance was told to leave for reservation ID.
	Tell PlanChangeKind = "tell"
	// Settled notes that the slots of reservation ID were reviewed.
	Settled PlanChangeKind = "settled"
)

// UnmarshalText reads a kind and refuses unknown ones.
func (k *PlanChangeKind) UnmarshalText(text []byte) error {
	switch kind := PlanChangeKind(text); kind {
	case Put, Move, Wait, Withdraw, Fill, Vacate, Arrive, Depart, Tell, Settled:
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
