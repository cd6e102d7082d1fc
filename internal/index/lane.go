package index

import "github.com/rads-project/constellation/placement"

// A packed word says in one comparison that a request does not fit on a node:
// six lanes of ten bits, each the nine leading bits of a free share below a
// guard bit that is zero. GPUs take two lanes, for the most that is left on
// one and for how many are untouched; dimensions without a lane are not in the
// word.
//
// Invariant: what fits passes, since every lane is monotone in its amount.
// What passes may still not fit, by less than a quantum or in a dimension
// without a lane: an exact check follows.
const (
	laneCount = 6
	laneBits  = 9
	laneStep  = laneBits + 1
	laneMax   = 1<<laneBits - 1
	laneShift = 20 - laneBits // from a share to a lane
	guards    = 1<<9 | 1<<19 | 1<<29 | 1<<39 | 1<<49 | 1<<59
)

// misses returns zero if every lane of packed is at least that of need.
func misses(packed, need uint64) uint64 {
	return ((packed|guards)-need)&guards ^ guards
}

// assignLanes gives lanes to dimensions in the order of their registration.
func (x *Index) assignLanes() {
	next := 0
	for d := range x.dims {
		size := 1
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

// lane returns the lane of an amount of a dimension.
func (d *dimension) laneOf(amount int64) uint64 {
	return uint64(min(d.share(amount)>>laneShift, laneMax))
}

// put returns word with a lane set that was zero.
func putLane(word uint64, lane int8, value uint64) uint64 {
	return word | value<<(int(lane)*laneStep)
}

func mostLane(most int64) uint64   { return uint64(min(max(most, 0)>>1, laneMax)) }
func wholeLane(whole int64) uint64 { return uint64(min(whole, laneMax)) }

// pack returns the packed word of a node and its key K, the sum of weighted
// free shares: the smaller, the fuller the node.
func (x *Index) pack(slot Slot) (packed uint64, key uint32) {
	sum := int64(0)
	for d := range x.dims {
		dim := &x.dims[d]
		share := dim.share(x.free[d][slot])
		sum += dim.weight * share
		switch {
		case dim.lane < 0:
		case dim.name == placement.NameGPU:
			packed = putLane(packed, dim.lane, mostLane(int64(x.most[slot])))
			packed = putLane(packed, dim.lane+1, wholeLane(int64(x.whole[slot])))
		default:
			packed = putLane(packed, dim.lane, uint64(min(share>>laneShift, laneMax)))
		}
	}
	return packed, uint32(sum)
}

// need returns the packed word that a node must reach.
func (x *Index) need(asks []ask) uint64 {
	need := uint64(0)
	for _, a := range asks {
		if a.dim < 0 || x.dims[a.dim].lane < 0 {
			continue
		}
		dim := &x.dims[a.dim]
		switch {
		case dim.name != placement.NameGPU:
			need = putLane(need, dim.lane, dim.laneOf(a.amount))
		case a.amount < placement.Device:
			need = putLane(need, dim.lane, mostLane(a.amount))
		default:
			need = putLane(need, dim.lane+1, wholeLane(a.amount/placement.Device))
		}
	}
	return need
}
