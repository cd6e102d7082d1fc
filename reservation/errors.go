package reservation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
)

// The decisions that a caller can take. Every error of this package unwraps
// to one of them or of those below; those with data are structs.
var (
	// ErrState: the reservation is not in a state for that; see StateError.
	ErrState = errors.New("reservation: wrong state")
	// ErrNotOwner: the namespace may not claim; see OwnerError.
	ErrNotOwner = errors.New("reservation: not an owner")
	// ErrVersion: the reservation has changed since; see VersionError.
	ErrVersion = errors.New("reservation: version has changed")
	// ErrWaiting: those are leaving whom a claim waits for; repeat it once they
	// have gone. See ShortError.
	ErrWaiting = errors.New("reservation: waiting for instances to leave")
	// ErrRefused: there is no room; see RefusedError and ShortError.
	ErrRefused = errors.New("reservation: refused")
)

// The decisions that are the same in all packages: these are the values of
// package placement.
var (
	// ErrInvalid: the call can never succeed as it stands; see
	// placement.InvalidError.
	ErrInvalid = placement.ErrInvalid
	// ErrNotFound: nothing of that ID is known; see placement.IDError.
	ErrNotFound = placement.ErrNotFound
	// ErrConflict: the ID is taken by something else; see placement.IDError.
	ErrConflict = placement.ErrConflict
	// ErrInUse: claims are in the way; see InUseError.
	ErrInUse = placement.ErrInUse
)

func invalid(field string, value any, reason string) error {
	return &placement.InvalidError{Field: field, Value: fmt.Sprint(value), Reason: reason}
}

// StateError says that the state of a reservation does not allow a call.
type StateError struct {
	// ID of the reservation, and the state that it is in.
	ID    string `json:"id"`
	State State  `json:"state"`
	// Action is what was asked, for example "claim".
	Action string `json:"action"`
}

// Error names the reservation, its state and the action.
func (e *StateError) Error() string {
	return fmt.Sprintf("reservation: cannot %s %q: it is %s", e.Action, e.ID, e.State)
}

// Unwrap returns ErrState.
func (e *StateError) Unwrap() error { return ErrState }

// OwnerError says who may claim from a reservation instead.
type OwnerError struct {
	// ID of the reservation.
	ID string `json:"id"`
	// Namespace that asked, and Owners, who may.
	Namespace string   `json:"namespace"`
	Owners    []string `json:"owners,omitempty"`
}

// Error names the reservation, who asked and who may.
func (e *OwnerError) Error() string {
	return fmt.Sprintf("reservation: %q is not for namespace %q but for %q", e.ID, e.Namespace, e.Owners)
}

// Unwrap returns ErrNotOwner.
func (e *OwnerError) Unwrap() error { return ErrNotOwner }

// InUseError names the instances that are in the way of a release or of a
// smaller size.
type InUseError struct {
	// ID of the reservation, and the instances that stand in it, sorted.
	ID        string   `json:"id"`
	Instances []string `json:"instances,omitempty"`
}

// Error names the reservation and the instances.
func (e *InUseError) Error() string {
	return fmt.Sprintf("reservation: %q is in use by %q", e.ID, e.Instances)
}

// Unwrap returns ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

// VersionError says which version an update was made for and which there is.
type VersionError struct {
	// ID of the reservation.
	ID string `json:"id"`
	// Want is the version that the update was for, Has the one that there is.
	Want uint64 `json:"want"`
	Has  uint64 `json:"has"`
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("reservation: %q has version %d, not %d", e.ID, e.Has, e.Want)
}

// Unwrap returns ErrVersion.
func (e *VersionError) Unwrap() error { return ErrVersion }

// RefusedError says why a hold does not fit.
type RefusedError struct {
	// Window for which room was sought.
	Window Window `json:"window"`
	// Shape of one slot or instance.
	Shape placement.Resources `json:"shape,omitzero"`
	// Date of the window, in its own place, of a reservation that repeats.
	Date string `json:"date,omitempty"`
	// Missing is how many of Count slots found no room.
	Missing int `json:"missing"`
	Count   int `json:"count"`
	// Node came nearest, and Largest is the part of the shape that one slot would find
	// there over the whole window: the largest single fit. Short is the dimension of
	// which it has the least, as a share of what is asked, or placement.NameInstances
	// if it takes no more of these; it is empty if Node is closed for maintenance. All
	// are empty if no node meets the rules.
	Node    string                 `json:"node,omitempty"`
	Largest placement.Resources    `json:"largest,omitzero"`
	Short   placement.ResourceName `json:"short,omitempty"`
	// Holders are what the Plan counts on Node while there is no room.
	Holders []Holder `json:"holders,omitempty"`
	// Earliest is the first start at which all would find room for as long, as
	// things stand; zero if there is none, or if the call was about a fixed start
	// or more than one window. Rules that keep slots apart are tried at up to a
	// thousand starts at which there is room enough; it is zero if they forbid all
	// of these.
	Earliest time.Time `json:"earliest,omitzero"`
}

// Error says in one line what found no room, which node came nearest, who holds that,
// and the earliest start.
func (e *RefusedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "reservation: no room for %d of %d × %s in %s", e.Missing, e.Count, e.Shape, e.Window)
	if e.Date != "" {
		b.WriteString(" on " + e.Date)
	}
	switch {
	case e.Node == "":
		b.WriteString(": no node meets the rules")
	case e.Short == "":
		fmt.Fprintf(&b, ": %s comes nearest and is closed for maintenance", e.Node)
	case e.Largest.IsZero():
		fmt.Fprintf(&b, ": %s comes nearest and has no %s left", e.Node, e.Short)
	default:
		fmt.Fprintf(&b, ": the largest single fit is %s on %s, short of %s", e.Largest, e.Node, e.Short)
	}
	for i, h := range e.Holders {
		b.WriteString([]string{"; held by ", ", "}[min(i, 1)] + h.ID)
	}
	if !e.Earliest.IsZero() {
		b.WriteString("; the earliest start is " + e.Earliest.Format(time.RFC3339Nano))
	}
	return b.String()
}

// Unwrap returns ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// ShortError says why no slot of a reservation takes a claim. If slots wait for
// instances to leave it is ErrWaiting too: the same claim will have room once they
// have gone, unless something else happens.
type ShortError struct {
	// ID of the reservation, and what the claim asked.
	ID    string              `json:"id"`
	Asked placement.Resources `json:"asked,omitzero"`
	// Left is what the slot with most left still has for claims. A claim
	// never takes more than that in a dimension of the shape. Of GPUs it is
	// the most on one if a fraction was asked for, else the untouched ones.
	Left placement.Resources `json:"left,omitzero"`
	// Short is the dimension of which that slot has too little, or if slots
	// have enough, a node that was tried; empty if only rules or instances that
	// are leaving were in the way.
	Short placement.ResourceName `json:"short,omitempty"`
	// Rules is how many slots had enough left on a node that the instance's
	// own rules exclude.
	Rules int `json:"rules"`
	// Used is how many slots had enough left on a node that does not have it:
	// instances use too much there, since it shrank or more runs than was
	// thought.
	Used int `json:"used"`
	// Excess is how many slots had enough left on a node without room for
	// what the instance asks beyond the shape's dimensions.
	Excess int `json:"excess"`
	// Outstays is how many slots had enough left on a node that others hold at
	// a time when the instance would still be there, after the reservation.
	Outstays int `json:"outstays"`
	// Waiting is how many slots wait for instances that should have left or have
	// been asked to, Awaits are these, sorted, and Due is by when the last of
	// those that were asked has to be gone; zero if none was.
	Waiting int       `json:"waiting"`
	Awaits  []string  `json:"awaits,omitempty"`
	Due     time.Time `json:"due,omitzero"`
	// Closed is how many slots had enough left on a node that is or will be closed
	// for maintenance while the instance would be there.
	Closed int `json:"closed"`
	// Kept is how many slots others were asked to leave for another claim.
	Kept int `json:"kept"`
	// Elsewhere is how many slots had enough left, but not where the instance runs,
	// if it does: on another node, or on other GPUs, or behind instances that they
	// wait for. None of them could come to it.
	Elsewhere int `json:"elsewhere"`
}

// note notes what a slot has left, and of what too little.
func (e *ShortError) note(left placement.Resources, lacks placement.ResourceName) {
	if e.Left.IsZero() || e.Left.FitsIn(left) {
		e.Left, e.Short = left, lacks
	}
}

// await adds instances that a slot waits for.
func (e *ShortError) await(instances []string, due time.Time) {
	if due.After(e.Due) {
		e.Due = due
	}
	e.Awaits = slices.Concat(e.Awaits, instances)
	slices.Sort(e.Awaits)
	e.Awaits = slices.Compact(e.Awaits)
}

// Error says what is left.
func (e *ShortError) Error() string {
	text := fmt.Sprintf("reservation: %q has no slot for %s: %s left", e.ID, e.Asked, e.Left)
	if e.Short != "" {
		text += ", short of " + string(e.Short)
	}
	if e.Rules > 0 {
		text += fmt.Sprintf(", %d on nodes excluded by the instance's rules", e.Rules)
	}
	if e.Used > 0 {
		text += fmt.Sprintf(", %d on nodes where instances use too much", e.Used)
	}
	if e.Excess > 0 {
		text += fmt.Sprintf(", %d on nodes without room for the rest", e.Excess)
	}
	if e.Outstays > 0 {
		text += fmt.Sprintf(", %d on nodes that others hold before its duration is over", e.Outstays)
	}
	if e.Waiting > 0 {
		text += fmt.Sprintf(", %d waiting for %q to leave", e.Waiting, e.Awaits)
	}
	if !e.Due.IsZero() {
		text += " until " + e.Due.Format(time.RFC3339Nano)
	}
	if e.Closed > 0 {
		text += fmt.Sprintf(", %d on nodes that are closed for maintenance", e.Closed)
	}
	if e.Kept > 0 {
		text += fmt.Sprintf(", %d kept for other claims", e.Kept)
	}
	if e.Elsewhere > 0 {
		text += fmt.Sprintf(", %d elsewhere than it runs", e.Elsewhere)
	}
	return text
}

// Unwrap returns ErrRefused, and ErrWaiting if slots wait.
func (e *ShortError) Unwrap() []error {
	if e.Waiting > 0 {
		return []error{ErrRefused, ErrWaiting}
	}
	return []error{ErrRefused}
}
