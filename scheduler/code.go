package scheduler

import (
	"context"
	"errors"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// errorCode is the code, and the HTTP status, of the errors that unwrap to a sentinel.
type errorCode struct {
	code   string
	status int
	err    error
}

// errorCodes are in the order in which Code looks: what is wrong with the call comes
// before what stands in its way.
func errorCodes() []errorCode {
	return []errorCode{
		{"invalid", 400, placement.ErrInvalid},
		{"closed", 503, ErrClosed},
		{"fenced", 503, ErrFenced},
		{"journal", 503, ErrJournal},
		{"invariant", 500, ErrInvariant},
		{"format", 500, ErrFormat},
		{"truncated", 500, ErrTruncated},
		{"promoted", 409, ErrPromoted},
		{"released", 410, ErrReleased},
		{"quota-exceeded", 429, quota.ErrExceeded},
		{"unschedulable", 409, ErrUnschedulable},
		{"reservation-waiting", 409, reservation.ErrWaiting},
		{"reservation-refused", 409, reservation.ErrRefused},
		{"reservation-state", 409, reservation.ErrState},
		{"reservation-owner", 403, reservation.ErrNotOwner},
		{"reservation-version", 412, reservation.ErrVersion},
		{"quota-not-charged", 404, quota.ErrNotCharged},
		{"quota-drift", 500, quota.ErrDrift},
		{"in-use", 409, placement.ErrInUse},
		{"conflict", 409, placement.ErrConflict},
		{"not-found", 404, placement.ErrNotFound},
		{"canceled", 504, context.Canceled},
		{"timeout", 504, context.DeadlineExceeded},
	}
}

// Code returns a short name of an error of this library, for programs that get it
// over the wire, and an HTTP status that suits it. It is empty, and 500, for any
// other error, and "" and 200 for nil. Of joined errors the first in this order
// counts:
//
//	invalid              400  the input would be wrong at any time
//	closed, fenced       503  another scheduler has taken over; repeat the call there
//	journal              503  the outcome may be unknown; repeat it under the same ID
//	invariant            500  the library is wrong
//	format, truncated    500  the journal is damaged, or an older copy
//	promoted             409  the follower has become a scheduler
//	released             410  the ID was released not long ago
//	quota-exceeded       429  a limit refuses it
//	unschedulable        409  no node fits now
//	reservation-waiting, reservation-refused,
//	reservation-state    409  it has no room, or not now
//	reservation-owner    403  it belongs to other namespaces
//	reservation-version  412  it has changed meanwhile
//	quota-not-charged    404  there is no such charge
//	quota-drift          500  the library is wrong
//	in-use, conflict     409  something else stands in the way
//	not-found            404  there is nothing of that ID
//	canceled, timeout    504  the caller's time has ended; the outcome is unknown
//
// It takes time in proportion to the errors that are joined in err.
func Code(err error) (code string, status int) {
	if err == nil {
		return "", 200
	}
	for _, known := range errorCodes() {
		if errors.Is(err, known.err) {
			return known.code, known.status
		}
	}
	return "", 500
}

// errorJSON is an error as JSON: its text and its code.
type errorJSON struct {
	Code string `json:"code,omitempty"`
	Text string `json:"text"`
}

func toJSON(err error) *errorJSON {
	if err == nil {
		return nil
	}
	code, _ := Code(err)
	return &errorJSON{code, err.Error()}
}

// err returns an error with the same text, and the same code.
func (e *errorJSON) err() error {
	if e == nil {
		return nil
	}
	told := &toldError{text: e.Text}
	for _, known := range errorCodes() {
		if known.code == e.Code {
			told.is = known.err
		}
	}
	return told
}

// toldError is an error that came as JSON: its data stayed behind.
type toldError struct {
	text string
	is   error
}

func (e *toldError) Error() string { return e.text }

func (e *toldError) Unwrap() error { return e.is }
