package quota

import (
	"encoding/json"
	"math"
	"time"

	"github.com/rads-project/constellation/placement"
)

// boundJSON is a bound as JSON: absent where there is none, since what stands for
// that is more than other languages read exactly.
func boundJSON(bound int64) *int64 {
	if bound == math.MaxInt64 {
		return nil
	}
	return &bound
}

func boundFrom(wire *int64) int64 {
	if wire == nil {
		return math.MaxInt64
	}
	return *wire
}

// usageJSON is a Usage as JSON.
type usageJSON struct {
	Namespace string                 `json:"namespace"`
	Resource  placement.ResourceName `json:"resource"`
	Used      int64                  `json:"used"`
	Soft      *int64                 `json:"soft,omitempty"`
	Ceiling   *int64                 `json:"ceiling,omitempty"`
	Since     time.Time              `json:"since,omitzero"`
	BurstEnd  time.Time              `json:"burstEnd,omitzero"`
	Expired   bool                   `json:"expired,omitempty"`
}

// MarshalJSON leaves Soft and Ceiling out where there is no limit.
func (u Usage) MarshalJSON() ([]byte, error) {
	return json.Marshal(usageJSON{
		u.Namespace, u.Resource, u.Used, boundJSON(u.Soft), boundJSON(u.Ceiling), u.Since, u.BurstEnd, u.Expired,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (u *Usage) UnmarshalJSON(data []byte) error {
	var w usageJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*u = Usage{w.Namespace, w.Resource, w.Used, boundFrom(w.Soft), boundFrom(w.Ceiling), w.Since, w.BurstEnd, w.Expired}
	return nil
}

// violationJSON is a Violation as JSON.
type violationJSON struct {
	Namespace string                 `json:"namespace"`
	Resource  placement.ResourceName `json:"resource,omitempty"`
	Reason    ViolationReason        `json:"reason"`
	At        time.Time              `json:"at,omitzero"`
	Requested int64                  `json:"requested"`
	Used      int64                  `json:"used"`
	Soft      *int64                 `json:"soft,omitempty"`
	Ceiling   *int64                 `json:"ceiling,omitempty"`
	Shortfall int64                  `json:"shortfall"`
	BurstEnd  time.Time              `json:"burstEnd,omitzero"`
	Bound     time.Duration          `json:"bound,omitzero"`
}

// MarshalJSON leaves Soft and Ceiling out where there is no limit.
func (v Violation) MarshalJSON() ([]byte, error) {
	return json.Marshal(violationJSON{
		v.Namespace, v.Resource, v.Reason, v.At, v.Requested, v.Used,
		boundJSON(v.Soft), boundJSON(v.Ceiling), v.Shortfall, v.BurstEnd, v.Bound,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Violation) UnmarshalJSON(data []byte) error {
	var w violationJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*v = Violation{
		w.Namespace, w.Resource, w.Reason, w.At, w.Requested, w.Used,
		boundFrom(w.Soft), boundFrom(w.Ceiling), w.Shortfall, w.BurstEnd, w.Bound,
	}
	return nil
}

// verdictJSON is a Verdict as JSON.
type verdictJSON struct {
	Allowed    bool                     `json:"allowed"`
	Violations []Violation              `json:"violations,omitempty"`
	Bursting   []placement.ResourceName `json:"bursting,omitempty"`
	Earliest   time.Time                `json:"earliest,omitzero"`
}

// MarshalJSON writes what Allowed, Bursting and Earliest return beside the
// violations.
func (v Verdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(verdictJSON{v.Allowed(), v.Violations, v.Bursting(), v.Earliest()})
}

// UnmarshalJSON reads what MarshalJSON writes; whether the charge is admitted follows
// from the violations.
func (v *Verdict) UnmarshalJSON(data []byte) error {
	var wire verdictJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*v = Verdict{Violations: wire.Violations}
	if len(wire.Bursting) > 0 || !wire.Earliest.IsZero() {
		v.detail = &detail{wire.Bursting, wire.Earliest}
	}
	return nil
}
