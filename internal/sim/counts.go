package sim

import "time"

// Counts say what happened in worlds.
type Counts struct {
	// Simulated is how much time passed.
	Simulated time.Duration
	// Steps were made: messages, timers, saves and faults.
	Steps int
	// Faults of each kind that took place.
	Faults [faultKinds]int

	// Messages were sent. Of them the network lost some, brought some twice, some
	// before earlier ones of the same link, and some later than a minimal
	// election timeout.
	Messages, Lost, Duplicated, Overtaken, Delayed int
	// Saves became durable. SlowSaves outlasted the watchdog; StalledSaves and
	// FailedSaves ended the process.
	Saves, SlowSaves, StalledSaves, FailedSaves int
	// CutOld and CutNew saves were cut short by a crash, and left the old record
	// or the new one.
	CutOld, CutNew int
	// Proposed commands, Appends that became durable and Committed entries.
	Proposed, Appends, Committed int
	// Snapshots made, Chunks of them received and Restores of an application from one.
	Snapshots, Chunks, Restores int
	// Starts of processes.
	Starts int
	// Replacements of lost disks that have come to their end.
	Replacements int
	// Reigns that began.
	Reigns int
	// Overlaps are steps at which two nodes led, where a world allows that.
	Overlaps int
}

func (c *Counts) cut(written bool) {
	if written {
		c.CutNew++
	} else {
		c.CutOld++
	}
}

// Add adds what happened elsewhere.
func (c *Counts) Add(o Counts) {
	c.Simulated += o.Simulated
	for i, n := range o.Faults {
		c.Faults[i] += n
	}
	sums := [...]struct {
		to   *int
		more int
	}{
		{&c.Steps, o.Steps},
		{&c.Messages, o.Messages},
		{&c.Lost, o.Lost},
		{&c.Duplicated, o.Duplicated},
		{&c.Overtaken, o.Overtaken},
		{&c.Delayed, o.Delayed},
		{&c.Saves, o.Saves},
		{&c.SlowSaves, o.SlowSaves},
		{&c.StalledSaves, o.StalledSaves},
		{&c.FailedSaves, o.FailedSaves},
		{&c.CutOld, o.CutOld},
		{&c.CutNew, o.CutNew},
		{&c.Proposed, o.Proposed},
		{&c.Appends, o.Appends},
		{&c.Committed, o.Committed},
		{&c.Snapshots, o.Snapshots},
		{&c.Chunks, o.Chunks},
		{&c.Restores, o.Restores},
		{&c.Starts, o.Starts},
		{&c.Replacements, o.Replacements},
		{&c.Reigns, o.Reigns},
		{&c.Overlaps, o.Overlaps},
	}
	for _, s := range sums {
		*s.to += s.more
	}
}
