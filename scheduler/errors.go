package scheduler

import (
	"errors"
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// The decisions that a caller can take on an error. Each comes wrapped in a
// struct that carries the data, or as it is where there is none.
var (
	// ErrUnschedulable: no node fits now. See UnschedulableError.
	ErrUnschedulable = errors.New("scheduler: no node fits")
	// ErrReleased: an allocation of that ID was released not long ago, and
	// the request, or the second release, is taken for a late retry. See
	// Config.RememberReleased and ReleasedError.
	ErrReleased = errors.New("scheduler: released")
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
	// ErrTruncated: a journal that is followed ends before what was read of it.
	ErrTruncated = errors.New("scheduler: the journal ends before what was read of it")
	// ErrFormat: a record of the journal cannot be read. See FormatError.
	ErrFormat = errors.New("scheduler: unreadable record")
)

// The decisions that are the same in all packages: these are the values of
// package placement, and so of quota and reservation too.
var (
	// ErrInvalid: the input is wrong and would be at any time. See
	// placement.InvalidError.
	ErrInvalid = placement.ErrInvalid
	// ErrConflict: the ID names something else already. See placement.IDError.
	ErrConflict = placement.ErrConflict
	// ErrNotFound: there is nothing of that ID. See placement.IDError.
	ErrNotFound = placement.ErrNotFound
	// ErrInUse: a quota or a reservation cannot go while something uses it.
	// See quota.InUseError and reservation.InUseError.
	ErrInUse = placement.ErrInUse
)

// ReleasedError names the released allocation. It unwraps to ErrReleased.
type ReleasedError struct {
	// ID of the allocation.
	ID string `json:"id"`
}

// Error returns "scheduler: allocation ID was released".
func (e *ReleasedError) Error() string {
	return fmt.Sprintf("scheduler: allocation %.256q was released", e.ID)
}

// Unwrap returns ErrReleased.
func (e *ReleasedError) Unwrap() error { return ErrReleased }

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
	Token   uint64 `json:"token"`
	Highest uint64 `json:"highest"`
}

// Error returns "scheduler: token T is fenced by token H".
func (e *FencedError) Error() string {
	return fmt.Sprintf("scheduler: token %d is fenced by token %d", e.Token, e.Highest)
}

// Unwrap returns ErrFenced.
func (e *FencedError) Unwrap() error { return ErrFenced }

// FormatError says which record cannot be read and why. It unwraps to
// ErrFormat.
type FormatError struct {
	// Seq of the record, as the journal gave it.
	Seq uint64 `json:"seq"`
	// Reason that it cannot be read, for people.
	Reason string `json:"reason"`
}

// Error returns "scheduler: record SEQ: REASON".
func (e *FormatError) Error() string {
	return fmt.Sprintf("scheduler: record %d: %s", e.Seq, e.Reason)
}

// Unwrap returns ErrFormat.
func (e *FormatError) Unwrap() error { return ErrFormat }
