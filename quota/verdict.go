package quota

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Mode says how far a charge may go.
type Mode uint8

const (
	// MayBurst admits a charge up to the ceiling of every limit.
	MayBurst Mode = iota
	// SoftOnly admits a charge up to Soft, never by bursting. It is for
	// capacity that is reserved for a later time.
	SoftOnly
	// forced admits all that can be counted.
	forced
)

// Verdict says whether a charge is admitted.
type Verdict struct {
	// Violations are the limits that refuse the charge; none if it is admitted.
	// They are ordered by dimension (instances, CPU, memory, disk, network, GPU,
	// custom ones by name), and in a dimension from the namespace upwards.
	Violations []Violation

	// detail is a pointer so that a verdict is four words, which the compiler
	// keeps in registers.
	detail *detail
}

// detail is what few verdicts have to say.
type detail struct {
	bursting []placement.ResourceName
	earliest time.Time
}

// refused returns the verdict on a charge that is refused.
func refused(violations []Violation, earliest time.Time) Verdict {
	v := Verdict{Violations: violations}
	if !earliest.IsZero() {
		v.detail = &detail{earliest: earliest}
	}
	return v
}

// Allowed reports whether the charge is admitted.
func (v Verdict) Allowed() bool { return len(v.Violations) == 0 }

// Bursting returns those dimensions of an admitted charge in which, with it,
// usage is above Soft in the namespace or an ancestor. It is nil after a
// refusal.
func (v Verdict) Bursting() []placement.ResourceName {
	if v.detail == nil {
		return nil
	}
	return slices.Clone(v.detail.bursting)
}

// Earliest returns the first later start at which a refused charge would be
// admitted for as long as it was to be, as things stand: what is charged ends
// when it is known to, and nothing else is released. It is zero if there is none
// known, after an admission, and for a change of what is charged already. At most
// 1,000 times at which it does not fit are passed over.
func (v Verdict) Earliest() time.Time {
	if v.detail == nil {
		return time.Time{}
	}
	return v.detail.earliest
}

// WaitingHelps reports whether a refused charge would be admitted once others
// are released: nothing in it is undeclared or can never fit.
func (v Verdict) WaitingHelps() bool {
	return !v.Allowed() && !slices.ContainsFunc(v.Violations, func(violation Violation) bool {
		switch violation.Reason {
		case Undeclared, NeverFits, TooLong:
			return true
		case ReservedShare:
			return violation.Requested > violation.Ceiling
		default:
			return false
		}
	})
}

// ViolationReason is why a namespace refuses.
type ViolationReason uint8

const (
	// Hard means that usage would rise above the ceiling.
	Hard ViolationReason = iota + 1
	// NeverFits means that the charge alone is above the ceiling.
	NeverFits
	// BurstExpired means that usage has been above Soft for too long to grow.
	BurstExpired
	// Undeclared means that the namespace has no spec where one is required.
	Undeclared
	// ReservedShare means that more would be reserved at one time than the part
	// of the limit that may be.
	ReservedShare
	// TooFarAhead means that a reservation would begin too late.
	TooFarAhead
	// TooLong means that a reservation would be too long.
	TooLong
)

// String returns the reason as in "burst expired".
func (r ViolationReason) String() string {
	switch r {
	case Hard:
		return "hard"
	case NeverFits:
		return "never fits"
	case BurstExpired:
		return "burst expired"
	case Undeclared:
		return "undeclared"
	case ReservedShare:
		return "reserved share"
	case TooFarAhead:
		return "too far ahead"
	case TooLong:
		return "too long"
	default:
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
}

// MarshalText returns the text of String.
func (r ViolationReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the text of String.
func (r *ViolationReason) UnmarshalText(text []byte) error {
	for known := Hard; known <= TooLong; known++ {
		if known.String() == string(text) {
			*r = known
			return nil
		}
	}
	return invalid("reason", string(text), "unknown")
}

// Violation says why one namespace refuses one dimension of a charge.
type Violation struct {
	// Namespace that refuses: the one charged or one of its ancestors.
	Namespace string `json:"namespace"`
	// Resource is the dimension; empty when the reason is Undeclared.
	Resource placement.ResourceName `json:"resource,omitempty"`
	// Reason of the refusal. The amounts below are zero for Undeclared,
	// TooFarAhead and TooLong.
	Reason ViolationReason `json:"reason"`
	// At is the first instant at which it does not fit; zero is now.
	At time.Time `json:"at,omitzero"`
	// Requested is the amount by which usage would grow.
	Requested int64 `json:"requested"`
	// Used is the usage of Namespace at that instant, its descendants included;
	// for ReservedShare the part of it that is reserved.
	Used int64 `json:"used"`
	// Soft is the limit without bursting.
	Soft int64 `json:"soft"`
	// Ceiling is what usage may rise to: Soft if the charge is SoftOnly,
	// math.MaxInt64 without a limit; for ReservedShare the part of Soft.
	Ceiling int64 `json:"ceiling"`
	// Shortfall is how much less would have to be used for the charge to fit
	// under Ceiling, or under Soft after a burst has expired.
	Shortfall int64 `json:"shortfall"`
	// BurstEnd is when the burst expired, for that reason.
	BurstEnd time.Time `json:"burstEnd,omitzero"`
	// Bound is the bound that was passed, for TooFarAhead and TooLong.
	Bound time.Duration `json:"bound,omitzero"`
}

// String returns the violation in words, as in "cpu: 3 requested, but org uses 8 of 10 and
// lacks 1".
func (v Violation) String() string {
	amount := func(n int64) string { return placement.FormatQuantity(v.Resource, n) }
	namespace := cmp.Or(v.Namespace, `""`)
	uses := "uses"
	if !v.At.IsZero() {
		uses = "at " + v.At.Format(time.RFC3339Nano) + " uses"
	}
	switch v.Reason {
	case Undeclared:
		return namespace + " has no quota, and one is required"
	case NeverFits:
		return fmt.Sprintf("%s: %s requested, but %s allows at most %s in all",
			v.Resource, amount(v.Requested), namespace, amount(v.Ceiling))
	case BurstExpired:
		return fmt.Sprintf("%s: %s requested, but %s uses %s, has been above its soft limit of %s for too long and must first give back %s",
			v.Resource, amount(v.Requested), namespace, amount(v.Used), amount(v.Soft), amount(v.Used-v.Soft))
	case TooFarAhead:
		return fmt.Sprintf("%s reserves at most %s ahead", namespace, v.Bound)
	case TooLong:
		return fmt.Sprintf("%s reserves for at most %s", namespace, v.Bound)
	case ReservedShare:
		return fmt.Sprintf("%s: %s requested, but of %s that may be reserved %s %s %s",
			v.Resource, amount(v.Requested), amount(v.Ceiling), namespace, uses, amount(v.Used))
	default:
		return fmt.Sprintf("%s: %s requested, but %s %s %s of %s and lacks %s",
			v.Resource, amount(v.Requested), namespace, uses, amount(v.Used), amount(v.Ceiling), amount(v.Shortfall))
	}
}
