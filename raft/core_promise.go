package raft

import "time"

// promise binds a node not to help elect anybody but to before until.
//
// Rule 1 of PROTOCOL.md: a promise outlives what caused it. Only time lowers it,
// never a change of term, role or known leader. Two majorities share a node, and
// that node's promise to the first leader is what keeps the second from winning
// while the first one's lease runs.
type promise struct {
	until time.Duration
	to    string // "" after a restart: bound to nobody in particular
}

// free is the one guard of rule 1. It reports whether this node may help asker
// to win: with a vote, a pre-vote, a vote for itself, or by adopting the term
// from a request.
func (c *Core) free(asker string, transfer uint64) bool {
	switch {
	case c.faults.campaignWhileBound && asker == c.cfg.ID:
		return true
	case c.promise.until <= c.now || c.promise.to == asker:
		return true
	default:
		return c.released(transfer)
	}
}

// released reports whether a transfer flag lifts the promise. Rule 5: the flag
// names the term whose leader has given up its lease for good, and releases only
// promises to that leader. That it is for the next term only is part of what
// makes a message well formed.
func (c *Core) released(transfer uint64) bool {
	return transfer == c.hard.Term && c.leader != "" && c.promise.to == c.leader
}

// bind gives a promise for as long as was asked for: rule 4, a leader counts on
// what it asked for, not on what this node is configured with.
func (c *Core) bind(to string, length time.Duration) {
	if c.faults.ownPromiseLength {
		length = c.cfg.ElectionTimeoutMin
	}
	c.promise = promise{until: max(c.promise.until, c.now+length), to: to}
	c.given.longest = max(c.given.longest, length)
	if length > c.hard.LongestPromise {
		c.hard.LongestPromise, c.dirty = length, true
	}
}

// given is what a process has promised since some instant.
type given struct {
	since   time.Duration
	longest time.Duration
}

// outlive lowers the longest promise on record when nothing of that length binds
// any more, so that timeouts that were long once do not slow every restart forever
// (rule 4).
//
// What must hold at any time is that no promise that still binds is longer than
// the record. It does when one is given, for bind raises the record first. Here,
// what bound at given.since was no longer than the record was then, whether this
// process had promised it or one before; the record has not fallen since, and as
// much time as it says has passed, so all of that is over. What binds now was
// promised since, and given.longest is the longest of it. A crash before the
// lower record is durable leaves the higher one, which is as good.
//
// The record does not go below the own minimum, for which a restart keeps silent
// anyway. So where all members are configured alike it never falls, and where
// they are not it costs one save when a shorter promise has taken a longer one's
// place.
func (c *Core) outlive() {
	if c.now-c.given.since < c.hard.LongestPromise && !c.faults.forgetPromises {
		return
	}
	longest := max(c.given.longest, c.cfg.ElectionTimeoutMin)
	if longest < c.hard.LongestPromise {
		c.hard.LongestPromise, c.dirty = longest, true
	}
	c.given = given{since: c.now}
}

// blackout binds a node that has just started. Rule 4: it no longer knows whom
// it has promised what, so it keeps silent for the longest promise on record.
func (c *Core) blackout() {
	if c.faults.noBlackout {
		return
	}
	c.promise = promise{until: c.now + max(c.cfg.ElectionTimeoutMin, c.hard.LongestPromise)}
}
