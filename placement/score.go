package placement

import "math/bits"

// Unit is the top of the scale of every term of the score: a free fraction
// and a soft term run from 0 to Unit.
const Unit = 1 << 20

// DefaultWeight returns the weight of a dimension in the score: 8 for GPUs, the
// most expensive part of a node, and 1 for every other dimension.
func DefaultWeight(name ResourceName) int64 {
	if name == NameGPU {
		return 8
	}
	return 1
}

// Reference returns the reference of a dimension whose largest allocatable
// amount is given: the smallest power of two that is at least that, and 0 for
// 0. Amounts above 2⁶² give 2⁶².
func Reference(largest int64) int64 {
	if largest <= 0 {
		return 0
	}
	return 1 << min(bits.Len64(uint64(largest-1)), 62)
}

// FreeShare returns q = min(⌊max(0, free) × 2²⁰ / reference⌋, 2²⁰), and 0 for
// a reference of 0. For a reference that is a power of two the division is a
// shift, which is why Reference gives one.
func FreeShare(free, reference int64) int64 {
	if free <= 0 || reference <= 0 {
		return 0
	}
	if free >= reference {
		return Unit
	}
	high, low := bits.Mul64(uint64(free), Unit)
	share, _ := bits.Div64(high, low, uint64(reference))
	return int64(share)
}

// Scale defines how the strategy term is normalised: the dimensions that count,
// their reference amounts and their weights. It is the same for every node and
// request of a cluster.
type Scale struct {
	// Reference amounts, as Reference gives them; a dimension with reference
	// 0 does not count.
	Reference Resources
	// Weights from 1 to 64 of dimensions; missing ones are DefaultWeight.
	Weights map[ResourceName]int64
}

func (s Scale) weight(name ResourceName) int64 {
	if w, ok := s.Weights[name]; ok {
		return w
	}
	return DefaultWeight(name)
}

// sums returns K = Σ weight·q over the dimensions for which counts holds, and
// W = Σ weight over the same.
func (s Scale) sums(free Resources, counts func(ResourceName) bool) (k, w int64) {
	for name, reference := range s.Reference.All() {
		if reference == 0 || !counts(name) {
			continue
		}
		weight := s.weight(name)
		w += weight
		k += weight * FreeShare(free.Amount(name), reference)
	}
	return k, w
}

// BinPack returns the strategy term of bin-packing, R = W·2²⁰ − K, and its upper
// bound W·2²⁰. free is what the node has free before the placement. The fuller the
// node, the greater R.
func (s Scale) BinPack(free Resources) (r, bound int64) {
	k, w := s.sums(free, func(ResourceName) bool { return true })
	return w*Unit - k, w * Unit
}

// Spread returns the strategy term of spreading and its upper bound. free is what
// the node has free before the placement. The emptier the node, the greater R.
// Scarce dimensions (GPU and custom ones) that the request does not ask for count
// as in BinPack instead, so that work without GPUs is kept off GPU nodes.
func (s Scale) Spread(free, request Resources) (r, bound int64) {
	spare := func(name ResourceName) bool { return scarce(name) && request.Amount(name) == 0 }
	k, w := s.sums(free, func(name ResourceName) bool { return !spare(name) })
	packed, packedW := s.sums(free, spare)
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
func ScoreBinPack(free Resources, scale Scale) int {
	r, bound := scale.BinPack(free)
	return Permille(r, 0, bound)
}

// ScoreSpread returns the strategy term of Spread on a scale of 0 to 1000,
// for people.
func ScoreSpread(free, request Resources, scale Scale) int {
	r, bound := scale.Spread(free, request)
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
