package index

import (
	"math/bits"

	"github.com/rads-project/constellation/placement"
)

// SupplySum is one dimension of many nodes. Sums stop at the greatest int64.
type SupplySum struct {
	// Capacity is what the nodes give to instances, Used and Held what is used and
	// held of it.
	Capacity, Used, Held int64
	// Free is what is left on nodes that are ready, and Largest the most of it that one
	// request may have: on one node, and of GPUs whole ones or a part of one.
	Free, Largest int64
	// Stranded is what of Free nobody can use, since the node has less left of CPU,
	// memory or places for instances, in proportion to what it gives.
	Stranded int64
}

// AddSupply adds the nodes in the rows from one to before another to supplies. It takes
// time in proportion to these rows times the dimensions.
func (x *Index) AddSupply(supplies map[placement.ResourceName]*SupplySum, from, to Row) {
	for d := range x.dims {
		name := x.dims[d].name
		if name == "" {
			continue
		}
		var s SupplySum
		for row := from; row < to; row++ {
			if x.present.has(row) {
				x.addSupply(&s, d, row)
			}
		}
		if s == (SupplySum{}) {
			continue
		}
		if supplies[name] == nil {
			supplies[name] = new(SupplySum)
		}
		supplies[name].add(&s)
	}
}

func (s *SupplySum) add(more *SupplySum) {
	s.Capacity, s.Used, s.Held = satAdd(s.Capacity, more.Capacity), satAdd(s.Used, more.Used), satAdd(s.Held, more.Held)
	s.Free, s.Stranded = satAdd(s.Free, more.Free), satAdd(s.Stranded, more.Stranded)
	s.Largest = max(s.Largest, more.Largest)
}

// addSupply adds one dimension of a node.
func (x *Index) addSupply(s *SupplySum, d int, row Row) {
	n := &x.nodes[row]
	one := SupplySum{Capacity: n.spec.AllocatableOf(x.dims[d].name)}
	if d == int(x.named[gpuName]) {
		one.Used = n.gpusUsed()
	} else {
		one.Used = one.Capacity - x.spare(row, d)
	}
	if n.hold != nil {
		one.Held = n.hold.amounts[d]
	}
	if x.ready.has(row) {
		one.Free = max(0, x.free[d][row])
		one.Stranded = one.Free - min(one.Free, x.usable(row).of(one.Capacity))
		if !x.full.has(row) {
			one.Largest = x.largestFit(d, row)
		}
	}
	s.add(&one)
}

// largestFit returns the most of a dimension that one request may have on a node.
func (x *Index) largestFit(d int, row Row) int64 {
	switch {
	case d != int(x.named[gpuName]):
		return max(0, x.free[d][row])
	case x.whole[row] > 0:
		return int64(x.whole[row]) * placement.Device
	default:
		return max(0, int64(x.most[row]))
	}
}

// leftover is which part of a whole is left, at most all.
type leftover struct{ left, whole int64 }

// of returns that part of an amount that is not negative, rounded down.
func (l leftover) of(amount int64) int64 {
	high, low := bits.Mul64(uint64(amount), uint64(l.left))
	quotient, _ := bits.Div64(high, low, uint64(l.whole))
	return int64(quotient)
}

// usable returns which part of a node is left for instances of its own proportions:
// the least that is left of what each of them needs.
func (x *Index) usable(row Row) leftover {
	if x.full.has(row) {
		return leftover{0, 1}
	}
	least := leftover{1, 1}
	for _, name := range [...]int8{cpuName, memoryName} {
		d := x.named[name]
		if d < 0 {
			continue
		}
		if whole := x.nodes[row].spec.AllocatableOf(x.dims[d].name); whole > 0 {
			left := leftover{min(max(0, x.free[d][row]), whole), whole}
			if left.less(least) {
				least = left
			}
		}
	}
	return least
}

func (l leftover) less(other leftover) bool {
	high, low := bits.Mul64(uint64(l.left), uint64(other.whole))
	otherHigh, otherLow := bits.Mul64(uint64(other.left), uint64(l.whole))
	return high < otherHigh || high == otherHigh && low < otherLow
}
