// Package replica is the loop of a service that runs as several replicas and keeps
// one state: each follows the journal, the one that is elected promotes its follower
// and serves, steps down when its reign ends, and follows again.
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
// A write goes through [Replica.Forward] and gets its scheduler from
// [SchedulerFrom]; a read anywhere uses [Replica.View]. What only a leader does
// besides, such as to watch the nodes, is [Config.Serve].
//
// # What happens when things fail
//
// A leader that crashes, is paused or is cut off: the elector gives the lead to
// another replica under a higher token. That has read the journal already, so it
// acquires it, reads what was appended since, and decides: the time for that does
// not grow with the state. From then on the old leader cannot append, whatever it
// believes; its first attempt says so, and it follows again. What it has not
// acknowledged by then may be durable or not, and a client finds out by repeating
// the request under its ID.
//
// A journal that hangs or fails: nobody can decide, and followers show what they
// have, ever older. A leader whose append fails steps down, and leads again after a
// pause that grows up to 10 seconds; one whose journal hangs goes on to lead, and its
// callers leave when their contexts end.
//
// Nobody leads: [Replica.Forward] answers with 503 and Retry-After, reads are served.
// Lists of a leader that was deposed return an error, never less than there is.
//
// # Liveness
//
// [Liveness] turns the heartbeats of workers into MarkLost and MarkReady. Whoever
// watches may be the one that is broken: it may have been paused, or just elected,
// or cut off from all workers at once. So silence counts only while the watcher
// listened, and if more nodes are silent than a limit allows, none is marked until
// they are heard again or a person says so with [Liveness.GiveUp].
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
