package index

import "github.com/rads-project/constellation/placement"

// Kind is one sort of the typical work that LeastFragmentation expects.
type Kind struct {
	Resources placement.Resources
	// Models of GPUs that it runs on; none means any.
	Models []string
	// Count is how often it occurs.
	Count int64
}

// SetMix sets the typical mix of work for LeastFragmentation.
func (x *Index) SetMix(kinds []Kind) {}

func (x *Index) gradient(p *probe, slot Slot) int64 { return 0 }
