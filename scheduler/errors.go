package scheduler

import (
	"errors"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// The decisions that a caller can take on an error. Each comes wrapped in a
// struct that carries the data, or as it is where there is none.
var (
	// ErrUnschedulable: no node fits now. See UnschedulableError.
	ErrUnschedulable = errors.New("scheduler: no node fits")
	// ErrInvalid: the input is wrong and would be at any time. It is
	// placement.ErrInvalid; the errors of quotas and reservations that are
	// ErrInvalid there are it too.
	ErrInvalid = placement.ErrInvalid
	// ErrConflict: the ID names something else already. See ConflictError.
	ErrConflict = errors.New("scheduler: conflict")
	// ErrNotFound: there is nothing of that ID. See NotFoundError.
	ErrNotFound = errors.New("scheduler: not found")
	// ErrReleased: an allocation of that ID was released not long ago, and
	// the request, or the second release, is taken for a late retry. See
	// Config.RememberReleased and ReleasedError.
	ErrReleased = errors.New("scheduler: released")
	// ErrInUse: a quota or a reservation can not go while something uses it.
	// See quota.InUseError and reservation.InUseError.
	ErrInUse = errors.New("scheduler: in use")
	// ErrClosed: the scheduler has been closed.
	ErrClosed = errors.New("scheduler: closed")
	// ErrJournal: the journal failed, and the scheduler with it. See
	// JournalError.
	ErrJournal = errors.New("scheduler: journal failed")
	// ErrInvariant: the library is wrong. See InvariantError.
	ErrInvariant = errors.New("scheduler: broken invariant")
	// ErrFenced: another scheduler has acquired the journal with a higher
	// token. See FencedError.
	ErrFenced = errors.New("scheduler: fenced")
	// ErrFormat: a record of the journal can not be read. See FormatError.
	ErrFormat = errors.New("scheduler: unreadable record")
)

// Kind is the sort of thing that an error is about.
type Kind string

// The kinds of things with an ID.
const (
	KindNode        Kind = "node"
	KindAllocation  Kind = "allocation"
	KindQuota       Kind = "quota"
	KindReservation Kind = "reservation"
	KindLabel       Kind = "label"
	KindTaint       Kind = "taint"
)

// NotFoundError says what was not found. It unwraps to ErrNotFound.
type NotFoundError struct {
	// Kind is what was looked for, ID under which name: that of a quota is its
	// namespace, of a label its key, of a taint KEY:EFFECT.
	Kind Kind
	ID   string
}

// Error returns "scheduler: KIND ID not found".
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("scheduler: %s %.256q not found", e.Kind, e.ID)
}

// Unwrap returns ErrNotFound.
func (e *NotFoundError) Unwrap() error { return ErrNotFound }

// sharedError is an error about a quota or a reservation that callers may know
// by the name of this package or by that of the package which keeps them.
type sharedError struct {
	error       // as it reads
	also  error // of the other package
}

// Unwrap returns both.
func (e *sharedError) Unwrap() []error { return []error{e.error, e.also} }

// fromPlan returns what a call on a reservation reports for an error of the
// plan.
func fromPlan(id string, err error) error {
	switch {
	case errors.Is(err, reservation.ErrNotFound):
		return &sharedError{&NotFoundError{KindReservation, id}, err}
	case errors.Is(err, reservation.ErrConflict):
		return &sharedError{&ConflictError{KindReservation, id, "exists with another spec"}, err}
	case errors.Is(err, reservation.ErrInUse):
		return &sharedError{err, ErrInUse}
	default:
		return err
	}
}

// fromQuota returns what a call on a quota reports for an error of the
// accounts, which names the namespace that has none: it may be a parent.
func fromQuota(namespace string, err error) error {
	if missing, ok := errors.AsType[*quota.NotFoundError](err); ok {
		return &sharedError{err, &NotFoundError{KindQuota, missing.Namespace}}
	}
	switch {
	case errors.Is(err, quota.ErrConflict):
		return &sharedError{err, &ConflictError{KindQuota, namespace, "exists with another spec"}}
	case errors.Is(err, quota.ErrInUse):
		return &sharedError{err, ErrInUse}
	default:
		return err
	}
}

// ReleasedError names the released allocation. It unwraps to ErrReleased.
type ReleasedError struct{ ID string }

// Error returns "scheduler: allocation ID was released".
func (e *ReleasedError) Error() string {
	return fmt.Sprintf("scheduler: allocation %.256q was released", e.ID)
}

// Unwrap returns ErrReleased.
func (e *ReleasedError) Unwrap() error { return ErrReleased }

// ConflictError says which ID is taken and how. It unwraps to ErrConflict.
type ConflictError struct {
	// Kind is what the ID names.
	Kind Kind
	ID   string
	// Reason completes "KIND ID …", for people.
	Reason string
}

// Error returns "scheduler: KIND ID REASON".
func (e *ConflictError) Error() string {
	return fmt.Sprintf("scheduler: %s %.256q %s", e.Kind, e.ID, e.Reason)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// JournalError says that an append failed. It unwraps to ErrJournal and to
// its cause. What the call changed is either durable or lost, and a new
// scheduler opened on the journal tells: repeat the call under the same ID.
type JournalError struct {
	// Unknown reports that the record may have been written.
	Unknown bool
	// Cause is what the journal returned.
	Cause error
}

// Error returns "scheduler: journal failed: CAUSE", with "outcome unknown" if
// it is.
func (e *JournalError) Error() string {
	if e.Unknown {
		return "scheduler: journal failed, outcome unknown: " + e.Cause.Error()
	}
	return "scheduler: journal failed: " + e.Cause.Error()
}

// Unwrap returns ErrJournal and the cause.
func (e *JournalError) Unwrap() []error { return []error{ErrJournal, e.Cause} }

// InvariantError says that the library is wrong: something failed that cannot.
// It closes the scheduler before that is written or shown to anybody, since
// what runs and what is counted would go different ways; every call returns it
// from then on. Open continues from the journal, where there is one. It unwraps
// to ErrInvariant and to its cause.
type InvariantError struct {
	// Seq of the entry that was not carried out.
	Seq uint64
	// Invariant that did not hold, for people.
	Invariant string
	// Cause is the error that cannot be.
	Cause error
}

// Error returns "scheduler: broken invariant at SEQ: INVARIANT: CAUSE".
func (e *InvariantError) Error() string {
	return fmt.Sprintf("scheduler: broken invariant at %d: %s: %v", e.Seq, e.Invariant, e.Cause)
}

// Unwrap returns ErrInvariant and the cause.
func (e *InvariantError) Unwrap() []error { return []error{ErrInvariant, e.Cause} }

// FencedError is what a Journal returns to a token that is too low. It
// unwraps to ErrFenced.
type FencedError struct {
	// Token that was refused, and the Highest that the journal has seen.
	Token, Highest uint64
}

// Error returns "scheduler: token T is fenced by token H".
func (e *FencedError) Error() string {
	return fmt.Sprintf("scheduler: token %d is fenced by token %d", e.Token, e.Highest)
}

// Unwrap returns ErrFenced.
func (e *FencedError) Unwrap() error { return ErrFenced }

// FormatError says which record can not be read and why. It unwraps to
// ErrFormat.
type FormatError struct {
	// Seq of the record, as the journal gave it.
	Seq uint64
	// Reason that it can not be read, for people.
	Reason string
}

// Error returns "scheduler: record SEQ: REASON".
func (e *FormatError) Error() string {
	return fmt.Sprintf("scheduler: record %d: %s", e.Seq, e.Reason)
}

// Unwrap returns ErrFormat.
func (e *FormatError) Unwrap() error { return ErrFormat }
