package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// WorkloadClass is one sort of the typical work of a cluster, for the strategy
// LeastFragmentation: it keeps free what this work can use.
type WorkloadClass struct {
	// Resources of one instance.
	Resources placement.Resources `json:"resources,omitzero"`
	// Models of GPUs that it runs on; none means any.
	Models []string `json:"models,omitempty"`
	// Count is how often it occurs, relative to the other kinds; at least 1.
	Count int64 `json:"count"`
}

// The counts of a mix add up to at most 2³⁰, so that no gradient overflows.
const maxMixCount = 1 << 30

func validateMix(mix []WorkloadClass) error {
	var (
		errs []error
		sum  int64
	)
	for i, kind := range mix {
		field := fmt.Sprintf("mix[%d]", i)
		req := placement.Request{ID: field, Resources: kind.Resources}
		errs = append(errs, placement.Within(field, req.Validate()))
		for _, model := range kind.Models {
			device := placement.Node{ID: field, Devices: placement.Devices{Count: 1, Model: model}}
			errs = append(errs, placement.Within(field, device.Validate()))
		}
		if kind.Count < 1 || kind.Count > maxMixCount-sum {
			errs = append(errs, &placement.InvalidError{
				Field: field + ".count", Value: fmt.Sprint(kind.Count), Reason: "want at least 1, and at most 2^30 in sum",
			})
			continue
		}
		sum += kind.Count
	}
	return errors.Join(errs...)
}

func cloneMix(mix []WorkloadClass) []WorkloadClass {
	mix = slices.Clone(mix)
	for i, kind := range mix {
		mix[i].Resources, mix[i].Models = kind.Resources.Clone(), slices.Clone(kind.Models)
	}
	return mix
}

// SetWorkload changes the typical mix of work, from which the strategy
// LeastFragmentation decides what a free GPU is worth. Without any class the
// strategy packs by amounts alone. It takes time in proportion to the classes;
// the next decision of LeastFragmentation sorts every node by what is left on its
// GPUs and which of the classes could run there. Later ones cost in proportion to how
// many different ones of these there are.
func (s *calls) SetWorkload(ctx context.Context, mix []WorkloadClass) error {
	if err := validateMix(mix); err != nil {
		return err
	}
	return s.change(ctx, func(*state) (decided, error) {
		return &WorkloadChanged{Mix: cloneMix(mix)}, nil
	})
}

func (c *WorkloadChanged) check(*state) error { return validateMix(c.Mix) }

func (c *WorkloadChanged) apply(st *state, _ *outcome) {
	if u := st.latest(); u != nil {
		u.mixed = true
	}
	st.setMix(cloneMix(c.Mix))
}

func (st *state) setMix(mix []WorkloadClass) {
	st.mix = mix
	kinds := make([]index.WorkloadClass, len(mix))
	for i, kind := range mix {
		kinds[i] = index.WorkloadClass(kind)
	}
	st.index.SetWorkload(kinds)
}
