package raft

import (
	"fmt"
	"hash/crc32"
	"time"
)

// Checkpoint is the running hash of all entries up to one (rule 37: members compare what
// they have applied).
type Checkpoint struct {
	Index, Hash uint64
}

// checkEvery is how many entries are from one checkpoint to the next, and maxChecks how
// many a core remembers: a leader names its latest in each heartbeat, and who lags by no
// more, or is ahead by as much, can compare.
const (
	checkEvery = 1024
	maxChecks  = 8
)

// checkpoints are the latest that are known here, and of the leader.
type checkpoints struct {
	own    [maxChecks]Checkpoint
	latest Checkpoint
	leader Checkpoint
}

// Checked says what the running hash of the entries is that the application has applied
// up to one, as Chain has it. Members compare them.
func (c *Core) Checked(now time.Duration, p Checkpoint) Effects {
	c.begin(now)
	c.checks.own[p.Index/checkEvery%maxChecks] = p
	c.checks.latest = p
	c.compareChecks()
	return c.end()
}

// compareChecks reports it if the leader has applied other entries.
func (c *Core) compareChecks() {
	theirs := c.checks.leader
	ours := c.checks.own[theirs.Index/checkEvery%maxChecks]
	if ours.Index == theirs.Index && ours.Hash != theirs.Hash && !c.faults.neverCompare {
		c.out.Diverged = theirs.Index
	}
}

// Chain returns the running hash after one more entry. That of none is 0.
func (e Entry) Chain(hash uint64) uint64 {
	hash = mix(hash ^ e.Index)
	hash = mix(hash ^ e.Term<<8 ^ uint64(e.Kind))
	return mix(hash ^ uint64(len(e.Data))<<32 ^ uint64(crc32.Checksum(e.Data, castagnoli())))
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// DivergedError says that this node has applied other entries than its leader: a disk or
// memory has changed what was committed. It unwraps to ErrDiverged.
type DivergedError struct {
	// Index is up to where the entries differ somewhere.
	Index uint64
}

// Error implements error.
func (e *DivergedError) Error() string { return fmt.Sprintf("%v up to entry %d", ErrDiverged, e.Index) }

// Unwrap returns ErrDiverged.
func (e *DivergedError) Unwrap() error { return ErrDiverged }
