package transport

import (
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
)

// Faults says what a [Memory] does to the frames on a link. The zero value is
// a perfect link: everything arrives without delay, in order. [NewMemory] and the
// methods that take Faults report everything that is wrong with them, joined.
type Faults struct {
	// LatencyMin and LatencyMax bound the time under way, drawn uniformly,
	// both ends included; at most 24 hours.
	LatencyMin, LatencyMax time.Duration
	// Loss, Duplication and Reordering are chances in thousandths, from 0
	// (never) to 1000 (always), drawn for each frame. A reordered frame is
	// held back for up to LatencyMax, at least up to a millisecond, while
	// later ones pass it. All others keep the order of their link.
	Loss, Duplication, Reordering int
	// BytesPerSecond is the capacity of a link in one direction. Zero is
	// unlimited.
	BytesPerSecond int64
}

// SetFaults changes the faults of every link, also of those that
// [Memory.SetLink] gave their own. Frames under way keep their time. An error
// changes nothing. It takes time in proportion to the links that were used.
func (m *Memory) SetFaults(f Faults) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.SetFaults(faultnet.Faults(f))
}

// SetLink gives the link from from to to its own faults; the other direction
// keeps what it has. An error changes nothing. It takes constant time.
func (m *Memory) SetLink(from, to string, f Faults) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.SetLink(from, to, faultnet.Faults(f))
}

// Cut cuts the link from from to to, one way, until [Memory.Mend] or
// [Memory.Heal]. Frames that would arrive while it is cut are lost, those
// under way included. It takes constant time.
func (m *Memory) Cut(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.model.Cut(from, to)
}

// Mend undoes [Memory.Cut] of the same link. It does not lift a partition. It
// takes constant time.
func (m *Memory) Mend(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.model.Mend(from, to)
}

// Partition splits the network in place of any earlier partition: two members
// are connected if one group holds both, and members in no group form one
// more group. A member in several groups connects with each of them. Links
// that [Memory.Cut] cut stay so. It copies the groups; while they last, each
// frame takes time in proportion to their members, when it is sent and when it
// arrives.
func (m *Memory) Partition(groups ...[]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.model.Partition(groups...)
}

// Heal lifts the partition and all cuts. Faults stay as they are. It takes time
// in proportion to the cuts.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.model.Heal()
}
