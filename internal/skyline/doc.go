// Package skyline is an amount over time: what reservations hold on a node, what
// a namespace is promised. It also says what an instant is, a number of
// nanoseconds since 1970.
//
// # Concurrency
//
// A Skyline is not safe for concurrent use, not even for readers.
package skyline
