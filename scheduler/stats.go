package scheduler

import (
	"errors"
	"math/bits"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// Stats are counters and sizes of a scheduler, as it stands, whether the
// journal has that already or not.
type Stats struct {
	// Version is the sequence number of the last change, Durable that of the
	// last one that is durable. Without a journal they are the same.
	Version uint64 `json:"version"`
	Durable uint64 `json:"durable"`
	// Appending is since when, by Config.Now, an append to the journal has been
	// under way; zero if none is.
	Appending time.Time `json:"appending,omitzero"`
	// Waiting is how many calls wait until what they saw is durable.
	Waiting int `json:"waiting"`
	// Closed is why the scheduler has closed, nil while it has not. What is
	// counted then may be lost from Durable on.
	Closed error `json:"-"` // see MarshalJSON
	// Nodes and Allocations on the books; Stale are replaced generations
	// among them that still hold capacity, those that Move has left behind included.
	Nodes       int `json:"nodes"`
	Allocations int `json:"allocations"`
	Stale       int `json:"stale"`
	// Evictions are to come at a known time, because of a taint. Leaving are the
	// instances that are to go and are still there: since an eviction has come,
	// or by Leave or Move.
	Evictions int `json:"evictions"`
	Leaving   int `json:"leaving"`
	// Decisions tell what became of what was asked.
	Decisions DecisionStats `json:"decisions"`
	// Journal tells how appends fare.
	Journal JournalStats `json:"journal"`
	// Checkpoint tells how much a replay of the journal has to read.
	Checkpoint CheckpointStats `json:"checkpoint"`
	// Search tells how decisions were found.
	Search SearchStats `json:"search"`
}

// SearchStats counts how decisions were found since New or Open, and tells how
// large the structures are that find them.
type SearchStats struct {
	// Scans are decisions that looked at every node.
	Scans uint64 `json:"scans"`
	// Walks are decisions found by walking a grid, Lists those found by
	// looking at a few nodes that the rules leave over.
	Walks uint64 `json:"walks"`
	Lists uint64 `json:"lists"`
	// Repeats are those that the node of the last decision answered.
	Repeats uint64 `json:"repeats"`
	// Grids is how many grids were built, in Slices pieces of work that did not
	// bring one up to date, and Dropped how many made room for others.
	Grids   uint64 `json:"grids"`
	Slices  uint64 `json:"slices"`
	Dropped uint64 `json:"dropped"`
	// Shut is how many blocks of nodes searches passed over since rules over single
	// nodes keep the request from all that have room there.
	Shut uint64 `json:"shut"`
	// Gradients are decisions of LeastFragmentation, found by classes of nodes
	// with the same free GPUs and the same use for the typical work, of which
	// Measured were looked at.
	Gradients uint64 `json:"gradients"`
	Measured  uint64 `json:"measured"`
	// Draws are decisions of Random that a draw among all nodes found.
	Draws uint64 `json:"draws"`
	// Counts are refusals whose nodes were counted; those answered from memory
	// are Recalls, for which Rechecked nodes that had changed were looked at again.
	Counts    uint64 `json:"counts"`
	Recalls   uint64 `json:"recalls"`
	Rechecked uint64 `json:"rechecked"`
	// Moved is how often a class of instances was looked at because a node
	// that they run on came into another domain of a rule.
	Moved uint64 `json:"moved"`
	// Compared is how often a class was compared with the selector of a
	// counter or of an anti-affinity, since it might be what that looks at.
	Compared uint64 `json:"compared"`

	// Nodes, Classes of requests with the same rules (of which Live have
	// instances) and Counters of instances by domain.
	Nodes    int `json:"nodes"`
	Classes  int `json:"classes"`
	Live     int `json:"live"`
	Counters int `json:"counters"`
	// Whole is how many grids there are, Building how many more are being built,
	// and GridBytes about how much memory all of them take.
	Whole     int `json:"whole"`
	Building  int `json:"building"`
	GridBytes int `json:"gridBytes"`
	// Tops is for how many rule sets blocks of nodes are known that keep them out.
	Tops int `json:"tops"`
	// Unkeyed are the counters and anti-affinities that every class of their
	// namespaces is compared with when it comes, and when a required
	// anti-affinity comes or goes, because their selectors also choose instances
	// without labels.
	Unkeyed int `json:"unkeyed"`
}

// Stats returns counters and sizes. It never waits for the journal, nor for a decision
// but the one that is being made, and takes time in proportion to the grids, of which
// there are at most some hundred. What takes a look at every node Inventory tells.
func (s *view) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{
		Version: s.state.seq, Durable: s.durableLocked(),
		Appending: s.outbox.since, Waiting: s.outbox.calls, Closed: s.failure,
		Nodes: s.state.nodes.Len(), Allocations: s.state.allocations.Len() + s.state.replaced, Stale: s.state.replaced,
		Evictions: s.state.evictions.heap.Len(), Leaving: s.state.leaving,
		Decisions:  s.decided.public(),
		Journal:    s.outbox.stats,
		Checkpoint: s.outbox.checkpoint,
		Search:     SearchStats(s.state.index.Stats()),
	}
}

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
