package scheduler

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Report is an instance that a worker says runs on its node.
type Report struct {
	// Request that the instance was placed with.
	Request placement.Request `json:"request"`
	// Devices that it uses, in ascending order.
	Devices []int `json:"devices,omitempty"`
	// DynamicPorts that it got, in ascending order, as many as Request asks for.
	DynamicPorts []uint16 `json:"dynamicPorts,omitempty"`
	// Generation of its decision, at most 2^62; 0 is taken as 1.
	Generation uint64 `json:"generation,omitempty"`
	// Reservation that it stands in, empty for none. The instance is on the books in
	// any case; see AdoptNode for what becomes of its slot.
	Reservation string `json:"reservation,omitempty"`
}

// maxReported leaves room for the generations that follow.
const maxReported = 1 << 62

// Adoption is the result of AdoptNode. All lists are of instance IDs, sorted.
type Adoption struct {
	// Adopted instances were unknown and are on the books now.
	Adopted []string `json:"adopted,omitempty"`
	// Known instances were on the books of the node already.
	Known []string `json:"known,omitempty"`
	// Conflicts run here but are on the books of another node, or with
	// another request: the worker should stop them. They are never moved.
	Conflicts []string `json:"conflicts,omitempty"`
	// Released instances were released not long ago; see
	// Config.RememberReleased. The worker should stop them.
	Released []string `json:"released,omitempty"`
	// Missing instances are on the books of the node but were not reported.
	// They stay there until they are released.
	Missing []string `json:"missing,omitempty"`
	// Over are the over-committed dimensions. That is allowed; nothing new is
	// placed on the node until usage fits again.
	Over []placement.ResourceName `json:"over,omitempty"`
	// Attached are the Adopted and Known instances that stand in the reservation that
	// their reports name.
	Attached []string `json:"attached,omitempty"`
	// Unattached are those that do not, by ID. They are on the books like any other
	// instance, until a report, or PlaceFromReservation, finds a slot for them.
	Unattached []Unattached `json:"unattached,omitempty"`
}

// Unattached is an instance that does not stand in the reservation that its report
// names.
type Unattached struct {
	// ID of the instance, and the reservation.
	ID          string
	Reservation string
	// Err is what PlaceFromReservation would have returned: ErrNotFound if there is
	// no such reservation now, as long as it has not been made again.
	Err error
}

// unattachedJSON is an Unattached as JSON.
type unattachedJSON struct {
	ID          string     `json:"id"`
	Reservation string     `json:"reservation"`
	Error       *errorJSON `json:"error,omitempty"`
}

// MarshalJSON writes the error as its text and its Code.
func (u Unattached) MarshalJSON() ([]byte, error) {
	return json.Marshal(unattachedJSON{u.ID, u.Reservation, toJSON(u.Err)})
}

// UnmarshalJSON reads what MarshalJSON writes. The error has the text, and errors.Is
// knows what it was; its data stayed behind.
func (u *Unattached) UnmarshalJSON(data []byte) error {
	var wire unattachedJSON
	err := json.Unmarshal(data, &wire)
	if err == nil {
		*u = Unattached{wire.ID, wire.Reservation, wire.Error.err()}
	}
	return err
}

// attachLocked finds slots for instances on a node whose reports name a reservation, and
// tells what has become of each.
func (s *calls) attachLocked(running []Report, adoption *Adoption) {
	for i := range running {
		id, in := running[i].Request.ID, running[i].Reservation
		_, adopted := slices.BinarySearch(adoption.Adopted, id)
		if _, known := slices.BinarySearch(adoption.Known, id); in == "" || !adopted && !known {
			continue
		}
		attached, err := s.state.canAttach(s.now, s.state.allocations.At(id), in)
		if err != nil {
			adoption.Unattached = append(adoption.Unattached, Unattached{id, in, err})
			continue
		}
		if attached != nil {
			s.commitLocked(attached)
		}
		adoption.Attached = append(adoption.Attached, id)
	}
	slices.Sort(adoption.Attached)
	slices.SortFunc(adoption.Unattached, func(a, b Unattached) int { return cmp.Compare(a.ID, b.ID) })
}
