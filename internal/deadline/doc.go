// Package deadline is a heap of things that fall due, the first on top, from
// which each can be taken or moved when its time changes. Quotas keep the ends of
// bursts in one, reservations what time does to them, schedulers evictions.
//
// # Concurrency
//
// A Heap is not safe for concurrent use.
package deadline
