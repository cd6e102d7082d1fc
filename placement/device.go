package placement

import "slices"

// ChooseDevices returns which GPUs of a node an amount takes. left is what is
// left of each GPU in thousandths, by index; nothing is left of a broken one. The
// whole library follows this rule:
//
//   - A fraction takes the GPU with the least left that is enough, and with
//     strategy Spread the one with the most left; ties go to the lowest index.
//   - Whole devices take untouched GPUs, the lowest index first.
//   - Preferred GPUs that fit come before all others, in the order given.
//
// The result is sorted, and nil for an amount of 0. It reports false if there is no
// room. The amount must be valid: a multiple of Device, or less than one. It takes
// time in proportion to the GPUs of the node times the GPUs chosen.
func ChooseDevices(left []int64, amount int64, strategy Strategy, preferred ...int) ([]int, bool) {
	switch {
	case amount == 0:
		return nil, true
	case amount < Device:
		device := fractionDevice(left, amount, strategy == Spread, preferred)
		return []int{device}, device >= 0
	default:
		return untouchedDevices(left, int(amount/Device), preferred)
	}
}

// fractionDevice returns -1 if there is no room.
func fractionDevice(left []int64, amount int64, spread bool, preferred []int) int {
	for _, i := range preferred {
		if i >= 0 && i < len(left) && left[i] >= amount {
			return i
		}
	}
	best := -1
	for i, l := range left {
		if l >= amount && (best < 0 || spread && l > left[best] || !spread && l < left[best]) {
			best = i
		}
	}
	return best
}

func untouchedDevices(left []int64, count int, preferred []int) ([]int, bool) {
	var chosen []int
	for _, i := range preferred {
		if len(chosen) < count && i >= 0 && i < len(left) && left[i] >= Device && !slices.Contains(chosen, i) {
			chosen = append(chosen, i)
		}
	}
	for i := range left {
		if len(chosen) < count && left[i] >= Device && !slices.Contains(chosen, i) {
			chosen = append(chosen, i)
		}
	}
	slices.Sort(chosen)
	return chosen, len(chosen) == count
}
