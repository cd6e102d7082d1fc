package index

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/rads-project/constellation/placement"
)

const maxDimensions = placement.MaxDimensions

// vector is an amount per registered dimension.
type vector [maxDimensions]int64

// dimension is one that a node, a reference, a hold or an instance brought up.
// The named ones stay; a custom one that nothing has any more gives up its place
// when DropUnused is called, and its number goes to the next one that comes.
//
// Invariant: reference is a power of two that is at least what any node had to
// give since the dimension came, or 0 if no node had any. A vacant place has no
// name, no reference, no lane and zeros in its column.
type dimension struct {
	name        placement.ResourceName
	users       int32 // nodes, holds and instances that have some; custom ones only
	pinned      bool  // the configuration has a reference of it
	reference   int64
	weight      int64
	left, right uint8 // shifts that bring an amount below reference to 20 bits

	lane int8 // see lane.go; -1 for none
}

// share returns placement.FreeShare without a division or a branch on the
// reference's size.
func (d *dimension) share(free int64) int64 {
	if free <= 0 {
		return 0
	}
	if free >= d.reference {
		return d.unit()
	}
	return free >> d.right << d.left
}

// unit returns placement.Unit, or zero for a dimension that does not count.
func (d *dimension) unit() int64 { return placement.Unit * min(d.reference, 1) }

func (d *dimension) setReference(reference int64) {
	d.reference = reference
	log := bits.TrailingZeros64(uint64(reference))
	unit := bits.TrailingZeros64(placement.Unit)
	d.left, d.right = uint8(max(unit-log, 0)), uint8(max(log-unit, 0))
}

// named returns the place of a named dimension in Index.named, -1 for others.
func named(name placement.ResourceName) int {
	switch name {
	case placement.NameCPU:
		return 0
	case placement.NameMemory:
		return 1
	case placement.NameDisk:
		return 2
	case placement.NameNetwork:
		return 3
	case placement.NameGPU:
		return gpuName
	default:
		return -1
	}
}

const (
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
	x.dims[d] = dimension{name: name, weight: weight}
	x.unused = x.unused || named(name) < 0
	if i := named(name); i >= 0 {
		x.named[i] = int8(d)
	}
	x.assignLanes()
	x.orders = nil
	x.byName = append(x.byName, d)
	slices.SortFunc(x.byName, func(a, b int) int {
		return placement.CompareNames(x.dims[a].name, x.dims[b].name)
	})
	if d < len(x.dims)-1 { // others have changed their lanes for it
		x.rekey()
	}
	return d
}

// Admits reports whether the custom dimensions of r are in use or can still come
// into use, and if not which one, the first by name, has no place: a cluster has
// at most placement.MaxDimensions at a time, five of which are the named ones.
// Add, Update, Occupy and SetHeld expect it of what they are given.
func (x *Index) Admits(r placement.Resources) (placement.ResourceName, bool) {
	places := maxDimensions - namedNames
	for i := range x.dims {
		if x.dims[i].inUse() {
			places--
		}
	}
	for _, text := range slices.Sorted(maps.Keys(r.Custom)) {
		name := placement.ResourceName(text)
		if d := x.lookup(name); r.Custom[text] == 0 || d >= 0 && x.dims[d].inUse() {
			continue
		}
		if places == 0 {
			return name, false
		}
		places--
	}
	return "", true
}

// inUse reports whether a custom dimension keeps its place.
func (d *dimension) inUse() bool { return d.users > 0 || d.pinned }

// use counts a node, a hold or an instance as one that has these amounts, or
// with sign -1 no longer.
func (x *Index) use(r *placement.Resources, sign int32) {
	for name, amount := range r.Custom {
		if amount == 0 {
			continue
		}
		d := x.register(placement.ResourceName(name))
		if d < 0 { // a place is taken by what only a reference has
			x.DropUnused()
			d = x.register(placement.ResourceName(name))
		}
		x.dims[d].users += sign
		x.unused = x.unused || x.dims[d].users == 0
	}
}

// DropUnused takes their places from the custom dimensions that no node, hold or
// instance has any more and that no reference of the configuration names. Their
// references go too: they count in no score from then on. It takes constant time
// if there are none, else time in proportion to the nodes.
func (x *Index) DropUnused() {
	if !x.unused {
		return
	}
	x.unused = false
	dropped := false
	for d := range x.dims {
		dim := &x.dims[d]
		if dim.name == "" || named(dim.name) >= 0 || dim.inUse() {
			continue
		}
		x.byName = without(x.byName, d)
		x.fragmentation.forgetDimension(d)
		*dim = dimension{lane: -1}
		dropped = true
	}
	if dropped {
		x.assignLanes()
		x.rescale()
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

// Reference returns the reference amounts, powers of two; see placement.Scale.
func (x *Index) Reference() placement.Resources {
	var v vector
	for d := range x.dims {
		v[d] = x.dims[d].reference
	}
	return x.resources(&v)
}

// SetReference raises the references to at least these amounts, rounded up to
// powers of two. A change re-keys every node. A custom dimension that has nothing
// but a reference lasts until DropUnused.
func (x *Index) SetReference(r placement.Resources) {
	x.raise(x.registerAll(&r))
}

// raise makes every reference at least the amount given.
func (x *Index) raise(amounts vector) {
	changed := false
	for d := range x.dims {
		if amounts[d] > x.dims[d].reference {
			x.dims[d].setReference(placement.Reference(amounts[d]))
			changed = true
		}
	}
	if changed {
		x.rescale()
	}
}

// rescale computes what depends on which dimensions have a reference.
func (x *Index) rescale() {
	x.bound = 0
	for d := range x.dims {
		if x.dims[d].reference > 0 {
			x.bound += x.dims[d].weight * placement.Unit
		}
	}
	x.rekey()
}

// Scale returns the yardstick of the score.
func (x *Index) Scale() placement.Scale {
	return placement.Scale{Reference: x.Reference(), Weights: x.cfg.Weights}
}

// satSub returns a - b, or the nearest int64.
func satSub(a, b int64) int64 {
	difference := a - b
	if b >= 0 && difference > a {
		return -1 << 63
	}
	return difference
}
