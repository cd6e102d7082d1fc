// Package replica is the loop of a service that runs as several replicas and keeps one
// state. Each replica follows the journal. The one that is elected promotes its
// follower and serves; when its reign ends, it steps down and follows again.
//
// Most users need [Config], [New] and the [Replica] that New returns, and [Liveness] if
// nodes send heartbeats.
//
//	r, err := replica.New(replica.Config{
//		Elector: node,    // raft.Node, or an elector of a database
//		Journal: journal, // that all replicas share
//		Leader:  func() (string, bool) { m, ok := node.Leader(); return m.Data, ok && m.ID != id },
//		Leads:   raft.Leads,
//	})
//	mux.Handle("/v1/", r.Forward(writes))         // served here, or passed on to the leader
//	mux.Handle("/health", r.Status(time.Second))  // 200 only where that works
//	err = r.Run(ctx)
//
// A write goes through [Replica.Forward] and gets its scheduler from [SchedulerFrom]; a
// read anywhere uses [Replica.View]. [Config.Serve] is for what else only a leader
// does, such as watching the nodes.
//
// # What happens when things fail
//
// If a leader crashes, is paused or is cut off, the elector gives the lead to another
// replica under a higher token. That replica has read the journal already: it acquires
// the journal, reads the records appended since, and decides. The time for that does
// not grow with the state. From then on the old leader cannot append, whatever it
// believes; its first attempt fails, and it follows again. What it had not acknowledged
// by then may be durable or not; a client finds out by repeating the request under its
// ID.
//
// While the journal hangs or fails, nobody can decide, and followers show a state that
// grows older. A leader whose append fails steps down, and can lead again after a pause
// that grows up to 10 seconds. A leader whose append hangs keeps the lead; its callers
// return when their contexts end.
//
// While nobody leads, [Replica.Forward] answers with 503 and Retry-After, and reads are
// served. A list of a leader that was deposed returns an error, never an incomplete
// list.
//
// # Liveness
//
// [Liveness] turns the heartbeats of workers into MarkLost and MarkReady. The watcher
// itself may be at fault: it may have been paused, or just elected, or cut off from all
// workers at once. So silence counts only while the watcher listened. If more nodes are
// silent than a limit allows, none of them is marked until they are heard again or an
// operator calls [Liveness.GiveUp].
//
// # Concurrency
//
// [Replica] and [Liveness] are safe for concurrent use. [Replica.Run] and
// [Liveness.Run] block, and leave no goroutine behind.
//
// # What it does not do
//
// It does not elect, and it stores nothing. It authenticates nobody: requests that
// are passed on carry what the client has sent.
package replica
