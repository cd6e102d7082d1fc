// Package outbox is the sending side that the transports over TCP and HTTP
// share: a [Roster] of peers with their addresses, for each [Peer] an
// [Outbox] with the frames that wait and the counters, and a [Backoff] that
// says when to try again.
//
// # Concurrency
//
// A [Roster], a [Peer] and an [Outbox] are safe for concurrent use. Each has
// its own mutex where it needs one, none is held while anything is called
// that may block, and an Outbox's is taken after its Roster's. Goroutines
// run only within [Roster.Run]. A [Backoff] belongs to one goroutine.
package outbox
