package scheduler

import (
	"math/bits"
	"time"
)

// histogramBounds is how many sizes a Histogram tells apart: 4 to the power of the last
// is over 4 seconds in nanoseconds.
const histogramBounds = 17

// Histogram counts values by their size. The zero value is empty.
type Histogram struct {
	// Counts has at i how many values are at most Bound(i) and greater than the bound
	// before, and last how many are greater than all bounds.
	Counts [histogramBounds + 1]uint64 `json:"counts"`
	// Sum of all values.
	Sum int64 `json:"sum"`
}

// Bound returns the greatest value that Counts[i] counts, 4 to the power of i; i is
// less than len(Counts)-1. In nanoseconds Bound(5) is a microsecond, Bound(10) a
// millisecond and Bound(15) a second, each and a little.
func (h Histogram) Bound(i int) int64 { return 1 << (2 * i) }

// Total returns how many values were counted, in constant time.
func (h Histogram) Total() uint64 {
	total := uint64(0)
	for _, n := range h.Counts {
		total += n
	}
	return total
}

// add counts a value, one below 0 as 0.
func (h *Histogram) add(value int64) {
	value = max(0, value)
	i := (bits.Len64(uint64(max(value, 1)-1)) + 1) / 2 // the least with value <= 4^i
	h.Counts[min(i, histogramBounds)]++
	h.Sum += value
}

// addTime counts a time in nanoseconds.
func (h *Histogram) addTime(d time.Duration) { h.add(d.Nanoseconds()) }
