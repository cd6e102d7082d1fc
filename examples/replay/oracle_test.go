package main

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// oracle packs bins the slow way: it looks at every node for every task and
// computes its score from the formula alone. It shares no code with the
// scheduler but the label rules. Of spread rules it knows those that allow so many
// instances of the group on a node.
type oracle struct {
	nodes []oracleNode // in the order of joining
}

type oracleNode struct {
	node        placement.Node
	total, free [4]int64       // of CPU, memory, disk and RDMA
	devices     []int64        // what is left on each
	groups      map[string]int // instances by group
}

func divisible(r placement.Resources) [4]int64 {
	return [4]int64{r.CPU, r.Memory, r.Disk, r.Custom[nameRDMA]}
}

func newOracle(nodes []placement.Node) *oracle {
	var o oracle
	for _, n := range nodes {
		empty := oracleNode{node: n, total: divisible(n.Capacity), free: divisible(n.Capacity), groups: make(map[string]int)}
		for range n.Devices.Count {
			empty.devices = append(empty.devices, placement.Device)
		}
		o.nodes = append(o.nodes, empty)
	}
	return &o
}

// place commits the task to the best node and returns it with the devices
// taken; "" if none fits.
func (o *oracle) place(req placement.Request) (string, []int) {
	best, bestScore := -1, int64(0)
	for i := range o.nodes {
		n := &o.nodes[i]
		if _, ok := n.fit(req); !ok {
			continue
		}
		if score := n.score(); best < 0 || score > bestScore {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		return "", nil
	}
	n := &o.nodes[best]
	devices, _ := n.fit(req)
	for d, amount := range divisible(req.Resources) {
		n.free[d] -= amount
	}
	n.groups[req.Group]++
	for _, d := range devices {
		n.devices[d] -= min(req.Resources.GPU, placement.Device)
	}
	return n.node.ID, devices
}

// score is −K: the free share of each dimension, and every free GPU twice.
func (n *oracleNode) score() int64 {
	var gpu int64
	for _, left := range n.devices {
		gpu += left
	}
	k := 2 * (gpu << 20 / placement.Device)
	for d, total := range n.total {
		if total > 0 {
			high, low := bits.Mul64(uint64(n.free[d]), 1<<20)
			share, _ := bits.Div64(high, low, uint64(total))
			k += int64(share)
		}
	}
	return -k
}

// fit returns the devices that the task would take, if it fits.
func (n *oracleNode) fit(req placement.Request) ([]int, bool) {
	for _, c := range req.Preferences.Required {
		if !n.node.Meets(c) {
			return nil, false
		}
	}
	for d, amount := range divisible(req.Resources) {
		if amount > n.free[d] {
			return nil, false
		}
	}
	for _, rule := range req.Preferences.Spread {
		if n.groups[req.Group] >= rule.MaxPerDomain {
			return nil, false
		}
	}
	switch gpu := req.Resources.GPU; {
	case gpu == 0:
		return nil, true
	case gpu < placement.Device:
		tightest := -1
		for i, left := range n.devices {
			if left >= gpu && (tightest < 0 || left < n.devices[tightest]) {
				tightest = i
			}
		}
		return []int{tightest}, tightest >= 0
	default:
		var untouched []int
		for i, left := range n.devices {
			if left == placement.Device && len(untouched) < int(gpu/placement.Device) {
				untouched = append(untouched, i)
			}
		}
		return slices.Clip(untouched), len(untouched) == int(gpu/placement.Device)
	}
}
