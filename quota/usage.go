package quota

import (
	"math"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Usage is how much of one dimension a namespace uses and may use, at one
// instant.
type Usage struct {
	// Namespace that uses it.
	Namespace string `json:"namespace"`
	// Resource is the dimension.
	Resource placement.ResourceName `json:"resource"`
	// Used is the sum of the charges to the namespace and its descendants.
	Used int64 `json:"used"`
	// Soft and Ceiling are the bounds of the limit, math.MaxInt64 without one.
	// In JSON they are absent without one.
	Soft    int64 `json:"soft"`
	Ceiling int64 `json:"ceiling"`
	// Since is when Used rose above Soft; zero while it is not.
	Since time.Time `json:"since,omitzero"`
	// BurstEnd is when growth ends, or ended, because Used stays above Soft;
	// zero if it is not or may stay so.
	BurstEnd time.Time `json:"burstEnd,omitzero"`
	// Expired reports whether BurstEnd has come.
	Expired bool `json:"expired,omitempty"`
}

// Limited reports whether there is a limit.
func (u Usage) Limited() bool { return u.Soft < math.MaxInt64 }

// Bursting reports whether usage is above Soft where a burst is allowed.
func (u Usage) Bursting() bool { return u.Used > u.Soft && u.Ceiling > u.Soft }

// Over reports whether more is used than the limit admits: above the ceiling,
// or above Soft after the burst has expired. Nothing is evicted; usage cannot
// grow until it is back at the limit.
func (u Usage) Over() bool { return u.Used > u.Ceiling || u.Expired }
