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
// which is all that is idle for a kind that does not fit, and for others what is
// left on GPUs with less left than it asks of one; all that is idle is also lost to a
// kind that asks for no GPU. The gradient of a request on a node is
// ΔF = F(after) − F(before) as a mean over the mix; strategy LeastFragmentation takes
// the least, and the fullest node among equals.
//
// Gradients are compared in steps of 0.04 of a GPU, rounded up: that is what the
// paper's scheduler does where it matters, since it scores a node from 0 to 100 by
// the sigmoid of the gradient, whose slope is a quarter. It is a property of the
// method, and not of some work: finer steps let differences that nobody asks for
// decide against the fullest node.
//
// Two nodes have the same F if they are alike in two things: how much is left on
// each of their GPUs (gpuState), and which kinds run there by all else (profile). A
// cluster has few of both, however many nodes it has.
//
// Invariant: states and profiles are interned, so that equal ones have one number;
// they are valid for the mix and the dimensions that there are, and begin anew when
// these change.
type fragmentation struct {
	mixed  bool       // there is a mix
	kinds  []workKind // of the mix, that ask for GPUs
	unit   int64      // of gradients: 0.04 of a GPU, once for every instance of the mix
	asks   []int64    // distinct amounts of GPUs that kinds ask, ascending
	models []string   // that some kind names
	total  int64      // instances of the mix

	ready    bool
	bounds   []dimensionBounds // of the dimensions that kinds ask
	states   interned[gpuState]
	profiles interned[profile]
	classes  interned[gpuClass]
	shelves  []shelf // by profile
	sweepAt  int     // how many classes there are at the next sweep

	before  gpuState // scratch
	after   gpuState // scratch
	offered []int64  // scratch
	loss    []int64  // scratch
	lefts   []uint16 // scratch
	ranks   []uint16 // scratch
	text    []byte   // scratch
}

// workKind is a WorkloadClass made ready.
type workKind struct {
	amounts placement.Resources // without GPUs
	gpu     int                 // place in fragmentation.asks
	models  []string
	count   int64
}

// dimensionBounds are the amounts of a dimension that kinds ask, ascending. A node's
// rank is how many of them it has free.
type dimensionBounds struct {
	dim    int
	bounds []int64
}

// rank returns how many of the bounds are at most so much.
func (b *dimensionBounds) rank(free int64) int {
	rank := 0
	for rank < len(b.bounds) && b.bounds[rank] <= free {
		rank++
	}
	return rank
}

// gpuState is what is left on the GPUs of a node, and what it is worth.
type gpuState struct {
	left        []uint16 // on each GPU with some left, ascending
	idle        int64
	most, whole int64
	worth       []int64 // by fragmentation.asks: what such a kind can use, if it runs
	classes     int     // that are of this state
}

// profile is which kinds run on a node by all but GPUs.
type profile struct {
	ranks []uint16 // by fragmentation.bounds
	model int      // place in fragmentation.models, or their number for another one
	runs  []int64  // by fragmentation.asks: how many instances of the mix run
}

// gpuClass is the nodes of one state and one profile: lost is F of all of them.
type gpuClass struct {
	state, profile int32
	lost           int64
}

// interned numbers distinct values by a text that identifies them. The number of
// one that is forgotten goes to the next that comes.
type interned[T any] struct {
	numbers map[string]int32
	all     []T
	texts   []string
	spare   []int32
}

// number returns the number of the value that a text identifies. It reports false
// if the value is new: it is to be set then.
func (i *interned[T]) number(text []byte) (int32, bool) {
	if n, ok := i.numbers[string(text)]; ok {
		return n, true
	}
	if i.numbers == nil {
		i.numbers = make(map[string]int32)
	}
	n := int32(len(i.all))
	if last := len(i.spare) - 1; last >= 0 {
		n, i.spare = i.spare[last], i.spare[:last]
		i.texts[n] = string(text)
	} else {
		i.all, i.texts = append(i.all, *new(T)), append(i.texts, string(text))
	}
	i.numbers[i.texts[n]] = n
	return n, false
}

func (i *interned[T]) forget(n int32) {
	delete(i.numbers, i.texts[n])
	i.all[n], i.texts[n] = *new(T), ""
	i.spare = append(i.spare, n)
}

// gradientSteps is how many steps of the gradient a GPU has.
const gradientSteps = 25

// SetWorkload sets the typical mix of work for strategy LeastFragmentation; none
// makes it pack by amounts alone. The mix must be valid. Dimensions that no
// node has keep a kind from fitting anywhere.
func (x *Index) SetWorkload(kinds []WorkloadClass) {
	x.forgetFragmentation()
	f := &x.fragmentation
	*f = fragmentation{mixed: len(kinds) > 0}
	for _, kind := range kinds {
		if kind.Resources.GPU > 0 {
			f.asks = append(f.asks, kind.Resources.GPU)
		}
		f.models = append(f.models, kind.Models...)
	}
	slices.Sort(f.asks)
	f.asks = slices.Compact(f.asks)
	slices.Sort(f.models)
	f.models = slices.Compact(f.models)
	for _, kind := range kinds {
		f.total += kind.Count
		gpu, ok := slices.BinarySearch(f.asks, kind.Resources.GPU)
		if !ok {
			continue
		}
		amounts := kind.Resources.Clone()
		amounts.GPU = 0
		f.kinds = append(f.kinds, workKind{amounts: amounts, gpu: gpu, models: slices.Clone(kind.Models), count: kind.Count})
	}
	f.unit = f.total * placement.Device / gradientSteps
	x.version++
}

// unmeasured returns the measure of the same mix without states, profiles and classes.
func (f *fragmentation) unmeasured() fragmentation {
	return fragmentation{mixed: f.mixed, kinds: f.kinds, unit: f.unit, asks: f.asks, models: f.models, total: f.total}
}

// forgetFragmentation lets states, profiles and classes begin anew, after the mix
// or a dimension has changed, or when there are too many.
func (x *Index) forgetFragmentation() {
	f := &x.fragmentation
	f.ready, f.bounds, f.shelves, f.sweepAt = false, nil, nil, 0
	f.states, f.profiles, f.classes = interned[gpuState]{}, interned[profile]{}, interned[gpuClass]{}
	x.orders = slices.DeleteFunc(x.orders, func(o *ordering) bool { return o.classes })
}

// readyFragmentation looks up the dimensions that the mix asks.
func (x *Index) readyFragmentation() *fragmentation {
	f := &x.fragmentation
	if len(f.profiles.all) > x.thresholds.profiles {
		x.forgetFragmentation()
	}
	if f.ready {
		return f
	}
	f.ready = true
	for d := range x.dims {
		var bounds []int64
		for i := range f.kinds {
			if amount := f.kinds[i].amounts.Amount(x.dims[d].name); amount > 0 && x.dims[d].name != "" {
				bounds = append(bounds, amount)
			}
		}
		if len(bounds) > 0 {
			slices.Sort(bounds)
			f.bounds = append(f.bounds, dimensionBounds{d, slices.Compact(bounds)})
		}
	}
	return f
}

// classOf returns the number of the class of a node.
func (x *Index) classOf(row Row) int32 {
	f := &x.fragmentation
	state, profile := f.state(x.gpusOf(row)), f.profileOf(x, row, nil)
	f.text = append32(append32(f.text[:0], state), profile)
	n, known := f.classes.number(f.text)
	if known {
		return n
	}
	f.classes.all[n] = gpuClass{state, profile, f.lost(&f.states.all[state], profile)}
	f.shelve(n)
	return n
}

func append32(text []byte, n int32) []byte {
	return append(text, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// gpusOf returns what is left on the GPUs of a node, in ascending order. The result
// is scratch.
func (x *Index) gpusOf(row Row) []uint16 {
	f := &x.fragmentation
	f.lefts = f.lefts[:0]
	n := &x.nodes[row]
	holds := x.deviceHolds(row, nil)
	for i := range n.spec.Devices.Count {
		if left := n.deviceLeft(i, holds); left > 0 {
			f.lefts = append(f.lefts, uint16(left))
		}
	}
	slices.Sort(f.lefts)
	return f.lefts
}

// state returns the number of a state of GPUs.
func (f *fragmentation) state(left []uint16) int32 {
	f.text = f.text[:0]
	for _, l := range left {
		f.text = append(f.text, byte(l), byte(l>>8))
	}
	n, known := f.states.number(f.text)
	if !known {
		f.states.all[n] = gpuState{left: slices.Clone(left)}
		f.value(&f.states.all[n])
	}
	return n
}

// value works out what a state is worth from what is left.
func (f *fragmentation) value(s *gpuState) {
	s.idle, s.most, s.whole = 0, 0, 0
	for _, l := range s.left {
		s.idle += int64(l)
		s.most = int64(l)
		if l == placement.Device {
			s.whole++
		}
	}
	s.worth = slices.Grow(s.worth[:0], len(f.asks))[:len(f.asks)]
	for i, ask := range f.asks {
		s.worth[i] = 0
		if gpuMissing(ask, s.most, s.whole) > 0 {
			continue
		}
		for _, l := range s.left {
			if int64(l) >= min(ask, placement.Device) {
				s.worth[i] += int64(l)
			}
		}
	}
}

// stateAfter returns the state that an amount of GPUs leads to, which fits. The
// result is scratch.
func (f *fragmentation) stateAfter(s *gpuState, gpu int64) *gpuState {
	if gpu == 0 {
		return s
	}
	after := &f.after
	after.left = append(after.left[:0], s.left...)
	if gpu < placement.Device {
		i, _ := slices.BinarySearch(after.left, uint16(gpu))
		rest := after.left[i] - uint16(gpu)
		copy(after.left[1:], after.left[:i]) // what is left of one is less than of those before
		at, _ := slices.BinarySearch(after.left[1:i+1], rest)
		copy(after.left, after.left[1:at+1])
		after.left[at] = rest
	} else {
		after.left = after.left[:len(after.left)-int(gpu/placement.Device)]
	}
	f.value(after)
	return after
}

// profileOf returns the number of the profile of a node, beside what an instance
// takes of it.
func (f *fragmentation) profileOf(x *Index, row Row, taken []ask) int32 {
	f.ranks = f.ranks[:0]
	for i := range f.bounds {
		b := &f.bounds[i]
		free := x.free[b.dim][row]
		for _, a := range taken {
			if a.dim == b.dim {
				free -= a.amount
			}
		}
		f.ranks = append(f.ranks, uint16(b.rank(free)))
	}
	model, ok := slices.BinarySearch(f.models, x.nodes[row].spec.Devices.Model)
	if !ok {
		model = len(f.models)
	}
	return f.profile(x, f.ranks, model)
}

// profile returns the number of a profile.
func (f *fragmentation) profile(x *Index, ranks []uint16, model int) int32 {
	f.text = append32(f.text[:0], int32(model))
	for _, rank := range ranks {
		f.text = append(f.text, byte(rank), byte(rank>>8))
	}
	n, known := f.profiles.number(f.text)
	if !known {
		f.profiles.all[n] = f.newProfile(x, slices.Clone(ranks), model)
	}
	return n
}

func (f *fragmentation) newProfile(x *Index, ranks []uint16, model int) profile {
	p := profile{ranks: ranks, model: model, runs: make([]int64, len(f.asks))}
	for i := range f.kinds {
		kind := &f.kinds[i]
		runs := len(kind.models) == 0 || model < len(f.models) && slices.Contains(kind.models, f.models[model])
		for name, amount := range kind.amounts.All() {
			runs = runs && (amount == 0 || f.has(x, ranks, name, amount))
		}
		if runs {
			p.runs[kind.gpu] += kind.count
		}
	}
	return p
}

// has reports whether a node of these ranks has so much free of a dimension, an
// amount that some kind asks.
func (f *fragmentation) has(x *Index, ranks []uint16, name placement.ResourceName, amount int64) bool {
	d := x.lookup(name)
	for i := range f.bounds {
		if b := &f.bounds[i]; b.dim == d {
			at, _ := slices.BinarySearch(b.bounds, amount)
			return at < int(ranks[i])
		}
	}
	return false
}

// lost returns F of nodes of a state and a profile.
func (f *fragmentation) lost(s *gpuState, profile int32) int64 {
	lost := f.total * s.idle
	for i, runs := range f.profiles.all[profile].runs {
		lost -= runs * s.worth[i]
	}
	return lost
}

// ceilDiv returns ⌈a / b⌉ for positive b.
func ceilDiv(a, b int64) int64 {
	if a > 0 {
		return (a + b - 1) / b
	}
	return a / b
}
