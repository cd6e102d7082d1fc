package reservation

// ChangeKind says what a Change does.
type ChangeKind string

// The kinds of changes. Reading an unknown kind from JSON is an error.
const (
	// Put makes or replaces Reservation.
	Put ChangeKind = "put"
	// Move puts the slot Slot of reservation ID on Node with Devices, or
	// nowhere if Node is empty: it is lost. Instances in it stay behind.
	Move ChangeKind = "move"
	// Withdraw ends reservation ID now.
	Withdraw ChangeKind = "withdraw"
	// Wait notes that the slot Slot of reservation ID stays where it is and
	// waits for the instances Because to leave, or for nobody any more.
	Wait ChangeKind = "wait"
	// Fill puts Claim into the slot Slot of reservation ID.
	Fill ChangeKind = "fill"
	// Vacate removes the claim of Instance from reservation ID.
	Vacate ChangeKind = "vacate"
	// Arrive adds Stay.
	Arrive ChangeKind = "arrive"
	// Depart removes the stay of Instance.
	Depart ChangeKind = "depart"
	// Tell notes that Instance was told to leave for reservation ID.
	Tell ChangeKind = "tell"
	// Settled notes that the slots of reservation ID were reviewed.
	Settled ChangeKind = "settled"
)

// UnmarshalText reads a kind and refuses unknown ones.
func (k *ChangeKind) UnmarshalText(text []byte) error {
	switch kind := ChangeKind(text); kind {
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
	Kind ChangeKind `json:"kind"`
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
