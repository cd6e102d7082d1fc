package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// WorkloadClass is one sort of the typical work that LeastFragmentation expects.
type WorkloadClass struct {
	// Resources of one instance; GPU as in a request.
	Resources placement.Resources
	// Models of GPUs that it runs on; none means any.
	Models []string
	// Count is how often it occurs, at least 1. The sum over the mix is at
	// most 2³⁰.
	Count int64
}

// fragmentation measures what a node's free GPUs are worth to the typical mix
// of work, after Weng et al., "Beware of Fragmentation" (USENIX ATC 2023):
//
//	F(node) = Σ count(kind) · idle thousandths of GPUs that the kind cannot use there
//
// which is all that is idle for a kind that asks for no GPU or does not fit,
// and for others what is left on GPUs with less left than it asks of one. The
// gradient of a request on a node is ΔF = F(after) − F(before) as a mean over
// the mix, in tenths of a GPU and rounded up; strategy LeastFragmentation takes
// the least, and the best fit among equals. Finer gradients would let chance
// decide against the best fit: on the openb trace tenths allocate 95.4 % of the
// GPUs and exact gradients 94.2 %.
//
// Invariant: base[row] is current or unknown, once outdated by bookLog.
type fragmentation struct {
	kinds  []workKind
	unit   int64   // of gradients: a tenth of a GPU, once for every instance of the mix
	asks   []int64 // distinct amounts that kinds ask of one GPU, ascending
	base   []int64 // F by row
	seen   uint64  // position in Index.bookLog of base
	shapes map[hash]*gradients
	clock  uint64
}

// workKind is a MixKind made ready.
type workKind struct {
	asks   []ask // without GPUs
	gpu    int64
	each   int // place in fragmentation.asks, if gpu is not zero
	models []string
	count  int64
}

// SetWorkload sets the typical mix of work for strategy LeastFragmentation; none
// makes it pack by amounts alone. The mix must be valid. Dimensions that no
// node has keep a kind from fitting anywhere.
func (x *Index) SetWorkload(kinds []WorkloadClass) {
	f := &x.fragmentation
	*f = fragmentation{shapes: make(map[hash]*gradients)}
	for _, kind := range kinds {
		if gpu := kind.Resources.GPU; gpu > 0 {
			f.asks = append(f.asks, min(gpu, placement.Device))
		}
	}
	slices.Sort(f.asks)
	f.asks = slices.Compact(f.asks)
	for _, kind := range kinds {
		f.unit += kind.Count * placement.Device / 10
		amounts := kind.Resources
		amounts.GPU = 0
		each, _ := slices.BinarySearch(f.asks, min(kind.Resources.GPU, placement.Device))
		f.kinds = append(f.kinds, workKind{
			asks: x.asksOf(&amounts, nil), gpu: kind.Resources.GPU, each: each,
			models: slices.Clone(kind.Models), count: kind.Count,
		})
	}
	x.version++
}

// forgetDimension looks a dimension up by name from now on, after its number has
// become another one's.
func (f *fragmentation) forgetDimension(d int) {
	for i := range f.kinds {
		for j := range f.kinds[i].asks {
			if a := &f.kinds[i].asks[j]; a.dim == d {
				a.dim = -1
			}
		}
	}
}

// measureFragments returns F of a node as it is, or with asks placed there.
func (x *Index) measureFragments(row Row, asks []ask) int64 {
	f := &x.fragmentation
	var taken vector
	gpu := int64(0)
	for _, a := range asks {
		if a.name == placement.NameGPU {
			gpu = a.amount
		} else {
			taken[a.dim] = a.amount
		}
	}
	g := x.gpusAfter(row, gpu)
	sum := int64(0)
	for i := range f.kinds {
		kind := &f.kinds[i]
		lost := g.idle
		if kind.gpu > 0 && gpuMissing(kind.gpu, g.most, g.whole) <= 0 && x.runs(kind, row, &taken) {
			lost = g.below[kind.each]
		}
		sum += kind.count * lost
	}
	return sum
}

// gpuState is what is idle on the GPUs of a node.
type gpuState struct {
	idle, most, whole int64
	below             []int64 // by fragmentation.asks: idle on GPUs with less left
}

// gpusAfter returns what is idle once so much of the GPUs is taken. The result
// is scratch.
func (x *Index) gpusAfter(row Row, gpu int64) gpuState {
	f := &x.fragmentation
	n := &x.nodes[row]
	holds := x.deviceHolds(row, nil)
	fraction := -1
	if gpu > 0 && gpu < placement.Device {
		fraction = n.fraction(gpu, holds, false)
	}
	whole := gpu / placement.Device
	g := gpuState{below: append(x.scratchBelow[:0], make([]int64, len(f.asks))...)}
	x.scratchBelow = g.below
	for i := range n.spec.Devices.Count {
		left := max(0, n.deviceLeft(i, holds))
		if i == fraction {
			left -= gpu
		} else if left == placement.Device && whole > 0 {
			left = 0
			whole--
		}
		g.idle += left
		g.most = max(g.most, left)
		if left == placement.Device {
			g.whole++
		}
		for j := len(f.asks) - 1; j >= 0 && left < f.asks[j]; j-- {
			g.below[j] += left
		}
	}
	return g
}

// runs reports whether a kind fits on a node beside what is taken, GPUs apart.
func (x *Index) runs(kind *workKind, row Row, taken *vector) bool {
	for _, a := range kind.asks {
		dim := a.dim
		if dim < 0 {
			if dim = x.lookup(a.name); dim < 0 {
				return false
			}
		}
		if x.free[dim][row]-taken[dim] < a.amount {
			return false
		}
	}
	return len(kind.models) == 0 || slices.Contains(kind.models, x.nodes[row].spec.Devices.Model)
}
