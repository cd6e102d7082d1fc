package quota

import (
	"errors"
	"time"

	"github.com/rads-project/constellation/internal/skyline"
	"github.com/rads-project/constellation/placement"
)

// Timed is amounts and the time over which they count: from From on, and at Until no
// more. All that is charged to a namespace and its descendants, whenever it counts, has
// to fit an int64 in each dimension. Amounts alone count from now on, forever. Times
// count to the nanosecond; what is before 1678 or after 2261 is earlier or later than
// all.
type Timed struct {
	// Amounts that are charged.
	Amounts placement.Amounts `json:"amounts"`
	// From is when they begin to count. Zero: they do already.
	From time.Time `json:"from,omitzero"`
	// Until is when they end; zero if that is not known.
	Until time.Time `json:"until,omitzero"`
	// Reserved says that the amounts are held for later use: they must fit
	// within Soft at every instant, never by bursting, and within the part of
	// it that may be reserved.
	Reserved bool `json:"reserved,omitempty"`
}

// bounded reports whether t is more than amounts that count from now on.
func (t *Timed) bounded() bool { return !t.From.IsZero() || !t.Until.IsZero() || t.Reserved }

// Equal reports whether both charge the same over the same time.
func (t Timed) Equal(other Timed) bool {
	return t.Amounts.Equal(other.Amounts) && t.From.Equal(other.From) && t.Until.Equal(other.Until) && t.Reserved == other.Reserved
}

// validate reports an end that is not after the start. Amounts are checked where
// they are counted.
func (t *Timed) validate() error {
	if !t.Until.IsZero() && !t.Until.After(t.From) {
		return invalid("until", t.Until.String(), "want an end after the start")
	}
	return nil
}

// timed is a Timed ready to be counted. What counts already is from -Forever.
type timed struct {
	amounts  vector
	from, to int64
	reserved bool
}

func (s *timed) inForce() bool { return s.from == -skyline.Forever }

// bounded reports whether anything is to be noted but what is used.
func (s *timed) bounded() bool {
	return (!s.inForce() || s.to != skyline.Forever || s.reserved) && s.amounts != vector{}
}

// timed returns t ready to be counted. It comes after find.
func (a *Accounts) timed(t *Timed) (timed, error) {
	s := timed{from: -skyline.Forever, to: skyline.Forever, reserved: t.Reserved}
	if !t.From.IsZero() {
		s.from = skyline.Nanos(t.From)
	}
	if !t.Until.IsZero() {
		if s.to = skyline.Nanos(t.Until); s.to == skyline.Forever-1 {
			s.to = skyline.Forever
		}
	}
	err := a.tally(&s.amounts, &t.Amounts, 1)
	if t.bounded() {
		err = errors.Join(err, t.validate())
	}
	return s, err
}
