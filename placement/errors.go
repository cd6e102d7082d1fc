package placement

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// ErrInvalid is what every mistake in a node, a request or a rule unwraps to.
var ErrInvalid = errors.New("placement: invalid")

// InvalidError says what is wrong with one value. Validation reports all
// mistakes at once, joined with errors.Join; errors.As finds the first.
type InvalidError struct {
	// Field is the path of the value, for example "resources.cpu" or
	// "preferences.required[2]"; empty for the value validated itself.
	Field string
	// Value is the offending value as text.
	Value string
	// Reason completes "Field Value: …".
	Reason string
}

// Error returns "placement: invalid FIELD "VALUE": REASON".
func (e *InvalidError) Error() string {
	field := e.Field
	if field != "" {
		field += " "
	}
	return "placement: invalid " + field + strconv.Quote(e.Value) + ": " + e.Reason
}

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func invalid(field, value, reason string) error {
	return &InvalidError{Field: field, Value: value, Reason: reason}
}

func invalidAmount(field string, amount int64, reason string) error {
	return invalid(field, strconv.FormatInt(amount, 10), reason)
}

// mistakes collects what a validation finds. The zero value is empty and
// allocates nothing, so that checking a valid value costs next to nothing.
type mistakes []error

func (m *mistakes) add(field, value, reason string) {
	*m = append(*m, invalid(field, value, reason))
}

func (m *mistakes) addAmount(field string, amount int64, reason string) {
	*m = append(*m, invalidAmount(field, amount, reason))
}

// addPart adds the mistakes of a part, if any, with the path they have.
func (m *mistakes) addPart(err error) {
	if err != nil {
		*m = append(*m, err)
	}
}

// addWithin adds the mistakes of a part, if any, with their path in the whole.
func (m *mistakes) addWithin(part string, err error) {
	if err != nil {
		*m = append(*m, within(part, err))
	}
}

// addAt adds the mistakes of one element of a list, if any.
func (m *mistakes) addAt(list string, i int, err error) {
	if err != nil {
		*m = append(*m, within(indexed(list, i), err))
	}
}

const notUTF8 = "not UTF-8"

// checkText reports text that no encoding keeps as it is.
func (m *mistakes) checkText(field, text string) {
	if !utf8.ValidString(text) {
		m.add(field, text, notUTF8)
	}
}

func (m mistakes) join() error { return errors.Join(m...) }

func indexed(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

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
