package index

import (
	"maps"
	"slices"

	"github.com/rads-project/constellation/placement"
)

const maxDimensions = placement.MaxDimensions

// vector is an amount per registered dimension.
type vector [maxDimensions]int64

// dimension is one that a node, a hold or an instance brought up. The named ones
// stay; a custom one that nothing has any more gives up its place when DropUnused
// is called, and its number goes to the next one that comes.
//
// Invariant: a vacant place has no name, no lane and zeros in its columns.
type dimension struct {
	name   placement.ResourceName
	named  int8  // its place in Index.named, -1 for others
	users  int32 // nodes, holds and instances that have some; custom ones only
	nodes  int32 // nodes that have some: it counts in the score while there are any
	weight int64
	lane   int8 // see lane.go; -1 for none
}

// named returns the place of a named dimension in Index.named, -1 for others.
func named(name placement.ResourceName) int {
	switch name {
	case placement.NameCPU:
		return cpuName
	case placement.NameMemory:
		return memoryName
	case placement.NameDisk:
		return diskName
	case placement.NameNetwork:
		return 3
	case placement.NameGPU:
		return gpuName
	default:
		return -1
	}
}

const (
	cpuName    = 0
	memoryName = 1
	diskName   = 2
	gpuName    = 4
	namedNames = 5
)

// lookup returns the number of a dimension, -1 if it is not registered.
func (x *Index) lookup(name placement.ResourceName) int {
	if i := named(name); i >= 0 {
		return int(x.named[i])
	}
	for i := range x.dims {
		if x.dims[i].name == name {
			return i
		}
	}
	return -1
}

// register returns the number of a dimension and makes it known if it is new.
// It returns -1 when there are too many; see Admits. To take a place that another
// one has left takes time in proportion to the nodes.
func (x *Index) register(name placement.ResourceName) int {
	if d := x.lookup(name); d >= 0 {
		return d
	}
	d := slices.IndexFunc(x.dims, func(dim dimension) bool { return dim.name == "" })
	switch {
	case d >= 0:
	case len(x.dims) < maxDimensions:
		d = len(x.dims)
		x.dims = append(x.dims, dimension{})
		x.free = append(x.free, make([]int64, len(x.nodes), cap(x.nodes)))
	default:
		return -1
	}
	weight, ok := x.cfg.Weights[name]
	if !ok {
		weight = placement.DefaultWeight(name)
	}
	x.dims[d] = dimension{name: name, named: int8(named(name)), weight: weight}
	x.unused = x.unused || named(name) < 0
	if i := named(name); i >= 0 {
		x.named[i] = int8(d)
	}
	x.assignLanes()
	x.forgetFragmentation()
	x.orders = nil
	x.byName = append(x.byName, d)
	slices.SortFunc(x.byName, func(a, b int) int {
		return placement.CompareNames(x.dims[a].name, x.dims[b].name)
	})
	if d < len(x.dims)-1 { // others have changed their lanes for it
		x.repack()
	}
	return d
}

// Admits reports whether the custom dimensions of r are in use or can still come
// into use, and if not which one, the first by name, has no place: a cluster has
// at most placement.MaxDimensions at a time, five of which are the named ones.
// Add, Update, Occupy and SetHeld expect it of what they are given.
func (x *Index) Admits(r placement.Resources) (placement.ResourceName, bool) {
	if len(r.Custom) == 0 {
		return "", true
	}
	places := maxDimensions - namedNames
	for i := range x.dims {
		if x.dims[i].users > 0 {
			places--
		}
	}
	for _, text := range slices.Sorted(maps.Keys(r.Custom)) {
		name := placement.ResourceName(text)
		if d := x.lookup(name); r.Custom[text] == 0 || d >= 0 && x.dims[d].users > 0 {
			continue
		}
		if places == 0 {
			return name, false
		}
		places--
	}
	return "", true
}

// use counts a node, a hold or an instance as one that has these amounts, or
// with sign -1 no longer.
func (x *Index) use(r *placement.Resources, sign int32) {
	for name, amount := range r.Custom {
		if amount == 0 {
			continue
		}
		d := x.register(placement.ResourceName(name))
		if d < 0 { // a place is taken by what nothing has any more
			x.DropUnused()
			d = x.register(placement.ResourceName(name))
		}
		x.dims[d].users += sign
		x.unused = x.unused || x.dims[d].users == 0
	}
}

// DropUnused takes their places from the custom dimensions that no node, hold or
// instance has any more. It takes constant time if there are none, else time in
// proportion to the nodes.
func (x *Index) DropUnused() {
	if !x.unused {
		return
	}
	x.unused = false
	dropped := false
	for d := range x.dims {
		dim := &x.dims[d]
		if dim.name == "" || named(dim.name) >= 0 || dim.users > 0 {
			continue
		}
		x.byName = without(x.byName, d)
		*dim = dimension{named: -1, lane: -1}
		dropped = true
	}
	if dropped {
		x.assignLanes()
		x.repack()
	}
}

// ask is an amount of one dimension; dim is -1 if nobody registered it.
type ask struct {
	name   placement.ResourceName
	dim    int
	amount int64
}

// asksOf appends the amounts of r that are not zero to asks, in filter order.
func (x *Index) asksOf(r *placement.Resources, asks []ask) []ask {
	for i, amount := range [...]int64{r.CPU, r.Memory, r.Disk, r.Network, r.GPU} {
		if amount != 0 {
			asks = append(asks, ask{resourceName(i), int(x.named[i]), amount})
		}
	}
	if len(r.Custom) == 0 {
		return asks
	}
	first := len(asks)
	for text, amount := range r.Custom {
		if amount == 0 {
			continue
		}
		name := placement.ResourceName(text)
		asks = append(asks, ask{name, x.lookup(name), amount})
		for i := len(asks) - 1; i > first && asks[i].name < asks[i-1].name; i-- {
			asks[i], asks[i-1] = asks[i-1], asks[i]
		}
	}
	return asks
}

func resourceName(i int) placement.ResourceName {
	switch i {
	case 0:
		return placement.NameCPU
	case 1:
		return placement.NameMemory
	case 2:
		return placement.NameDisk
	case 3:
		return placement.NameNetwork
	default:
		return placement.NameGPU
	}
}

// registerAll makes every dimension of r known, in the order of its names, and
// returns r as a vector.
func (x *Index) registerAll(r *placement.Resources) vector {
	var v vector
	for name, amount := range r.All() {
		if amount == 0 {
			continue
		}
		if d := x.register(name); d >= 0 {
			v[d] = amount
		}
	}
	return v
}

// resources turns a vector back into Resources.
func (x *Index) resources(v *vector) placement.Resources {
	var r placement.Resources
	for d := range x.dims {
		if v[d] != 0 {
			r = r.With(x.dims[d].name, v[d])
		}
	}
	return r
}

// satSub returns a - b, or the nearest int64.
func satSub(a, b int64) int64 {
	difference := a - b
	if b >= 0 && difference > a {
		return -1 << 63
	}
	return difference
}

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
