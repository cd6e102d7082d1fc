package main

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// oracle packs bins the slow way: it looks at every node for every task and
// computes its score from the formula alone. It shares no code with the
// scheduler but the label rules.
type oracle struct {
	nodes []oracleNode // in the order of joining
}

type oracleNode struct {
	node     placement.Node
	cpu, mem int64
	devices  []int64 // what is left on each
}

func newOracle(nodes []placement.Node) *oracle {
	var o oracle
	for _, n := range nodes {
		free := oracleNode{node: n, cpu: n.Capacity.CPU, mem: n.Capacity.Memory}
		for range n.Devices.Count {
			free.devices = append(free.devices, placement.Device)
		}
		o.nodes = append(o.nodes, free)
	}
	return &o
}

// place commits the task to the best node and returns it with the devices
// taken; "" if none fits.
func (o *oracle) place(req placement.Request) (string, []int) {
	best, bestScore := -1, int64(0)
	for i, n := range o.nodes {
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
	n.cpu -= req.Resources.CPU
	n.mem -= req.Resources.Memory
	for _, d := range devices {
		n.devices[d] -= min(req.Resources.GPU, placement.Device)
	}
	return n.node.ID, devices
}

// score is −K: the free shares of CPU and memory, and every free GPU twice.
func (n *oracleNode) score() int64 {
	var gpu int64
	for _, left := range n.devices {
		gpu += left
	}
	return -(n.cpu<<20/n.node.Capacity.CPU + n.mem<<20/n.node.Capacity.Memory + 2*(gpu<<20/placement.Device))
}

// fit returns the devices that the task would take, if it fits.
func (n *oracleNode) fit(req placement.Request) ([]int, bool) {
	for _, c := range req.Preferences.Required {
		if !n.node.Meets(c) {
			return nil, false
		}
	}
	if req.Resources.CPU > n.cpu || req.Resources.Memory > n.mem {
		return nil, false
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
