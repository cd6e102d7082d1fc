package sim

import (
	"time"

	"github.com/rads-project/constellation/raft"
)

// disk keeps one node's record as the two-slot state file does: whatever cuts a
// save short, afterwards the record is the old one or the new one.
type disk struct {
	record  raft.StoredState
	writing raft.HardState // while busy
	busy    bool           // also when the process that saves has given up
	freeAt  time.Duration  // when busy ends
	saves   int            // begun

	slowUntil time.Duration
	slowest   time.Duration // of a save while slow
	failNext  bool          // the next save returns an error
	cutNext   bool          // the process crashes in the next save
}

// begin opens a save and returns its number.
func (d *disk) begin(state raft.HardState, freeAt time.Duration) int {
	d.writing, d.busy, d.freeAt = state, true, freeAt
	d.saves++
	return d.saves
}

// runs reports whether that save has not ended.
func (d *disk) runs(save int) bool { return d.busy && d.saves == save }

// end closes a save. Whether the new record is there is certain only if the save
// was not cut short.
func (d *disk) end(written bool) {
	if written {
		d.record = raft.StoredState{State: d.writing, Found: true}
	}
	d.busy = false
}
