package placement

import (
	"errors"
	"strconv"
)

// ErrInvalid is what every mistake in a node, a request or a rule unwraps to.
var ErrInvalid = errors.New("placement: invalid")

// InvalidError says what is wrong with one value. Validation reports all
// mistakes at once, joined with errors.Join; errors.As finds the first.
type InvalidError struct {
	// Field is the path of the value, for example "resources.cpu" or
	// "preferences.required[2]".
	Field string
	// Value is the offending value as text.
	Value string
	// Reason completes "Field Value: …".
	Reason string
}

// Error returns "placement: invalid FIELD VALUE: REASON".
func (e *InvalidError) Error() string {
	return "placement: invalid " + e.Field + " " + strconv.Quote(e.Value) + ": " + e.Reason
}

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func invalid(field, value, reason string) error {
	return &InvalidError{Field: field, Value: value, Reason: reason}
}

func invalidAmount(field string, amount int64, reason string) error {
	return invalid(field, strconv.FormatInt(amount, 10), reason)
}

// within prefixes the field of every InvalidError in err, so that a mistake
// in a part is reported with its path in the whole.
func within(prefix string, err error) error {
	switch e := err.(type) { //nolint:errorlint // Walks the tree of joined errors node by node.
	case nil:
		return nil
	case *InvalidError:
		field := prefix
		if e.Field != "" {
			field += "." + e.Field
		}
		return invalid(field, e.Value, e.Reason)
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, within(prefix, part))
		}
		return errors.Join(all...)
	default:
		return err
	}
}
