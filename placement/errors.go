package placement

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// The decisions that a caller can take on an error of any package that places,
// counts or reserves: quota, reservation and scheduler have them under the same
// names, and they are the same values there.
var (
	// ErrInvalid: the input is wrong and would be at any time. See InvalidError.
	ErrInvalid = errors.New("placement: invalid")
	// ErrNotFound: nothing of that ID is known. See IDError.
	ErrNotFound = errors.New("placement: not found")
	// ErrConflict: the ID names something else already, or something in another
	// state. See IDError.
	ErrConflict = errors.New("placement: conflict")
	// ErrInUse: something cannot go, or become less, while others use it.
	ErrInUse = errors.New("placement: in use")
)

// Kind is the sort of thing that an ID names.
type Kind string

// The kinds of things with an ID.
const (
	KindNode        Kind = "node"
	KindAllocation  Kind = "allocation"
	KindInstance    Kind = "instance"
	KindQuota       Kind = "quota"
	KindReservation Kind = "reservation"
	KindLabel       Kind = "label"
	KindTaint       Kind = "taint"
)

// IDError says which ID was not found or is taken by something else.
type IDError struct {
	// Err is ErrNotFound or ErrConflict.
	Err error
	// Kind of thing that the ID was taken for.
	Kind Kind
	// ID that was looked for: that of a quota is its namespace, of a label its
	// key, of a taint KEY:EFFECT.
	ID string
	// Reason completes "KIND ID …", for people.
	Reason string
}

// Error returns "placement: KIND "ID" REASON". Of a long ID it shows the first
// 256 bytes and the length.
func (e *IDError) Error() string {
	start, rest := cutLong(e.ID)
	return "placement: " + string(e.Kind) + " " + strconv.Quote(start) + rest + " " + e.Reason
}

// Unwrap returns Err.
func (e *IDError) Unwrap() error { return e.Err }

// NotFound returns the IDError of an ID under which nothing is known.
func NotFound(kind Kind, id string) error {
	return &IDError{Err: ErrNotFound, Kind: kind, ID: id, Reason: "not found"}
}

// Conflict returns the IDError of an ID that is taken.
func Conflict(kind Kind, id, reason string) error {
	return &IDError{Err: ErrConflict, Kind: kind, ID: id, Reason: reason}
}

// InvalidError says what is wrong with one value. Validation reports all
// mistakes at once, joined with errors.Join; errors.As finds the first. Of more
// than 64 mistakes in one part it reports the first 64 and how many more there
// are.
type InvalidError struct {
	// Field is the path of the value, for example "resources.cpu",
	// "preferences.required[2]" or `labels["zone"]`; empty for the value validated
	// itself.
	Field string `json:"field,omitempty"`
	// Value is the offending value as text; empty for one that is missing or
	// is not written as text.
	Value string `json:"value,omitempty"`
	// Reason completes "Field Value: …".
	Reason string `json:"reason"`
}

// Error returns "placement: invalid FIELD "VALUE": REASON", without what is
// empty. Of a long part it shows the first 256 bytes and the length.
func (e *InvalidError) Error() string {
	text := "placement: invalid"
	if e.Field != "" {
		start, rest := cutLong(e.Field)
		text += " " + start + rest
	}
	if e.Value != "" {
		start, rest := cutLong(e.Value)
		text += " " + strconv.Quote(start) + rest
	}
	start, rest := cutLong(e.Reason)
	return text + ": " + start + rest
}

// cutLong returns the start of a text that an error shows, and a note of its
// length if that is not all: whoever sends long texts does not fill logs.
func cutLong(text string) (start, rest string) {
	const most = 256
	if len(text) <= most {
		return text, ""
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end], "… (" + strconv.Itoa(len(text)) + " bytes)"
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
type mistakes struct {
	errs []error // at most maxMistakes
	more int
}

func (m *mistakes) any() bool { return len(m.errs) > 0 }

func (m *mistakes) add(field, value, reason string) {
	m.addPart(invalid(field, value, reason))
}

func (m *mistakes) addAmount(field string, amount int64, reason string) {
	m.addPart(invalidAmount(field, amount, reason))
}

// addPart adds the mistakes of a part, if any, with the path they have.
func (m *mistakes) addPart(err error) {
	switch {
	case err == nil:
	case len(m.errs) < maxMistakes:
		m.errs = append(m.errs, err)
	default:
		m.more++
	}
}

// addWithin adds the mistakes of a part, if any, with their path in the whole.
func (m *mistakes) addWithin(part string, err error) {
	if err != nil {
		m.addPart(Within(part, err))
	}
}

// addAt adds the mistakes of one element of a list, if any.
func (m *mistakes) addAt(list string, i int, err error) {
	if err != nil {
		m.addPart(Within(indexed(list, i), err))
	}
}

func (m *mistakes) join() error {
	if m.more > 0 {
		return errors.Join(append(m.errs, invalid("", "", "and "+strconv.Itoa(m.more)+" more mistakes"))...)
	}
	return errors.Join(m.errs...)
}

// below returns the path of a field of a part, which may be empty or the index of an
// element.
func below(part, field string) string {
	switch {
	case field == "":
		return part
	case part == "" || field[0] == '[':
		return part + field
	default:
		return part + "." + field
	}
}

// keyed returns the path of what a map has under a key that may be any text.
func keyed(of, key string) string { return of + "[" + strconv.Quote(key) + "]" }

func indexed(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// Within prefixes the field of every InvalidError in err, which may be joined
// ones, so that a mistake in a part is reported with its path in the whole. Of
// other errors it changes nothing. It takes time in proportion to the mistakes.
func Within(prefix string, err error) error {
	switch e := err.(type) { //nolint:errorlint // Walks the tree of joined errors node by node.
	case nil:
		return nil
	case *InvalidError:
		return invalid(below(prefix, e.Field), e.Value, e.Reason)
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, Within(prefix, part))
		}
		return errors.Join(all...)
	default:
		return err
	}
}
