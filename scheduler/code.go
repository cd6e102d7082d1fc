package scheduler

import (
	"context"
	"errors"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// errorCode is the code of the errors that unwrap to a sentinel.
type errorCode struct {
	code string
	err  error
}

// errorCodes are in the order in which Code looks: what is wrong with the call comes
// before what stands in its way.
func errorCodes() []errorCode {
	return []errorCode{
		{"invalid", placement.ErrInvalid},
		{"closed", ErrClosed},
		{"fenced", ErrFenced},
		{"journal", ErrJournal},
		{"invariant", ErrInvariant},
		{"format", ErrFormat},
		{"truncated", ErrTruncated},
		{"promoted", ErrPromoted},
		{"released", ErrReleased},
		{"quota-exceeded", quota.ErrExceeded},
		{"unschedulable", ErrUnschedulable},
		{"reservation-waiting", reservation.ErrWaiting},
		{"reservation-refused", reservation.ErrRefused},
		{"reservation-state", reservation.ErrState},
		{"reservation-owner", reservation.ErrNotOwner},
		{"reservation-version", reservation.ErrVersion},
		{"quota-not-charged", quota.ErrNotCharged},
		{"quota-drift", quota.ErrDrift},
		{"in-use", placement.ErrInUse},
		{"conflict", placement.ErrConflict},
		{"not-found", placement.ErrNotFound},
		{"canceled", context.Canceled},
		{"timeout", context.DeadlineExceeded},
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
// It takes constant time.
func Code(err error) (code string, status int) {
	if err == nil {
		return "", 200
	}
	for _, known := range errorCodes() {
		if errors.Is(err, known.err) {
			return known.code, statusOf(known.code)
		}
	}
	return "", 500
}

func statusOf(code string) int {
	switch code {
	case "invalid":
		return 400
	case "reservation-owner":
		return 403
	case "quota-not-charged", "not-found":
		return 404
	case "released":
		return 410
	case "reservation-version":
		return 412
	case "quota-exceeded":
		return 429
	case "invariant", "format", "truncated", "quota-drift":
		return 500
	case "closed", "fenced", "journal":
		return 503
	case "canceled", "timeout":
		return 504
	default:
		return 409
	}
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
