package main

import (
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// oracle packs bins the slow way: it looks at every node for every task and
// computes its score from the formula alone. It shares no code with the
// scheduler but the label rules.
type oracle struct {
	nodes    []oracleNode // in the order of joining
	cpu, mem uint         // log2 of the references
	gpu      uint
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
		o.cpu = max(o.cpu, logCeil(n.Capacity.CPU))
		o.mem = max(o.mem, logCeil(n.Capacity.Memory))
		o.gpu = max(o.gpu, logCeil(n.Capacity.GPU))
	}
	return &o
}

// logCeil returns the exponent of the smallest power of two that is at least
// the amount.
func logCeil(amount int64) uint {
	if amount <= 1 {
		return 0
	}
	return uint(bits.Len64(uint64(amount - 1)))
}

// place commits the task to the best node and returns it with the devices
// taken; "" if none fits.
func (o *oracle) place(req placement.Request) (string, []int) {
	best, bestScore := -1, int64(0)
	for i, n := range o.nodes {
		if _, ok := n.fit(req); !ok {
			continue
		}
		if score := o.score(n); best < 0 || score > bestScore {
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

// score is R = W·2²⁰ − K with weights 1, 1 and 8.
func (o *oracle) score(n oracleNode) int64 {
	var gpu int64
	for _, left := range n.devices {
		gpu += left
	}
	free := part(n.cpu, o.cpu) + part(n.mem, o.mem) + 8*part(gpu, o.gpu)
	return (1+1+8)<<20 - free
}

// part returns ⌊free·2²⁰/2^log⌋.
func part(free int64, log uint) int64 {
	if log >= 20 {
		return free >> (log - 20)
	}
	return free << (20 - log)
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
