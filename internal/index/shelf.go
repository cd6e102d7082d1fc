package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// What a request takes of a node's GPUs says most of its gradient: a fraction comes
// from the GPU with the least left that has room, whatever the others are. So classes
// stand on shelves, one for each profile, by what a request may take there: their
// offers. An offer is
//
//   - what is left on a GPU that is in use, 1 to 999, once for each such amount,
//   - 999 and the number of the untouched GPUs, if there are some,
//   - 0, for requests without GPUs.
//
// All classes on a shelf with the same offer have the same gradient, as long as the
// node stays of its profile. If it does not, fewer kinds run there and the gradient is
// greater; so that is a lower bound of it.
//
// Invariant: every class has an entry for each of its offers on the shelf of its
// profile; a shelf is sorted.

// shelf is the classes of a profile: offer<<32 | class, ascending.
type shelf []uint64

func shelved(offer int64, class int32) uint64 { return uint64(offer)<<32 | uint64(class) }

// at returns the offer and the class of an entry.
func (s shelf) at(i int) (offer int64, class int32) { return int64(s[i] >> 32), int32(s[i]) }

// from returns the place of the first entry of at least this offer.
func (s shelf) from(offer int64) int {
	at, _ := slices.BinarySearch(s, shelved(offer, 0))
	return at
}

// untouched returns how many untouched GPUs an offer is, if it is of these.
func untouched(offer int64) int64 { return max(0, offer-placement.Device+1) }

// offers lists the offers of a state. The result is scratch.
func (f *fragmentation) offers(s *gpuState) []int64 {
	offers := append(f.offered[:0], 0)
	for i, left := range s.left {
		if left < placement.Device && (i == 0 || left != s.left[i-1]) {
			offers = append(offers, int64(left))
		}
	}
	if s.whole > 0 {
		offers = append(offers, placement.Device-1+s.whole)
	}
	f.offered = offers
	return offers
}

// shelve puts a new class on the shelf of its profile.
func (f *fragmentation) shelve(number int32) {
	class := f.classes.all[number]
	for len(f.shelves) <= int(class.profile) {
		f.shelves = append(f.shelves, nil)
	}
	s := &f.shelves[class.profile]
	f.states.all[class.state].classes++
	for _, offer := range f.offers(&f.states.all[class.state]) {
		entry := shelved(offer, number)
		at, _ := slices.BinarySearch(*s, entry)
		*s = slices.Insert(*s, at, entry)
	}
}

// forgetClass takes a class from its shelf, and forgets its state if it was the last
// one of it.
func (f *fragmentation) forgetClass(number int32) {
	class := f.classes.all[number]
	s, state := &f.shelves[class.profile], &f.states.all[class.state]
	for _, offer := range f.offers(state) {
		at, _ := slices.BinarySearch(*s, shelved(offer, number))
		*s = slices.Delete(*s, at, at+1)
	}
	f.classes.forget(number)
	if state.classes--; state.classes == 0 {
		f.states.forget(class.state)
	}
}

// sweep forgets the classes without nodes, given which have some. It looks at them
// once an eighth more have come than it left, so that this costs each but a few looks.
func (f *fragmentation) sweep(alive func(int32) bool) {
	if len(f.classes.numbers) < f.sweepAt {
		return
	}
	for n, text := range f.classes.texts {
		if text != "" && !alive(int32(n)) {
			f.forgetClass(int32(n))
		}
	}
	f.sweepAt = len(f.classes.numbers)*9/8 + 64
}

// takes reports whether an offer of a state that has it is what a request takes there.
func (s *gpuState) takes(gpu, offer int64) bool {
	if gpu == 0 || gpu >= placement.Device {
		return true
	}
	least, _ := slices.BinarySearch(s.left, uint16(gpu))
	return int64(s.left[least]) == min(offer, placement.Device)
}

// losses returns by how much the worth of a state falls, by fragmentation.asks, when a
// request takes an offer. The result is scratch.
func (f *fragmentation) losses(gpu, offer int64) []int64 {
	losses := f.loss[:0]
	count, left, rest := int64(1), offer, offer-gpu // GPUs that are touched, what is left on each, and then
	whole := untouched(offer)
	if whole > 0 {
		count = (gpu + placement.Device - 1) / placement.Device
		left, rest = placement.Device, max(0, placement.Device-gpu)
	}
	for _, ask := range f.asks {
		loss := int64(0)
		switch {
		case gpu == 0:
		case ask < placement.Device:
			loss = count * (usable(left, ask) - usable(rest, ask))
		case whole > 0:
			loss = usable(whole*placement.Device, ask) - usable((whole-count)*placement.Device, ask)
		}
		losses = append(losses, loss)
	}
	f.loss = losses
	return losses
}

// usable returns what of so much left a request can use.
func usable(left, ask int64) int64 {
	if left < ask {
		return 0
	}
	return left
}

// runEnd returns the end of the run of offers that an offer begins, in which the
// bound does not fall: the more is left on the GPU that is taken, the more is lost,
// until so much remains that one more kind can use it.
func (f *fragmentation) runEnd(gpu, offer int64) (end int64) {
	if gpu == 0 || offer >= placement.Device {
		return offer + 1
	}
	end = placement.Device
	for _, ask := range f.asks {
		if ask+gpu > offer {
			end = min(end, ask+gpu)
		}
	}
	return end
}

// bound returns the least ΔF that a request can have on nodes of a profile, given what
// it loses there: that on nodes that stay of the profile.
func (f *fragmentation) bound(gpu int64, losses []int64, profile int32) int64 {
	sum := -f.total * gpu
	for i, runs := range f.profiles.all[profile].runs {
		sum += runs * losses[i]
	}
	return sum
}

// over returns by how much ΔF is greater than the bound on nodes of a state that are of
// another profile afterwards.
func (f *fragmentation) over(s *gpuState, losses []int64, before, after int32) int64 {
	if before == after {
		return 0
	}
	sum, less := int64(0), f.profiles.all[after].runs
	for i, runs := range f.profiles.all[before].runs {
		sum += (runs - less[i]) * (s.worth[i] - losses[i])
	}
	return sum
}
