package raft

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Share returns n, or a tenth of it under the race detector, which makes
// everything take about ten times as long and has nothing to find where one
// goroutine works alone. The step test of .ci/run runs what is cut short here once more
// in full, without it.
func Share(n int) int {
	if RaceEnabled {
		return (n + 9) / 10
	}
	return n
}

// skipUnderRace skips a walk that finds what it looks for only in full, see Share.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if RaceEnabled {
		t.Skip("one goroutine works alone: go test without -race runs it")
	}
}

// clone returns a core that goes its own way from here. The two share the
// source of their timeouts.
func (c *Core) clone() *Core {
	d := *c
	d.out = Effects{}
	d.peers = slices.Clone(c.peers)
	d.log.entries = slices.Clip(c.log.entries)
	d.reign.rounds = slices.Clone(c.reign.rounds)
	return &d
}

// LogDisk is the disk of a FileLog whose power may fail while it writes.
type LogDisk struct{ disk *fakeDisk }

// NewLogDisk returns an empty disk.
func NewLogDisk() *LogDisk { return &LogDisk{newFakeDisk()} }

// Log returns the log that is on it, closed.
func (d *LogDisk) Log() *FileLog {
	return &FileLog{Dir: "dir", fs: d.disk, segmentSize: 16 << 10, spawn: func(f func()) { f() }}
}

// FailSoon has one of the next few steps of the disk fail.
func (d *LogDisk) FailSoon(rng *rand.Rand) { d.disk.failAt = d.disk.steps + 1 + rng.IntN(4) }

// LosePower is a power failure: what was not synced is there, missing or torn.
func (d *LogDisk) LosePower(rng *rand.Rand) { d.disk = d.disk.crash(rng) }
