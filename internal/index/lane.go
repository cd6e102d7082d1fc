package index

import (
	"math/bits"

	"github.com/rads-project/constellation/placement"
)

// A packed word says in one comparison that a request does not fit on a node:
// six lanes of ten bits, each an amount as a small float of nine bits below a
// guard bit that is zero. GPUs take two lanes, for the most that is left on
// one and for how many are untouched; dimensions without a lane are not in the
// word.
//
// Invariant: what fits passes, since every lane is monotone in its amount, and
// a lane holds any amount: there is nothing to scale, and no node that is too
// large. What passes may still not fit, by less than an eighth of the amount or in
// a dimension without a lane: an exact check follows.
const (
	laneCount = 6
	laneBits  = 9
	laneStep  = laneBits + 1
	guards    = 1<<9 | 1<<19 | 1<<29 | 1<<39 | 1<<49 | 1<<59
)

// mantissa is the number of bits of a lane's mantissa. Lanes of the same
// exponent, from one power of two to the next, are one magnitude of a cell.
const mantissa = 3

// small returns a number of up to 63 bits as a float of nine: itself below 8,
// else its four leading bits.
func small(n uint64) uint64 {
	length := bits.Len64(n)
	if length <= mantissa {
		return n
	}
	exponent := length - mantissa - 1
	return uint64(exponent+1)<<mantissa | n>>exponent&(1<<mantissa-1)
}

// misses returns zero if every lane of packed is at least that of need.
func misses(packed, need uint64) uint64 {
	return ((packed|guards)-need)&guards ^ guards
}

// assignLanes gives lanes to dimensions in the order of their registration.
func (x *Index) assignLanes() {
	next := 0
	for d := range x.dims {
		size := 1
		if x.dims[d].name == "" {
			continue
		}
		if x.dims[d].name == placement.NameGPU {
			size = 2
		}
		x.dims[d].lane = -1
		if next+size <= laneCount {
			x.dims[d].lane = int8(next)
			next += size
		}
	}
}

// laneOf returns the lane of an amount.
func laneOf(amount int64) uint64 { return small(uint64(max(amount, 0))) }

// putLane returns word with a lane set that was zero.
func putLane(word uint64, lane int8, value uint64) uint64 {
	return word | value<<(int(lane)*laneStep)
}

// wholeLane spreads small counts over magnitudes.
func wholeLane(whole int64) uint64 { return small(uint64(whole) << mantissa) }

// pack returns the packed word of a node.
func (x *Index) pack(row Row) uint64 {
	packed, gpu := uint64(0), int(x.named[gpuName])
	for d := range x.dims {
		lane := x.dims[d].lane
		switch {
		case lane < 0:
		case d == gpu:
			packed = putLane(packed, lane, laneOf(int64(x.most[row])))
			packed = putLane(packed, lane+1, wholeLane(int64(x.whole[row])))
		default:
			packed = putLane(packed, lane, laneOf(x.free[d][row]))
		}
	}
	return packed
}

// repack computes every packed word again, after dimensions changed their lanes.
func (x *Index) repack() {
	for row := range x.nodes {
		x.packed[row] = x.pack(Row(row))
	}
	x.orders = nil
	x.forgetFragmentation()
	x.version++
}

// need returns the packed word that a node must reach.
func (x *Index) need(asks []ask) uint64 {
	need, gpu := uint64(0), int(x.named[gpuName])
	for i := range asks {
		a := &asks[i]
		if a.dim < 0 || x.dims[a.dim].lane < 0 {
			continue
		}
		lane := x.dims[a.dim].lane
		if a.dim == gpu && a.amount >= placement.Device {
			need = putLane(need, lane+1, wholeLane(a.amount/placement.Device))
		} else {
			need = putLane(need, lane, laneOf(a.amount))
		}
	}
	return need
}
