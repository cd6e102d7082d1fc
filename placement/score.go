package placement

import (
	"math/bits"
	"slices"
)

// Unit is the top of the scale of every term of the score: a free share and a soft
// term run from 0 to Unit.
const Unit = 1 << 20

// DefaultWeight returns the weight of a dimension in the score: 2 for GPUs, each of
// which is a dimension of its own, so that a free one is worth as much as all of a
// node's CPU and memory, and 1 for every other dimension.
func DefaultWeight(name ResourceName) int64 {
	if name == NameGPU {
		return 2
	}
	return 1
}

// FreeShare returns q = ⌊max(0, free) × 2²⁰ / total⌋, how much is free of what a node
// gives of a dimension. It is at most 2²⁰, and 0 where the node gives none.
func FreeShare(free, total int64) int64 {
	switch {
	case free <= 0 || total <= 0:
		return 0
	case free >= total:
		return Unit
	case free < 1<<43:
		return int64(uint64(free) * Unit / uint64(total)) // which takes half the time of a signed division
	}
	high, low := bits.Mul64(uint64(free), Unit)
	share, _ := bits.Div64(high, low, uint64(total))
	return int64(share)
}

// FreeDevices returns D = ⌊max(0, free) × 2²⁰ / 1000⌋, how many GPUs are free on a
// node by the thousandths that are: it is at most MaxDevices × 2²⁰.
func FreeDevices(free int64) int64 { return min(max(0, free), MaxDevices*Device) * Unit / Device }

// Scale is what the strategy term of the score runs over: the dimensions that the
// nodes of a cluster have, and their weights. It is the same for every node and
// request of a cluster, and says nothing of how large its nodes are: each is
// measured by its own size.
type Scale struct {
	// Dimensions, GPUs apart, that some node gives, each once; no other counts.
	Dimensions []ResourceName `json:"dimensions,omitempty"`
	// Devices is the greatest number of GPUs of one node, 0 to MaxDevices.
	Devices int `json:"devices,omitempty"`
	// Weights from 1 to 64 of dimensions; missing ones are DefaultWeight.
	Weights map[ResourceName]int64 `json:"weights,omitempty"`
}

// With returns the scale of the cluster with one more node, which gives what
// Node.Allocatable says.
func (s Scale) With(allocatable Resources) Scale {
	s.Dimensions = slices.Clone(s.Dimensions)
	for name, amount := range allocatable.All() {
		switch {
		case amount <= 0:
		case name == NameGPU:
			s.Devices = max(s.Devices, int(min((amount-1)/Device+1, MaxDevices)))
		case !slices.Contains(s.Dimensions, name):
			s.Dimensions = append(s.Dimensions, name)
		}
	}
	slices.SortFunc(s.Dimensions, CompareNames)
	return s
}

func (s Scale) weight(name ResourceName) int64 {
	if w, ok := s.Weights[name]; ok {
		return w
	}
	return DefaultWeight(name)
}

// sums returns K = Σ weight·q + weight·D over the dimensions for which counts holds,
// and W over the same, the greatest that K may be on any node of the cluster, in
// units of 2²⁰.
func (s Scale) sums(free, total Resources, counts func(ResourceName) bool) (k, w int64) {
	for _, name := range s.Dimensions {
		if counts(name) {
			w += s.weight(name)
			k += s.weight(name) * FreeShare(free.Amount(name), total.Amount(name))
		}
	}
	if counts(NameGPU) {
		most := int64(s.Devices)
		w += s.weight(NameGPU) * most
		k += s.weight(NameGPU) * min(FreeDevices(free.GPU), most*Unit)
	}
	return k, w
}

// BinPack returns the strategy term of bin-packing, R = W·2²⁰ − K, and its upper
// bound W·2²⁰. free is what the node has free before the placement, total what it
// gives in all. The fuller the node, the greater R.
func (s Scale) BinPack(free, total Resources) (r, bound int64) {
	k, w := s.sums(free, total, func(ResourceName) bool { return true })
	return w*Unit - k, w * Unit
}

// Spread returns the strategy term of spreading and its upper bound. free is what
// the node has free before the placement, total what it gives in all. The emptier
// the node, the greater R. Scarce dimensions (GPU and custom ones) that the request
// does not ask for count as in BinPack instead, so that work without GPUs is kept
// off GPU nodes.
func (s Scale) Spread(free, total, request Resources) (r, bound int64) {
	spare := func(name ResourceName) bool { return scarce(name) && request.Amount(name) == 0 }
	k, w := s.sums(free, total, func(name ResourceName) bool { return !spare(name) })
	packed, packedW := s.sums(free, total, spare)
	return k + packedW*Unit - packed, (w + packedW) * Unit
}

func scarce(name ResourceName) bool {
	switch name {
	case NameCPU, NameMemory, NameDisk, NameNetwork:
		return false
	default:
		return true
	}
}

// ScoreBinPack returns the strategy term of BinPack on a scale of 0 (empty)
// to 1000 (full), for people.
func ScoreBinPack(free, total Resources, scale Scale) int {
	r, bound := scale.BinPack(free, total)
	return Permille(r, 0, bound)
}

// ScoreSpread returns the strategy term of Spread on a scale of 0 to 1000,
// for people.
func ScoreSpread(free, total, request Resources, scale Scale) int {
	r, bound := scale.Spread(free, total, request)
	return Permille(r, 0, bound)
}

// Permille shows value between low and high as 0 to 1000, rounded down. It is
// 0 where low and high are equal.
func Permille(value, low, high int64) int {
	if high <= low {
		return 0
	}
	shifted := uint64(min(max(value, low), high) - low)
	upper, lower := bits.Mul64(shifted, 1000)
	permille, _ := bits.Div64(upper, lower, uint64(high-low))
	return int(permille)
}

// Terms are the parts of the score of one node for one request.
type Terms struct {
	// Strategy is R, from 0 to Bound.
	Strategy int64 `json:"strategy"`
	// Bound is W·2²⁰, the greatest R there is.
	Bound int64 `json:"bound"`
	// Soft is G = Σ weight·t over the soft terms, each t from 0 to 2²⁰.
	Soft int64 `json:"soft"`
	// SoftLow and SoftHigh bound G for the request.
	SoftLow  int64 `json:"softLow"`
	SoftHigh int64 `json:"softHigh"`
}

// Score returns S = 100·R + W·G, the quantity that orders feasible nodes: a
// soft weight of w outweighs w per cent of the whole strategy scale.
func Score(t Terms) int64 {
	return 100*t.Strategy + t.Bound/Unit*t.Soft
}

// Normalized shows Score on a scale of 0 to 1000 between its bounds, for
// people.
func (t Terms) Normalized() int {
	w := t.Bound / Unit
	return Permille(Score(t), w*t.SoftLow, 100*t.Bound+w*t.SoftHigh)
}

// Utilization returns used/total in parts per million, rounded down. It returns 0
// if total is 0, and more than a million for a node that is used above its
// capacity.
func Utilization(used, total int64) int64 {
	if used <= 0 || total <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(used), 1_000_000)
	if high >= uint64(total) {
		return 1<<63 - 1
	}
	ppm, _ := bits.Div64(high, low, uint64(total))
	return int64(min(ppm, 1<<63-1))
}

// OverallUtilization returns the mean of Utilization over the dimensions that
// have a total, in parts per million.
func OverallUtilization(used, total Resources) int64 {
	var sum, count int64
	for name, amount := range total.All() {
		if amount > 0 {
			sum += min(Utilization(used.Amount(name), amount), 1<<40)
			count++
		}
	}
	if count == 0 {
		return 0
	}
	return sum / count
}
