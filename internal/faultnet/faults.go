package faultnet

import (
	"errors"
	"fmt"
	"time"
)

// Always is the chance of a fault that befalls every message.
const Always = 1000

// LatencyLimit is the longest latency that a link may have. It keeps every sum
// of times far from overflow.
const LatencyLimit = 24 * time.Hour

// Faults says what a link does to the messages on it. The zero value is a
// perfect link: everything arrives at once, in order.
type Faults struct {
	// LatencyMin and LatencyMax bound the time under way, drawn uniformly,
	// both ends included, at most LatencyLimit.
	LatencyMin, LatencyMax time.Duration
	// Loss, Duplication and Reordering are chances in thousandths, from 0
	// (never) to 1000 (always), drawn for each message. A lost message never
	// arrives, a duplicated one arrives twice, and a reordered one is held
	// back for up to LatencyMax, at least up to a millisecond, while later
	// ones pass it. All others keep the order of their link.
	Loss, Duplication, Reordering int
	// BytesPerSecond is the capacity of the link; messages queue for it. Zero
	// is unlimited.
	BytesPerSecond int64
}

// Validate reports everything that is wrong with f, joined.
func (f Faults) Validate() error {
	var errs []error
	if f.LatencyMin < 0 || f.LatencyMax < f.LatencyMin || f.LatencyMax > LatencyLimit {
		errs = append(errs, fmt.Errorf("transport: latency from %v to %v is not a range within 0s and %v",
			f.LatencyMin, f.LatencyMax, LatencyLimit))
	}
	chances := [...]struct {
		name  string
		value int
	}{{"loss", f.Loss}, {"duplication", f.Duplication}, {"reordering", f.Reordering}}
	for _, c := range chances {
		if c.value < 0 || c.value > Always {
			errs = append(errs, fmt.Errorf("transport: %s %d is not between 0 and %d", c.name, c.value, Always))
		}
	}
	if f.BytesPerSecond < 0 {
		errs = append(errs, fmt.Errorf("transport: negative bandwidth %d", f.BytesPerSecond))
	}
	return errors.Join(errs...)
}
