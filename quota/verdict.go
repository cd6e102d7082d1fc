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

	// bursting is a pointer so that a verdict is four words, which the compiler
	// keeps in registers.
	bursting *[]placement.ResourceName
}

// Allowed reports whether the charge is admitted.
func (v Verdict) Allowed() bool { return len(v.Violations) == 0 }

// Bursting returns those dimensions of an admitted charge in which, with it,
// usage is above Soft in the namespace or an ancestor. It is nil after a
// refusal.
func (v Verdict) Bursting() []placement.ResourceName {
	if v.bursting == nil {
		return nil
	}
	return slices.Clone(*v.bursting)
}

// WaitingHelps reports whether a refused charge would be admitted once others
// are released: nothing in it is undeclared or can never fit.
func (v Verdict) WaitingHelps() bool {
	return !v.Allowed() && !slices.ContainsFunc(v.Violations, func(violation Violation) bool {
		return violation.Reason == Undeclared || violation.Reason == NeverFits
	})
}

// Reason is why a namespace refuses.
type Reason uint8

const (
	// Hard means that usage would rise above the ceiling.
	Hard Reason = iota + 1
	// NeverFits means that the charge alone is above the ceiling.
	NeverFits
	// BurstExpired means that usage has been above Soft for too long to grow.
	BurstExpired
	// Undeclared means that the namespace has no spec where one is required.
	Undeclared
)

// String returns the reason as in "burst expired".
func (r Reason) String() string {
	switch r {
	case Hard:
		return "hard"
	case NeverFits:
		return "never fits"
	case BurstExpired:
		return "burst expired"
	case Undeclared:
		return "undeclared"
	default:
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
}

// MarshalText returns the text of String.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the text of String.
func (r *Reason) UnmarshalText(text []byte) error {
	for known := Hard; known <= Undeclared; known++ {
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
	// Reason of the refusal. The amounts below are zero for Undeclared.
	Reason Reason `json:"reason"`
	// Requested is the amount by which usage would grow.
	Requested int64 `json:"requested"`
	// Used is the usage of Namespace, its descendants included.
	Used int64 `json:"used"`
	// Soft is the limit without bursting.
	Soft int64 `json:"soft"`
	// Ceiling is what usage may rise to: Soft if the charge is SoftOnly,
	// math.MaxInt64 without a limit.
	Ceiling int64 `json:"ceiling"`
	// Shortfall is how much less would have to be used for the charge to fit
	// under Ceiling, or under Soft after a burst has expired.
	Shortfall int64 `json:"shortfall"`
	// BurstEnd is when the burst expired, for that reason.
	BurstEnd time.Time `json:"burstEnd,omitzero"`
}

// String returns the violation in words, as in "cpu: 3 requested, but org uses 8 of 10 and
// lacks 1".
func (v Violation) String() string {
	amount := func(n int64) string { return placement.FormatQuantity(v.Resource, n) }
	namespace := cmp.Or(v.Namespace, `""`)
	switch v.Reason {
	case Undeclared:
		return namespace + " has no quota, and one is required"
	case NeverFits:
		return fmt.Sprintf("%s: %s requested, but %s allows at most %s in all",
			v.Resource, amount(v.Requested), namespace, amount(v.Ceiling))
	case BurstExpired:
		return fmt.Sprintf("%s: %s requested, but %s uses %s, has been above its soft limit of %s for too long and must first give back %s",
			v.Resource, amount(v.Requested), namespace, amount(v.Used), amount(v.Soft), amount(v.Used-v.Soft))
	default:
		return fmt.Sprintf("%s: %s requested, but %s uses %s of %s and lacks %s",
			v.Resource, amount(v.Requested), namespace, amount(v.Used), amount(v.Ceiling), amount(v.Shortfall))
	}
}
