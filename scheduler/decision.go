package scheduler

import "github.com/rads-project/constellation/placement"

// Decision is where an instance runs, or would run.
type Decision struct {
	// ID of the request.
	ID string `json:"id"`
	// NodeID of the chosen node.
	NodeID string `json:"nodeID"`
	// Devices are the indices of the GPUs taken, in ascending order.
	Devices []int `json:"devices,omitempty"`
	// Score from 0 to 1000 between the bounds of the request's score, for
	// people; it does not order nodes of different requests.
	Score int `json:"score"`
	// Reason says in words why this node.
	Reason string `json:"reason"`
	// Generation counts placements under this ID: 1, and 1 more each time a
	// lost instance is placed anew.
	Generation uint64 `json:"generation"`
	// Version is the sequence number of the last change of the allocation;
	// for Schedule, of the state it looked at.
	Version uint64 `json:"version"`
	// Token under which it was committed, for workers to check.
	Token uint64 `json:"token,omitempty"`
}

func reasonFor(s placement.Strategy) string {
	switch s {
	case placement.BinPack:
		return "binpack: the fullest of the nodes that fit"
	case placement.Spread:
		return "spread: fewest instances of the group, then the emptiest of the nodes that fit"
	case placement.Random:
		return "random: drawn from the best of the nodes that fit"
	case placement.Affinity:
		return "affinity: best soft rules of the nodes that fit, then the fullest"
	case placement.LeastFragmentation:
		return "leastfragmentation: free GPUs stay most useful"
	default:
		return ""
	}
}
