// Package fairqueue is what waits in a transport: frames under keys, a bounded
// number for each key, the keys taking turns. A key is the flow of a frame
// where frames leave, its sender where they arrive.
//
// # Concurrency
//
// A [Queue] belongs to its owner's mutex.
package fairqueue
