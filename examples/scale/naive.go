package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// naive decides as a scheduler without an index does: it looks at every node
// and computes the score of those on which the task fits.
type naive struct {
	scale placement.Scale
	nodes []scheduler.NodeInfo // in the order of joining
}

// newNaive copies the books of a scheduler.
func newNaive(ctx context.Context, s *scheduler.Scheduler) (*naive, error) {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b scheduler.NodeInfo) int { return cmp.Compare(a.Join, b.Join) })
	return &naive{s.Scale(), nodes}, nil
}

// best returns the fullest node on which the task fits, of equals the one
// that joined first, and "" if there is none.
func (n *naive) best(task placement.Request) string {
	best, most := "", int64(-1)
	for i := range n.nodes {
		node := &n.nodes[i]
		if node.State != scheduler.NodeReady || !task.Resources.FitsIn(node.Available) {
			continue
		}
		if fullness, _ := n.scale.BinPack(node.Available, node.Total); fullness > most {
			best, most = node.ID, fullness
		}
	}
	return best
}
