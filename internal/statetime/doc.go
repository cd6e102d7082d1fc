// Package statetime turns what a host's clock shows into state time: a time that
// never decreases, and that does not stand still because the clock was set
// back.
//
//	var c statetime.Clock
//	now := c.Advance(time.Now())
//
// Durations and deadlines of a ledger, a book of reservations and a scheduler
// are measured in state time. A wall clock alone does not do for that: one that
// is set back by an hour would prolong each of them by an hour. A monotonic
// clock alone does not do either: it means nothing after a restart or on
// another host.
//
// # The rule
//
// State time is the later of the wall clock and the last state time plus half
// of the monotonic time since. So while the wall clock goes as it should, both
// are the same. A wall clock that is set back by an hour makes state time go at
// half pace for two hours, until both agree again: nothing is prolonged by more
// than that hour, nor to more than twice its length, and a clock that was wrong
// for a while does not stay wrong forever.
//
// # Readings
//
// The monotonic time is that of the readings, as time.Now gives it. Such
// readings may be handed over in any order, as by callers that read the clock
// before they take a lock: the result is that of the order in which they were
// made.
//
// A reading without a monotonic part, as from time.Date or Time.Round(0), has
// only its wall clock to tell how much time has passed. One that is earlier than
// those before it begins a new count. From then on state time goes at half the
// pace of the readings, but for readings that come a second time: they cannot
// be told from late ones. So a clock that is set back again, to where it has
// been since the first time, makes state time stand still until it has caught
// up; and readings that come in disorder cannot drive state time away.
//
// # Concurrency
//
// A [Clock] is a plain value, for one goroutine or under the lock of whoever
// embeds it. It reads no clock and starts nothing.
package statetime
