package placement

import "slices"

// ChooseDevices returns which GPUs of a node an amount of GPU takes, given what
// is left of each in thousandths, by index. It is the rule of all of this
// library: a fraction takes the GPU with the least left that is enough, the
// first of several; whole ones are untouched ones by index. Preferred GPUs that
// are fit for it come before others, in their order. The result is sorted, and
// nil for an amount of 0. It reports false if there is no room.
//
// The amount is valid: a multiple of Device or less than one. O(n) in the GPUs
// of the node, times the preferred ones.
func ChooseDevices(left []int64, amount int64, preferred ...int) ([]int, bool) {
	switch {
	case amount == 0:
		return nil, true
	case amount < Device:
		device := tightestDevice(left, amount, preferred)
		return []int{device}, device >= 0
	default:
		return untouchedDevices(left, int(amount/Device), preferred)
	}
}

// tightestDevice returns -1 if there is no room.
func tightestDevice(left []int64, amount int64, preferred []int) int {
	for _, i := range preferred {
		if i >= 0 && i < len(left) && left[i] >= amount {
			return i
		}
	}
	best := -1
	for i, l := range left {
		if l >= amount && (best < 0 || l < left[best]) {
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
