// Package transport carries byte frames between the named members of a
// cluster. A service needs it to run an election with package raft, and may use
// it for frames of its own.
//
// Most users need two types. A [Transport] sends and receives for one member:
// package tcp has the one for production, package httptransport one for
// services that want to use the HTTP servers and clients that they have, and
// [Memory] is a network within one process for tests and examples. A [Mux] lets
// many groups, for instance many elections, share one Transport.
//
//	network, err := transport.NewMemory(transport.MemoryConfig{})
//	a, err := network.Join("a")
//	b, err := network.Join("b")
//	go b.Serve(ctx, func(from string, frame []byte) {
//		fmt.Printf("b got %q from %s\n", frame, from)
//	})
//	err = a.Send("b", []byte("hello"))
//
// # The contract
//
// Every implementation, also a service's own, keeps these rules. Package
// transporttest checks them.
//
//  1. A frame arrives intact or not at all. Frames may be lost, duplicated,
//     reordered and delayed for any time.
//  2. The handler sees the authenticated name of the sender. A frame reaches
//     only the member that it was sent to.
//  3. Send copies the frame and never blocks: not on a slow peer, not on a
//     dead one, not on the handler. Nil means queued, nothing more.
//  4. A peer that takes nothing does not delay the frames to other peers.
//  5. The send queue of each peer is bounded. When it is full, the oldest frame
//     is dropped, because members want current information, not history.
//  6. The handler may run concurrently and keeps no frame after it returns.
//     It may call Send.
//  7. Serve returns when its context ends. From then on no handler runs, no
//     goroutine is left and Send answers [ErrClosed].
//
// The transports here hold at most [QueueFrames] frames of one flow for a peer,
// each for at most [QueueAge]. The flows of a transport are the groups of its
// Mux; without a Mux there is one.
//
// # Many groups in one process
//
// Without a Mux each group needs a Transport of its own. A thousand groups of
// three members over tcp are then a thousand listeners and four thousand
// connections in each process. With a Mux they are one listener and four
// connections, one to and one from each of the two peers. Each frame carries the
// name of its group, and a Mux adds the same cost to it however many groups there
// are.
//
// Groups do not disturb each other. Each has a send queue of its own for each
// peer, and a receive queue for each sender, all bounded; groups, and senders in
// a group, take turns. A frame for a group that does not run here is dropped and
// counted. A group may end and begin again while others go on.
//
// # What it does not do
//
// It does not resend, order or acknowledge frames. It does not find addresses:
// the host tells a transport where each peer is. A Mux does not encrypt groups
// against each other: a member that may connect may send to every group.
//
// # Concurrency
//
// Send may be called from any goroutine, before, during and after Serve, and
// from within the handler. Serve is called once. [Memory], [Endpoint], [Mux]
// and [Group] are safe for concurrent use. One mutex guards a Memory, another
// the groups of a Mux, and a third what one Group holds; no handler runs while
// any of them is held. A Memory and a Mux start no goroutine: the handlers of an
// Endpoint and of a Group run on the goroutine that called its Serve, so they
// work in a testing/synctest bubble.
//
// # Determinism
//
// The faults of a [Memory] depend on its seed only, link by link (see
// [MemoryConfig]). Frames that arrive at the same time are delivered in the
// order of sending.
package transport
