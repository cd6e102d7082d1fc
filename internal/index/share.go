package index

import "github.com/rads-project/constellation/placement"

// The strategy term of the score is made of shares: of each dimension how much of
// its own size a node has free, as placement.FreeShare says, and of GPUs how many
// devices, as placement.FreeDevices does.
//
// Invariant: key[row] is K, the weighted sum of a node's shares. dims[d].nodes
// counts the nodes that have some of a dimension, byGPUs those with so many GPUs,
// and bound is what placement.Scale says of those dimensions. Nothing of it
// outlasts the nodes that it is of.

// setFree sets what a node has free of a dimension, and brings its key up to date.
func (x *Index) setFree(row Row, d int, free int64) {
	before := x.free[d][row]
	if before == free {
		return
	}
	x.free[d][row] = free
	total := x.total(row, d)
	x.key[row] += x.weighted(d, free, total) - x.weighted(d, before, total)
}

// total returns what a node has to give of a dimension: AllocatableOf, without its
// look at names for the named ones that are not overcommitted.
func (x *Index) total(row Row, d int) int64 {
	spec := x.nodes[row].spec
	if spec == nil {
		return 0
	}
	if spec.Overcommit == nil {
		switch x.dims[d].named {
		case cpuName:
			return spec.Capacity.CPU - spec.Reserved.CPU
		case memoryName:
			return spec.Capacity.Memory - spec.Reserved.Memory
		case diskName:
			return spec.Capacity.Disk - spec.Reserved.Disk
		}
	}
	return spec.AllocatableOf(x.dims[d].name)
}

// weighted returns what so much free of a dimension adds to a key.
func (x *Index) weighted(d int, free, total int64) int64 {
	if d == int(x.named[gpuName]) {
		return x.dims[d].weight * placement.FreeDevices(free)
	}
	return x.dims[d].weight * placement.FreeShare(free, total)
}

// keyOf returns the part of a node's key that is of some dimensions.
func (x *Index) keyOf(of dimensionSet, row Row) int64 {
	sum := int64(0)
	for d := range x.dims {
		if of>>d&1 == 1 {
			sum += x.weighted(d, x.free[d][row], x.total(row, d))
		}
	}
	return sum
}

// resize takes note of a node that has other amounts to give than before.
func (x *Index) resize(before, after *vector) {
	changed := false
	for d := range x.dims {
		was, is := min(before[d], 1), min(after[d], 1)
		had := x.dims[d].nodes > 0
		x.dims[d].nodes += int32(is - was)
		changed = changed || had != (x.dims[d].nodes > 0)
	}
	if d := x.named[gpuName]; d >= 0 && before[d] != after[d] {
		changed = x.countGPUs(before[d], after[d]) || changed
	}
	if changed {
		x.rescale()
	}
}

// countGPUs counts a node that has so many thousandths of GPUs instead of others.
// It reports whether the most that a node has has changed.
func (x *Index) countGPUs(was, is int64) bool {
	was, is = devices(was), devices(is)
	for int64(len(x.byGPUs)) <= is {
		x.byGPUs = append(x.byGPUs, 0)
	}
	if was > 0 {
		x.byGPUs[was]--
	}
	if is > 0 {
		x.byGPUs[is]++
	}
	most := max(x.gpus, is)
	for most > 0 && x.byGPUs[most] == 0 {
		most--
	}
	changed := most != x.gpus
	x.gpus = most
	return changed
}

func devices(gpu int64) int64 { return (gpu + placement.Device - 1) / placement.Device }

// rescale computes W·2²⁰, and takes their grids from the orders with soft terms,
// whose keys weigh them by it.
func (x *Index) rescale() {
	x.bound = x.boundOf(x.allDimensions())
	for _, o := range x.orders {
		if len(o.terms) > 0 {
			o.grid = nil
		}
	}
	x.version++
}

// boundOf returns the greatest weighted sum of the shares of some dimensions.
func (x *Index) boundOf(of dimensionSet) int64 {
	sum := int64(0)
	for d := range x.dims {
		dim := &x.dims[d]
		switch {
		case of>>d&1 == 0 || dim.nodes == 0:
		case d == int(x.named[gpuName]):
			sum += dim.weight * x.gpus
		default:
			sum += dim.weight
		}
	}
	return sum * placement.Unit
}

// behind returns by how much R of a node is less than it might be, up to a number
// that all nodes have in common: K of the dimensions that count as in BinPack less
// K of those that count as in Spread.
func (x *Index) behind(packs dimensionSet, row Row) int64 {
	if packs == x.allDimensions() {
		return x.key[row]
	}
	return 2*x.keyOf(packs, row) - x.key[row]
}

// Scale returns the yardstick of the score.
func (x *Index) Scale() placement.Scale {
	s := placement.Scale{Devices: int(x.gpus), Weights: x.cfg.Weights}
	for _, d := range x.byName {
		if x.dims[d].nodes > 0 && d != int(x.named[gpuName]) {
			s.Dimensions = append(s.Dimensions, x.dims[d].name)
		}
	}
	return s
}
