// Package transport moves byte frames between the named members of a cluster.
// It knows nothing about elections: package raft declares the same two-method
// interface and takes any implementation, these or a service's own.
//
//   - [Memory] is a network within one process, with seeded faults, for tests
//     and examples.
//   - Package tcp keeps one authenticated connection to each peer.
//   - Package httptransport sends through, and serves from, the HTTP servers
//     and clients that a service already has.
//   - Package transporttest checks any [Transport] against the contract.
//
// # The contract
//
// Every implementation, also a service's own, keeps these rules.
//
//  1. A frame arrives intact or not at all. Frames may be lost, duplicated,
//     reordered and delayed for any time.
//  2. The name that the handler sees is the authenticated name of the sender,
//     and a frame reaches only the member that it was sent to.
//  3. Send copies the frame and never blocks: not on a slow peer, not on a
//     dead one, not on the handler. Nil means queued, nothing more.
//  4. One peer never delays the frames to another.
//  5. What waits for a peer is bounded. Under pressure the oldest frames go
//     first, for a member wants news rather than history.
//  6. The handler may run concurrently and keeps no frame after it returns.
//     It may call Send.
//  7. Serve returns when its context ends. From then on no handler runs, no
//     goroutine is left and Send answers [ErrClosed].
//
// The transports here hold at most [QueueFrames] frames for a peer, each for
// at most [QueueAge].
//
// # Concurrency
//
// Send may be called from any goroutine, before, during and after Serve, and
// from within the handler. Serve is called once. [Memory] and [Endpoint] are
// safe for concurrent use; one mutex guards a whole Memory, and no handler
// runs while it is held. A Memory starts no goroutine: frames are delivered
// on the goroutine that called Serve, so it works in a testing/synctest
// bubble.
//
// # Determinism
//
// The faults of a [Memory] depend on its seed only, link by link (see
// [MemoryConfig]); frames that fall due at the same time are delivered in the
// order of sending.
//
// # What it does not do
//
// It does not resend, order or acknowledge frames, and it does not find
// addresses: the host tells a transport where each peer is.
package transport
