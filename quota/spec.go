package quota

import (
	"errors"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/rads-project/constellation/placement"
)

// MaxLevels is the greatest number of namespaces on the way from one up to its
// last ancestor, both included.
const MaxLevels = 8

const maxBurstPercent = 10_000

// Spec declares the quota of a namespace.
type Spec struct {
	// Namespace that the spec is for, not empty; at most
	// placement.MaxIDBytes, as every name of a namespace.
	Namespace string `json:"namespace"`
	// Limits by dimension. A dimension without an entry is not limited; a
	// Limit of zero denies it. placement.NameInstances limits instances.
	Limits map[placement.ResourceName]Limit `json:"limits,omitempty"`
	// Parent is a namespace whose limits bind this one as well, and whose usage
	// includes the usage of this one. It must have a spec. Empty is none.
	Parent string `json:"parent,omitempty"`
	// Default makes Limits and Parent those of every namespace that has no
	// spec of its own. Each such namespace has its own usage. One spec at most
	// is the default.
	Default bool `json:"default,omitempty"`
	// Reservations bounds what is reserved in the namespace and its descendants.
	Reservations Reservations `json:"reservations,omitzero"`
}

// Reservations bounds what may be reserved. The zero value sets no bounds but the
// limits.
type Reservations struct {
	// MaxAhead bounds how long from now a reservation may begin; 0 sets no bound.
	MaxAhead time.Duration `json:"maxAhead,omitempty"`
	// MaxLength bounds how long it may be; 0 sets no bound.
	MaxLength time.Duration `json:"maxLength,omitempty"`
	// Percent is how much of Soft may be reserved at one time in each dimension,
	// in per cent, rounded down: 1 to 100; 0 is all of it.
	Percent int `json:"percent,omitempty"`
}

func (r Reservations) validate() error {
	var errs []error
	if r.MaxAhead < 0 {
		errs = append(errs, invalid("reservations.maxAhead", r.MaxAhead.String(), "negative"))
	}
	if r.MaxLength < 0 {
		errs = append(errs, invalid("reservations.maxLength", r.MaxLength.String(), "negative"))
	}
	if r.Percent < 0 || r.Percent > 100 {
		errs = append(errs, invalid("reservations.percent", strconv.Itoa(r.Percent), "want 0 to 100"))
	}
	return errors.Join(errs...)
}

// share returns how much of a soft limit may be reserved.
func (r Reservations) share(soft int64) int64 {
	if r.Percent == 0 {
		return soft
	}
	return percentOf(soft, r.Percent)
}

// Limit bounds one dimension of a namespace. The zero value denies it.
type Limit struct {
	// Soft is the amount that may be used for any length of time.
	Soft int64 `json:"soft"`
	// BurstPercent is the ceiling in per cent of Soft, for a burst.
	// 0 and 100 allow no burst; 1 to 99, negative numbers and more than 10,000
	// are invalid.
	BurstPercent int `json:"burstPercent,omitempty"`
	// BurstFor bounds how long usage may stay above Soft: after that it cannot
	// grow until it is back at Soft. 0 sets no bound.
	BurstFor time.Duration `json:"burstFor,omitempty"`
}

// Ceiling returns the amount that is never exceeded: Soft × BurstPercent / 100
// rounded down and computed in 128 bits, at most math.MaxInt64.
func (l Limit) Ceiling() int64 {
	if l.BurstPercent == 0 {
		return l.Soft
	}
	return percentOf(l.Soft, l.BurstPercent)
}

func percentOf(amount int64, percent int) int64 {
	high, low := bits.Mul64(uint64(amount), uint64(percent))
	if high >= 100 {
		return math.MaxInt64
	}
	ceiling, _ := bits.Div64(high, low, 100)
	return int64(min(ceiling, math.MaxInt64))
}

// Clone returns a copy that shares nothing with s.
func (s Spec) Clone() Spec {
	s.Limits = maps.Clone(s.Limits)
	return s
}

// Equal reports whether both specs say the same; nil and empty limits do.
func (s Spec) Equal(other Spec) bool {
	return s.Namespace == other.Namespace && s.Parent == other.Parent &&
		s.Default == other.Default && s.Reservations == other.Reservations && maps.Equal(s.Limits, other.Limits)
}

// Validate reports every mistake that shows in the spec alone, at once.
func (s Spec) Validate() error {
	var errs []error
	errs = append(errs, validateName("namespace", s.Namespace))
	if s.Parent != "" {
		errs = append(errs, validateName("parent", s.Parent))
		if s.Parent == s.Namespace {
			errs = append(errs, invalid("parent", s.Parent, "a namespace cannot be its own parent"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Limits)) {
		if !slices.Contains(namedDimensions(), name) {
			errs = append(errs, placement.Resources{Custom: map[string]int64{string(name): 1}}.Validate())
		}
		errs = append(errs, s.Limits[name].validate(name))
	}
	errs = append(errs, s.Reservations.validate())
	return errors.Join(errs...)
}

func (l Limit) validate(name placement.ResourceName) error {
	var errs []error
	field := "limits." + string(name)
	if l.Soft < 0 {
		errs = append(errs, invalid(field+".soft", strconv.FormatInt(l.Soft, 10), "negative"))
	}
	if percent := l.BurstPercent; percent != 0 && (percent < 100 || percent > maxBurstPercent) {
		errs = append(errs, invalid(field+".burstPercent", strconv.Itoa(percent), "want 0 or 100 to 10000"))
	}
	if l.BurstFor < 0 {
		errs = append(errs, invalid(field+".burstFor", l.BurstFor.String(), "negative"))
	}
	if l.BurstFor > 0 && l.BurstPercent == 0 {
		errs = append(errs, invalid(field+".burstFor", l.BurstFor.String(), "needs a burstPercent"))
	}
	return errors.Join(errs...)
}

// bursts counts the limits that usage can be above without being too high.
func (s *Spec) bursts() int {
	if s == nil {
		return 0
	}
	count := 0
	for _, limit := range s.Limits {
		if limit.Ceiling() > limit.Soft {
			count++
		}
	}
	return count
}
