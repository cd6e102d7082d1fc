package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Absent is an instance on the books of a node, joined, that a question leaves out
// of account.
type Absent struct {
	Class     *Class
	Resources *placement.Resources
	Taken
	// Leaving says that it is being stopped, and joined as such.
	Leaving bool
}

// countedBy reports whether the state of an instance lets a counter that covers it
// count it.
func (a *Absent) countedBy(k *counter) bool { return !a.Leaving || k.of.countsLeaving() }

// FitsWithout reports whether the query that was surveyed would fit on a node
// without some of the instances that are there. It changes nothing, and takes time
// in proportion to these instances times the rules on domains, and to the node's
// GPUs if some are used by them.
func (x *Index) FitsWithout(s *Survey, row Row, gone []Absent) bool {
	p := s.probe
	if p.nowhere || !p.eligible.has(row) || !x.hasRoomWithout(p, row, p.withOwn(row, gone)) {
		return false
	}
	if !x.givesPortsWithout(p, row, gone) {
		return false
	}
	return p.passesWithout(row, func(k *counter) int32 {
		on := int32(0)
		for i := range gone {
			on += x.countedIn(&gone[i], k)
		}
		return on
	})
}

// hasRoomWithout reports whether a node takes another instance and has the amounts
// without some of the instances that are there.
func (x *Index) hasRoomWithout(p *probe, row Row, gone []Absent) bool {
	n := x.nodes[row] // a copy that the instances are taken out of
	n.instances -= int64(len(gone))
	var freed vector
	for i := range gone {
		for name, amount := range gone[i].Resources.All() {
			if d := x.lookup(name); d >= 0 {
				freed[d] += amount
			}
		}
		n.freeGPUs(&gone[i])
	}
	if n.full() || n.gpusOver() > 0 {
		return false
	}
	for d := range x.dims {
		if x.spare(row, d)+freed[d] < 0 {
			return false
		}
	}
	holds := x.deviceHolds(row, nil)
	for _, a := range p.asks {
		left := x.spare(row, a.dim) + freed[a.dim]
		if n.hold != nil {
			left = satSub(left, n.hold.amounts[a.dim])
		}
		if a.name == placement.NameGPU {
			if most, whole := n.gpusLeft(holds); gpuMissing(a.amount, most, whole) > 0 {
				return false
			}
		} else if left < a.amount {
			return false
		}
	}
	return true
}

// freeGPUs takes what an instance uses of GPUs out of a copy of a node.
func (n *node) freeGPUs(gone *Absent) {
	if len(gone.Devices) == 0 {
		return
	}
	used := slices.Clone(n.gpus.used)
	for _, device := range gone.Devices {
		used[device] -= min(gone.Resources.GPU, placement.Device)
	}
	n.gpus = &gpus{used: used}
}

// counts reports whether a counter counts the instances of a class that runs.
func (c *classState) counts(k *counter) bool {
	if k.original != nil {
		k = k.original
	}
	return slices.Contains(c.counted, k) || slices.Contains(c.keeps, k)
}

// passesWithout reports whether a node passes the rules on domains without some of
// what is counted there, which on says of each counter.
func (p *probe) passesWithout(row Row, on func(*counter) int32) bool {
	for i := range p.tests {
		if test := &p.tests[i]; !test.passesWithout(row, on(test.counter)) {
			return false
		}
	}
	return true
}

// passesWithout reports whether a node passes without so many of those counted there.
//
// What goes may be what attracts: then the request's own instance is the first.
// It lowers no bound of a spread rule below what is left in the domain.
func (t *domainTest) passesWithout(row Row, gone int32) bool {
	k := t.counter
	domain := k.topology.of(row)
	if domain == noDomain {
		return !t.keyed
	}
	left, first := k.domains.at(domain)-gone, t.self > 0 && k.all == int64(gone)
	return left <= t.high && (left >= t.low || first)
}
