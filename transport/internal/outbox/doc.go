// Package outbox holds what a transport keeps for one peer: the frames that
// wait, when to try to connect again, and the counters.
//
// # Concurrency
//
// An [Outbox] is safe for concurrent use; its mutex is never held while
// anything else is called. Time is an argument of every method; nothing here
// blocks or starts a goroutine. A [Backoff] belongs to one goroutine.
package outbox
