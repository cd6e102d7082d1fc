package reservation

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rads-project/constellation/placement"
)

// AtEnd is the policy for instances that still run when the reservation ends. It
// also determines how long capacity is held. The zero value is Drain.
type AtEnd uint8

// The endings.
const (
	// Drain reports the instances that are still there as overstayed. The
	// reservation holds its capacity in [Start, End).
	Drain AtEnd = iota
	// Evict gives them Grace to leave and then reports each as due for
	// eviction. It holds in [Start, End+Grace).
	Evict
	// Keep leaves them as ordinary instances. It holds in [Start, ∞).
	Keep
)

func atEndNames() []string { return []string{"drain", "evict", "keep"} }

// String returns the name in lower case.
func (a AtEnd) String() string {
	if names := atEndNames(); int(a) < len(names) {
		return names[a]
	}
	return "atEnd(" + strconv.Itoa(int(a)) + ")"
}

// MarshalText returns the name.
func (a AtEnd) MarshalText() ([]byte, error) {
	if int(a) >= len(atEndNames()) {
		return nil, invalid("atEnd", a, "want drain, evict or keep")
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads the name.
func (a *AtEnd) UnmarshalText(text []byte) error {
	i := slices.Index(atEndNames(), string(text))
	if i < 0 {
		return invalid("atEnd", string(text), "want drain, evict or keep")
	}
	*a = AtEnd(i)
	return nil
}

// MaxCount is the largest number of slots of one reservation.
const MaxCount = 10_000

// MaxOwners is the largest number of owners of one reservation.
const MaxOwners = 256

// Spec asks for Count slots of one Shape over a window of time. IDs and names
// have at most placement.MaxIDBytes, and Preferences are bounded as those of an
// instance.
type Spec struct {
	// ID of the reservation. Empty has one generated.
	ID string `json:"id,omitempty"`
	// Namespace whose quota pays for what is held.
	Namespace string `json:"namespace,omitempty"`
	// Shape is what each slot holds, on one node. GPU is a multiple of
	// placement.Device or a fraction of one.
	Shape placement.Resources `json:"shape,omitzero"`
	// Count of slots, 1 to MaxCount. All of them find room or none is held.
	Count int `json:"count"`
	// Node that all slots must be on; empty lets the host choose any.
	Node string `json:"node,omitempty"`
	// Preferences by which the host chooses nodes, as for instances.
	Preferences placement.Preferences `json:"preferences,omitzero"`
	// Start of the window; zero, and anything that has passed, is now.
	Start time.Time `json:"start,omitzero"`
	// Duration from Start, or End: one of them is given.
	Duration time.Duration `json:"duration,omitempty"`
	End      time.Time     `json:"end,omitzero"`
	// Priority decides who gives way: a reservation may displace slots of
	// strictly lower priority in which no instance stands.
	Priority int32 `json:"priority,omitempty"`
	// Owners are the namespaces that may claim, at most MaxOwners; none means
	// Namespace.
	Owners []string `json:"owners,omitempty"`
	// Once lets each slot be claimed a single time. A slot that was claimed
	// takes no other claim; when its instance is gone, or lost with its node, or
	// the claim is taken back, its capacity is free for all and no longer paid
	// for.
	Once bool `json:"once,omitempty"`
	// AtEnd is what happens to instances at the end.
	AtEnd AtEnd `json:"atEnd,omitempty"`
	// Grace that Evict gives.
	Grace time.Duration `json:"grace,omitempty"`
	// Notice before Start that yielding instances in the way are given, and from
	// a claim on, if the reservation lends, those in its way.
	Notice time.Duration `json:"notice,omitempty"`
	// Lend lets instances that yield stand in slots that nobody has claimed, also
	// when the reservation begins. The first claim of a slot asks those in the way
	// of the whole slot to leave.
	Lend bool `json:"lend,omitempty"`
	// Maintenance closes Node for the window, whatever stands there. From Notice
	// before Start on nothing new is placed there, and every instance is asked to
	// leave by Start. Slots of other reservations without instances move away,
	// whatever their priority, or are lost when it begins and stay owed. It holds
	// no slots itself, is never refused for want of room and charges nobody: Shape
	// and Count are zero.
	Maintenance bool `json:"maintenance,omitempty"`
	// Repeat gives it more than one window. Each is a reservation of its own under
	// the ID of this one, "@" and its date, such as ci@2026-03-29: a call that
	// names the ID alone means the window that is on or comes next, and Release
	// all of them. All windows find room or none is held.
	Repeat Repeat `json:"repeat,omitzero"`
}

// Params are what an update can change in a reservation. In an update, a zero
// field keeps what there is.
type Params struct {
	// Start and End of the window, End not in it.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
	// Shape of each slot, and the number of them.
	Shape placement.Resources `json:"shape,omitzero"`
	Count int                 `json:"count,omitempty"`
}

// Equal reports whether two specs ask for the same; nil and empty collections
// are the same.
func (s Spec) Equal(other Spec) bool {
	return s.ID == other.ID && s.Namespace == other.Namespace && s.Shape.Equal(other.Shape) &&
		s.Count == other.Count && s.Node == other.Node && s.Preferences.Equal(other.Preferences) &&
		s.Start.Equal(other.Start) && s.Duration == other.Duration && s.End.Equal(other.End) &&
		s.Priority == other.Priority && slices.Equal(s.Owners, other.Owners) && s.Once == other.Once &&
		s.AtEnd == other.AtEnd && s.Grace == other.Grace && s.Notice == other.Notice && s.Lend == other.Lend && s.Maintenance == other.Maintenance &&
		s.Repeat.Equal(other.Repeat)
}

// Clone returns a copy that shares nothing with s, with its times in UTC.
func (s Spec) Clone() Spec {
	// Round drops a reading of the monotonic clock.
	s.Start, s.End = s.Start.Round(0).UTC(), s.End.Round(0).UTC()
	s.Shape, s.Preferences = s.Shape.Clone(), s.Preferences.Clone()
	s.Owners = copied(s.Owners)
	s.Repeat.Until = s.Repeat.Until.Round(0).UTC()
	return s
}

// owners returns the namespaces that may claim.
func (s *Spec) owners() []string {
	if s.Maintenance {
		return nil
	}
	if len(s.Owners) == 0 {
		return []string{s.Namespace}
	}
	return s.Owners
}

// Validate reports every mistake that shows in the spec alone, at once. What depends on
// the time, such as an end that has passed, Reserve finds. It takes time in proportion
// to what the spec holds.
func (s Spec) Validate() error {
	errs := []error{s.validateRules(), s.validateSize(s.Shape, s.Count)}
	switch {
	case s.Duration != 0 && !s.End.IsZero():
		errs = append(errs, invalid("end", s.End, "give a duration or an end, not both"))
	case s.Duration <= 0 && s.End.IsZero():
		errs = append(errs, invalid("duration", s.Duration, "want more than 0"))
	}
	if s.Repeat != (Repeat{}) {
		_, err := s.validateRepeat()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// params checks s at an instant and resolves Start and End. All mistakes are
// reported at once.
func (s *Spec) params(now int64) (Params, error) {
	errs := []error{s.validateRules(), s.validateSize(s.Shape, s.Count)}
	start := now
	if !s.Start.IsZero() {
		start = nanos(s.Start)
	}
	end, inTime := nanos(s.End), inRange(s.End)
	if s.End.IsZero() {
		end, inTime = addNanos(start, max(s.Duration, 0))
	}
	starts := s.Start.IsZero() || inRange(s.Start)
	if !starts {
		errs = append(errs, invalid("start", s.Start, "out of range"))
	}
	switch {
	case s.Duration != 0 && !s.End.IsZero():
		errs = append(errs, invalid("end", s.End, "give a duration or an end, not both"))
	case s.Duration <= 0 && s.End.IsZero():
		errs = append(errs, invalid("duration", s.Duration, "want more than 0"))
	case !starts: // nothing can be said of the end
	case !inTime && s.End.IsZero():
		errs = append(errs, invalid("duration", s.Duration, "the end is out of range"))
	case !inTime:
		errs = append(errs, invalid("end", s.End, "out of range"))
	case end <= now:
		errs = append(errs, invalid("end", instant(end), "has passed"))
	}
	if err := errors.Join(errs...); err != nil {
		return Params{}, err
	}
	params := Params{Start: instant(max(start, now)), End: instant(end), Shape: s.Shape.Clone(), Count: s.Count}
	return params, s.validateWindow(params)
}

// validateWindow checks start and end with notice and grace.
func (s *Spec) validateWindow(t Params) error {
	if nanos(t.End) <= nanos(t.Start) {
		return invalid("end", t.End, "want an end after the start")
	}
	if _, ok := addNanos(nanos(t.End), s.Grace); !ok || !inRange(t.End) {
		return invalid("end", t.End, "out of range, with the grace")
	}
	return nil
}

// validateSize checks what all slots together take.
func (s *Spec) validateSize(shape placement.Resources, count int) error {
	if s.Maintenance {
		if !shape.IsZero() || count != 0 {
			return invalid("shape", shape, "maintenance has no slots")
		}
		return nil
	}
	return validateSize(shape, count)
}

func validateSize(shape placement.Resources, count int) error {
	errs := []error{validateAmounts(shape)}
	if shape.IsZero() {
		errs = append(errs, invalid("shape", shape, "want something to hold"))
	}
	if count < 1 || count > MaxCount {
		errs = append(errs, invalid("count", count, "want 1 to 10000"))
	}
	for name, amount := range shape.All() {
		if count > 0 && amount > math.MaxInt64/int64(count) {
			errs = append(errs, invalid("shape", shape, string(name)+" times the count is out of range"))
		}
	}
	return errors.Join(errs...)
}

func (s *Spec) validateRules() error {
	var errs []error
	for _, field := range []struct{ name, text string }{{"id", s.ID}, {"namespace", s.Namespace}, {"node", s.Node}} {
		errs = append(errs, validateName(field.name, field.text))
	}
	if s.AtEnd > Keep {
		errs = append(errs, invalid("atEnd", s.AtEnd, "want Drain, Evict or Keep"))
	}
	if s.Grace < 0 || s.Grace > 0 && s.AtEnd != Evict {
		errs = append(errs, invalid("grace", s.Grace, "want at least 0, and only with Evict"))
	}
	if s.Maintenance && (s.Node == "" || len(s.Owners) > 0 || s.Once || s.Lend || s.AtEnd != Drain || !s.Preferences.Equal(placement.Preferences{})) {
		errs = append(errs, invalid("maintenance", s.Maintenance, "want a node, and nothing about claims"))
	}
	if s.Notice < 0 {
		errs = append(errs, invalid("notice", s.Notice, "negative"))
	}
	owners := s.Owners
	if len(owners) > MaxOwners {
		errs = append(errs, invalid("owners", len(owners), "more than 256 owners"))
		owners = nil
	}
	for i, owner := range owners {
		if owner == "" || slices.Contains(owners[:i], owner) {
			errs = append(errs, invalid("owners", owner, "want distinct namespaces"))
			continue
		}
		errs = append(errs, validateName("owners", owner))
	}
	return errors.Join(append(errs, placement.Within("preferences", s.Preferences.Validate()))...)
}

// validateName refuses what placement refuses as an ID; it may be empty.
func validateName(field, name string) error {
	switch {
	case len(name) > placement.MaxIDBytes:
		return invalid(field, name, "longer than 256 bytes")
	case !utf8.ValidString(name):
		return invalid(field, name, "not UTF-8")
	}
	return nil
}

// validateAmounts checks the shape as placement does the amounts of a request.
func validateAmounts(shape placement.Resources) error {
	errs := []error{placement.Within("shape", shape.Validate())}
	if gpu := shape.GPU; gpu > placement.Device && gpu%placement.Device != 0 {
		errs = append(errs, invalid("shape.gpu", gpu, "want whole devices or a fraction of one"))
	}
	return errors.Join(errs...)
}
