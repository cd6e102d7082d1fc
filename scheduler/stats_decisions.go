package scheduler

import (
	"errors"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// DecisionStats count the decisions of Place, PlaceAll, Allocate, AllocateIf,
// PlaceFromReservation and Move since New or Open, each request once. What only looks,
// as Schedule, is not counted, and neither is what Commit carries out, nor a request
// that is invalid.
type DecisionStats struct {
	// Placed got a node; Existing had been placed before.
	Placed   uint64 `json:"placed"`
	Existing uint64 `json:"existing"`
	// Unschedulable were refused because no node fits, whatever a quota says, and
	// QuotaExceeded by a quota alone. Refused are all others, such as conflicts.
	Unschedulable uint64 `json:"unschedulable"`
	QuotaExceeded uint64 `json:"quotaExceeded"`
	Refused       uint64 `json:"refused"`
	// Reasons count Unschedulable by what refused the most nodes, of several the first
	// in filter order; they add up to it, but for those without any node. Nil if there
	// are none.
	Reasons map[placement.ReasonKind]uint64 `json:"reasons,omitempty"`
	// Time in nanoseconds, from when the lock is held until the decision is applied,
	// of one in 16 decisions. The wait for the lock and for the journal is not in it.
	Time Histogram `json:"time"`
}

// timedDecisions is how many decisions there are for one whose time is taken: looking
// at the clock twice takes a good part of the time of a placement.
const timedDecisions = 16

// decisionCounts are DecisionStats while they grow.
type decisionCounts struct {
	DecisionStats // without Reasons
	reasons       [placement.ReasonHold + 1]uint64
	made          uint64
}

// begin returns when a decision begins, or the zero time if that does not matter.
func (c *decisionCounts) begin() time.Time {
	if c.made%timedDecisions != 0 {
		return time.Time{}
	}
	return time.Now() // of real work, whatever Config.Now shows
}

// end counts a decision.
func (c *decisionCounts) end(began time.Time, existing bool, err error) {
	c.made++
	if !began.IsZero() {
		c.Time.addTime(time.Since(began))
	}
	switch {
	case err == nil && existing:
		c.Existing++
	case err == nil:
		c.Placed++
	default:
		c.refuse(err)
	}
}

func (c *decisionCounts) refuse(err error) {
	unschedulable, ok := errors.AsType[*UnschedulableError](err)
	switch {
	case ok:
		c.Unschedulable++
		if most, found := unschedulable.Foremost(); found {
			c.reasons[most.Reason.Kind]++
		}
	case errors.Is(err, quota.ErrExceeded):
		c.QuotaExceeded++
	default:
		c.Refused++
	}
}

func (c *decisionCounts) public() DecisionStats {
	stats := c.DecisionStats
	for kind, n := range c.reasons {
		if n > 0 {
			if stats.Reasons == nil {
				stats.Reasons = make(map[placement.ReasonKind]uint64)
			}
			stats.Reasons[placement.ReasonKind(kind)] = n
		}
	}
	return stats
}

// JournalStats count the entries that this scheduler has made durable. They say
// nothing of what it has read, nor of checkpoints.
type JournalStats struct {
	// Appends succeeded, with so many Entries and Bytes.
	Appends uint64 `json:"appends"`
	Entries uint64 `json:"entries"`
	Bytes   uint64 `json:"bytes"`
	// Time of each in nanoseconds, and Batch, how many entries it had.
	Time  Histogram `json:"time"`
	Batch Histogram `json:"batch"`
}

func (s *JournalStats) count(entries, bytes int, took time.Duration) {
	s.Appends++
	s.Entries += uint64(entries)
	s.Bytes += uint64(bytes)
	s.Time.addTime(took)
	s.Batch.add(int64(entries))
}
