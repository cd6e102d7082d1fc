package scheduler

import (
	"context"

	"github.com/rads-project/constellation/internal/index"
)

// Stats are counters and sizes of a scheduler.
type Stats struct {
	// Version is the sequence number of the last change.
	Version uint64
	// Nodes and Allocations on the books; Stale are replaced generations
	// among them that still hold capacity.
	Nodes, Allocations, Stale int
	// Search tells how decisions were found.
	Search index.Stats
}

// Stats returns the counters. Those of a scheduler that its journal has failed
// are zero, since they would count what may be lost.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	stats := Stats{
		Version: s.state.seq, Nodes: len(s.state.nodes), Allocations: len(s.state.allocations),
		Search: s.state.index.Stats(),
	}
	for _, replaced := range s.state.stale {
		stats.Stale += len(replaced)
	}
	stats.Allocations += stats.Stale
	if err := s.settle(context.Background(), nil); err != nil {
		return Stats{}
	}
	return stats
}
